// Forward and backward passes of a recorded network, in 32-bit floats on one thread: what `native.py` calls.
//
// A program is a list of operations over values. A value is an H x W x C picture, channels last and padded to a
// multiple of 8, inside a border of one pixel of zeros, so 3x3 kernels need no edges; its gradient lies the same way.
// Pads and borders are never written. Everything is allocated when the plan is made.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "bf16.h"

namespace {

constexpr int WINDOW = 8, TOKENS = WINDOW * WINDOW;
constexpr int ROUTED = 16;  // pixels of a window that has a class

struct Value {
    int h, w, c, cp;  // cp: channels with their pads
    std::vector<float> store[2];
    std::vector<Pair> rounded;  // the data, once a product of short numbers has asked for them
    bool fresh = false;         // whether `rounded` is of this crop
    float *data, *grad;

    Value(int h, int w, int c) : h(h), w(w), c(c), cp((c + 7) / 8 * 8) {
        for (int i = 0; i < 2; i++) {
            store[i].assign(size_t(h + 2) * (w + 2) * cp + 16, 0.f);
            float *p = store[i].data();
            while (reinterpret_cast<uintptr_t>(p) % 64) p++;
            (i ? grad : data) = p;
        }
    }
    size_t at(int y, int x) const { return (size_t(y + 1) * (w + 2) + x + 1) * cp; }
    size_t size() const { return size_t(h + 2) * (w + 2) * cp; }
    void clear_grad() { std::fill_n(grad, size(), 0.f); }

    // The whole picture in short numbers, as the kernels read it: pairs of channels, or pairs of this row and the next.
    const Pair *shorter() {
        if (!fresh) rounded.resize(size() / 2), shorten(data, size(), rounded.data()), fresh = true;
        return rounded.data();
    }
    void pair(const Pair *picture, int y, Pair *out) const {
        const Pair *below = picture + at(std::min(y + 1, h), -1) / 2;  // the last row's partner counts for nothing
        pair_rows(picture + at(y, -1) / 2, below, size_t(w + 2) * cp, out);
    }
};

struct Layer {
    int in, out, kernel, dilation;
    bool depthwise;
    int outp() const { return (out + 7) / 8 * 8; }
    int taps() const { return kernel * kernel; }
};

// One row of a convolution of the first `channels` of `in`, added to `out`.
template <class E>
void convolve_row(const Value &in, const E *data, int y, int kernel, int channels, const E *w, int outp, float *out) {
    constexpr int N = std::is_same_v<E, Pair> ? 2 : 1;
    const E *rows[3];
    int r = kernel / 2, n = (channels + N - 1) / N;
    for (int d = 0; d < 3; d++) rows[d] = data + in.at(y - r + std::min(d, kernel - 1), -r) / N;
    row_any(in.cp / N, rows, kernel, n, w, size_t(n) * outp, outp, out, outp, in.w);
}

struct Step {
    int kind, dst, a, b, flag;
    int layer = -1, scale = -1;
    std::vector<int> parts;
    std::vector<float> forward, gradient;        // weights as the kernels read them; of depth-wise ones their gradient
    std::vector<std::vector<float>> back, dw;    // for each part
    std::vector<std::vector<Pair>> forward_pairs, back_pairs;
    std::vector<float> bias;                     // for a row of pixels; then its gradient
    std::vector<float> memory;                   // attention: scores before and after rounding
};

enum Kind { CONV, ADD, TO_DEPTH, TO_SPACE, ATTENTION, POOL, GATE, CLIP, ROUND, ROUTE, BOUND, LOSS };

struct Call {
    const float *target;
    const float *const *weights, *const *biases;
    const float *scales;
    float *const *gw, *const *gb;
    float *gscales;
    float slope, bound, excess, norm;  // norm: 1 / crops of the batch
    int scale;
    bool rounded, precise, squared;
    const unsigned char *classes;  // of windows, row by row
};

struct Plan {
    std::vector<std::unique_ptr<Value>> values;
    std::vector<Layer> layers;
    std::vector<Step> steps;
    std::vector<Pair> rounded, above[4];  // the gradient of a convolution's result; pairs of rows of it and of an input

    Value &v(int i) { return *values[i]; }

    // y = relu(x) with a slope; its gradient by the sign of y, which has the sign of x.
    static void relu(float *row, int n, float slope) {
        for (int i = 0; i < n; i++) row[i] = row[i] > 0 ? row[i] : row[i] * slope;
    }
    static void mask(float *g, const float *y, int n, float slope) {
        for (int i = 0; i < n; i++) g[i] *= y[i] > 0 ? 1.f : slope;
    }

    void pack(Step &s, const float *w, bool precise) {
        const Layer &l = layers[s.layer];
        int t = l.taps(), op = l.outp(), base = 0;
        s.forward.resize(size_t(t) * l.in * op);
        float *to = s.forward.data();
        s.back.resize(s.parts.size());
        s.dw.resize(s.parts.size());
        s.forward_pairs.resize(s.parts.size());
        s.back_pairs.resize(s.parts.size());
        for (size_t p = 0; p < s.parts.size(); p++) {
            const Value &in = v(s.parts[p]);
            s.back[p].assign(size_t(t) * l.out * in.cp, 0.f);
            s.dw[p].assign(size_t(t) * in.cp * op, 0.f);
            float *from = to;
            for (int k = 0; k < t; k++)
                for (int i = 0; i < in.c; i++, to += op)
                    for (int o = 0; o < l.out; o++) {
                        float x = w[(size_t(o) * l.in + base + i) * t + k];
                        to[o] = x;
                        s.back[p][(size_t(t - 1 - k) * l.out + o) * in.cp + i] = x;
                    }
            base += in.c;
            if (precise) continue;
            s.forward_pairs[p].resize(size_t(t) * (in.c + 1) / 2 * op);
            s.back_pairs[p].resize(size_t(t) * (l.out + 1) / 2 * in.cp);
            pair_channels(from, t, in.c, op, s.forward_pairs[p].data());
            pair_channels(s.back[p].data(), t, l.out, in.cp, s.back_pairs[p].data());
        }
    }

    void conv(Step &s, const Call &c) {
        const Layer &l = layers[s.layer];
        if (l.depthwise) return depthwise(s, c);
        pack(s, c.weights[s.layer], c.precise);
        Value &out = v(s.dst);
        s.bias.assign(size_t(out.w) * out.cp, 0.f);
        for (int x = 0; x < out.w; x++) std::copy_n(c.biases[s.layer], l.out, s.bias.data() + x * out.cp);
        for (int y = 0; y < out.h; y++) {
            float *o = out.data + out.at(y, 0);
            std::copy_n(s.bias.data(), s.bias.size(), o);
            const float *w = s.forward.data();
            for (size_t p = 0; p < s.parts.size(); p++) {
                Value &in = v(s.parts[p]);
                // Nothing is gained by pairs of a lone channel.
                if (c.precise || in.c == 1) convolve_row(in, in.data, y, l.kernel, in.c, w, out.cp, o);
                else convolve_row(in, in.shorter(), y, l.kernel, in.c, s.forward_pairs[p].data(), out.cp, o);
                w += size_t(l.taps()) * in.c * out.cp;
            }
            if (s.flag) relu(o, out.w * out.cp, c.slope);
        }
    }

    void conv_back(Step &s, const Call &c) {
        const Layer &l = layers[s.layer];
        Value &out = v(s.dst);
        s.bias.assign(out.cp, 0.f);
        for (int y = 0; y < out.h; y++) {
            float *g = out.grad + out.at(y, 0);
            if (s.flag) mask(g, out.data + out.at(y, 0), out.w * out.cp, c.slope);
            add_pixels(g, out.cp, out.w, s.bias.data());
        }
        for (int o = 0; o < l.out; o++) c.gb[s.layer][o] += s.bias[o];
        if (l.depthwise) return depthwise_back(s, c);
        if (!c.precise) rounded.resize(std::max(rounded.size(), out.size() / 2)), shorten(out.grad, out.size(), rounded.data());
        int base = 0, t = l.taps();
        for (size_t p = 0; p < s.parts.size(); p++) {
            Value &in = v(s.parts[p]);
            for (int y = 0; y < out.h && s.parts[p] != 0; y++) {
                float *to = in.grad + in.at(y, 0);
                if (c.precise) convolve_row(out, out.grad, y, l.kernel, l.out, s.back[p].data(), in.cp, to);
                else convolve_row(out, rounded.data(), y, l.kernel, l.out, s.back_pairs[p].data(), in.cp, to);
            }
            if (c.precise) weights_back(l, in, out, s.dw[p].data());
            else weights_back_in_pairs(l, in, out, s.dw[p].data());
            float *gw = c.gw[s.layer];
            for (int k = 0; k < t; k++)
                for (int i = 0; i < in.c; i++)
                    for (int o = 0; o < l.out; o++)
                        gw[(size_t(o) * l.in + base + i) * t + k] += s.dw[p][(size_t(k) * in.cp + i) * out.cp + o];
            base += in.c;
        }
    }

    // The gradient of the weights of one part of a convolution's input, added to dw[tap][channel][out].
    static void weights_back(const Layer &l, const Value &in, const Value &out, float *dw) {
        int r = l.kernel / 2;
        for (int y = 0; y < out.h; y++)
            for (int k = 0; k < l.taps(); k++) {
                const float *x = in.data + in.at(y + k / l.kernel - r, k % l.kernel - r);
                outer_all(x, in.cp, in.c, out.grad + out.at(y, 0), out.cp, out.w, dw + size_t(k) * in.cp * out.cp);
            }
    }

    // The same by pairs of rows: a row of the result and the next one, times rows of the input that lie as they do.
    void weights_back_in_pairs(const Layer &l, Value &in, const Value &out, float *dw) {
        int r = l.kernel / 2, made = -r;  // `made`: the first row of the input whose pairs are yet to come
        for (int i = 0; i < 4; i++) above[i].resize(std::max(above[i].size(), size_t(out.w + 2) * (i ? in.cp : out.cp)));
        for (int y = 0; y < out.h; y += 2) {
            out.pair(rounded.data(), y, above[0].data());
            for (; made <= std::min(y + r, in.h); made++) in.pair(in.shorter(), made, above[1 + (made + r) % 3].data());
            for (int k = 0; k < l.taps(); k++) {
                const Pair *x = above[1 + (y + k / l.kernel) % 3].data() + size_t(k % l.kernel - r + 1) * in.cp;
                outer_all(x, in.cp, in.c, above[0].data() + out.cp, out.cp, out.w, dw + size_t(k) * in.cp * out.cp);
            }
        }
    }

    // Calls f(tap, out pixel, in pixel) for every tap of a depth-wise layer that lies inside the picture.
    template <class F>
    static void taps(const Layer &l, const Value &a, F f) {
        for (int y = 0; y < a.h; y++)
            for (int k = 0; k < l.taps(); k++) {
                int dy = (k / 3 - 1) * l.dilation, dx = (k % 3 - 1) * l.dilation;
                if (y + dy < 0 || y + dy >= a.h) continue;
                for (int x = std::max(0, -dx); x < std::min(a.w, a.w - dx); x++) f(k, a.at(y, x), a.at(y + dy, x + dx));
            }
    }

    void depthwise(Step &s, const Call &c) {
        const Layer &l = layers[s.layer];
        Value &in = v(s.parts[0]), &out = v(s.dst);
        int cp = in.cp;
        s.forward.assign(size_t(l.taps()) * cp, 0.f);
        for (int k = 0; k < l.taps(); k++)
            for (int i = 0; i < l.in; i++) s.forward[k * cp + i] = c.weights[s.layer][i * l.taps() + k];
        for (int y = 0; y < out.h; y++)
            for (int x = 0; x < out.w; x++) std::copy_n(c.biases[s.layer], l.out, out.data + out.at(y, x));
        taps(l, out, [&](int k, size_t o, size_t i) {
            for (int j = 0; j < cp; j++) out.data[o + j] += in.data[i + j] * s.forward[k * cp + j];
        });
        if (s.flag)
            for (int y = 0; y < out.h; y++) relu(out.data + out.at(y, 0), out.w * cp, c.slope);
    }

    void depthwise_back(Step &s, const Call &c) {
        const Layer &l = layers[s.layer];
        Value &in = v(s.parts[0]), &out = v(s.dst);
        int cp = in.cp;
        s.gradient.assign(size_t(l.taps()) * cp, 0.f);
        float *dw = s.gradient.data();
        taps(l, out, [&](int k, size_t o, size_t i) {
            for (int j = 0; j < cp; j++) {
                in.grad[i + j] += out.grad[o + j] * s.forward[k * cp + j];
                dw[k * cp + j] += out.grad[o + j] * in.data[i + j];
            }
        });
        for (int k = 0; k < l.taps(); k++)
            for (int i = 0; i < l.in; i++) c.gw[s.layer][i * l.taps() + k] += dw[k * cp + i];
    }

    void add(Step &s, const Call &c, bool back) {
        Value &out = v(s.dst), &a = v(s.a);
        Value *b = s.b < 0 ? nullptr : &v(s.b);
        int n = out.w * out.cp;
        for (int y = 0; y < out.h; y++) {
            size_t at = out.at(y, 0);
            if (!back) {
                for (int i = 0; i < n; i++) out.data[at + i] = a.data[at + i] + (b ? b->data[at + i] : 0.f);
                if (s.flag) relu(out.data + at, n, c.slope);
                continue;
            }
            if (s.flag) mask(out.grad + at, out.data + at, n, c.slope);
            for (int i = 0; i < n; i++) a.grad[at + i] += out.grad[at + i];
            if (b) for (int i = 0; i < n; i++) b->grad[at + i] += out.grad[at + i];
        }
    }

    // Between a picture of C channels and one of 4 C at half the size; channels by row, column, then what they were.
    void shuffle(Step &s, bool back, bool to_depth) {
        Value &fine = v(to_depth ? s.a : s.dst), &coarse = v(to_depth ? s.dst : s.a);
        bool down = to_depth != back;
        for (int y = 0; y < fine.h; y++)
            for (int x = 0; x < fine.w; x++) {
                size_t f = fine.at(y, x), c = coarse.at(y / 2, x / 2) + (y % 2 * 2 + x % 2) * fine.c;
                const float *from = (back ? v(s.dst).grad : v(s.a).data) + (down ? f : c);
                float *to = (back ? v(s.a).grad : v(s.dst).data) + (down ? c : f);
                for (int i = 0; i < fine.c; i++) to[i] = back ? to[i] + from[i] : from[i];
            }
    }

    // The tokens of a window, one after the other; `place` says where each lies.
    static void gather(const float *data, int cp, const size_t *place, float *out) {
        for (int t = 0; t < TOKENS; t++) std::copy_n(data + place[t] * cp, cp, out + t * cp);
    }
    static void scatter(const float *in, int cp, const size_t *place, float *grad) {
        for (int t = 0; t < TOKENS; t++)
            for (int i = 0; i < cp; i++) grad[place[t] * cp + i] += in[t * cp + i];
    }
    static void transpose(const float *in, int cp, float *out) {
        for (int t = 0; t < TOKENS; t++)
            for (int i = 0; i < cp; i++) out[i * TOKENS + t] = in[t * cp + i];
    }
    // out (+)= a b of TOKENS rows: a has `inner` columns in rows of `cp`, b `outs`.
    static void product(const float *a, int cp, int inner, const float *b, int outs, float *out) {
        const float *rows[3] = {a, a, a};
        row_any(cp, rows, 1, inner, b, 0, outs, out, outs, TOKENS);
    }

    struct Window {
        static constexpr int WIDEST = 64;  // channels of what attends; `plan_new` refuses more
        alignas(64) float q[TOKENS * WIDEST], k[TOKENS * WIDEST], v[TOKENS * WIDEST], g[TOKENS * WIDEST];
        alignas(64) float turned[TOKENS * WIDEST], sum[TOKENS * WIDEST];
        alignas(64) float ds[TOKENS * TOKENS];
        size_t place[TOKENS];
        bool inside[TOKENS];
    } win;

    // ReLU attention inside windows; see `TorchOps.attention`. A token beyond the edge is the nearest one again.
    void attention(Step &s, const Call &c, bool back) {
        Value &q = v(s.a), &k = v(s.b), &val = v(s.parts[0]);
        int shift = s.flag, down = (q.h + 2 * shift) / WINDOW, across = (q.w + 2 * shift) / WINDOW;
        float step = s.scale >= 0 ? c.scales[s.scale] : 0.f;
        s.memory.resize(size_t(down) * across * TOKENS * TOKENS * 2);
        for (int window = 0; window < down * across; window++) {
            int y0 = window / across * WINDOW - shift, x0 = window % across * WINDOW - shift;
            for (int t = 0; t < TOKENS; t++) {
                int y = y0 + t / WINDOW, x = x0 + t % WINDOW;
                win.inside[t] = y >= 0 && y < q.h && x >= 0 && x < q.w;
                win.place[t] = size_t(std::clamp(y, 0, q.h - 1) + 1) * (q.w + 2) + std::clamp(x, 0, q.w - 1) + 1;
            }
            float *raw = s.memory.data() + size_t(window) * TOKENS * TOKENS * 2, *score = raw + TOKENS * TOKENS;
            gather(q.data, q.cp, win.place, win.q);
            gather(k.data, k.cp, win.place, win.k);
            gather(val.data, val.cp, win.place, win.v);
            if (back) attend_back(s, c, raw, score, step);
            else attend(s, c, raw, score, step);
        }
    }

    void attend(Step &s, const Call &c, float *raw, float *score, float step) {
        Value &q = v(s.a), &val = v(s.parts[0]), &out = v(s.dst);
        transpose(win.k, q.cp, win.turned);
        std::fill_n(raw, TOKENS * TOKENS, 0.f);
        product(win.q, q.cp, q.c, win.turned, TOKENS, raw);
        relu(raw, TOKENS * TOKENS, c.slope);
        if (step > 0)
            for (int j = 0; j < TOKENS * TOKENS; j++) score[j] = std::clamp(__builtin_rintf(raw[j] / step), 0.f, 255.f) * step;
        else
            std::copy_n(raw, TOKENS * TOKENS, score);
        std::fill_n(win.sum, TOKENS * val.cp, 0.f);
        product(score, TOKENS, TOKENS, win.v, val.cp, win.sum);
        for (int t = 0; t < TOKENS; t++)
            if (win.inside[t]) std::copy_n(win.sum + t * val.cp, val.cp, out.data + win.place[t] * val.cp);
    }

    void attend_back(Step &s, const Call &c, const float *raw, const float *score, float step) {
        Value &q = v(s.a), &k = v(s.b), &val = v(s.parts[0]), &out = v(s.dst);
        for (int t = 0; t < TOKENS; t++)
            if (win.inside[t]) std::copy_n(out.grad + win.place[t] * val.cp, val.cp, win.g + t * val.cp);
            else std::fill_n(win.g + t * val.cp, val.cp, 0.f);
        float *ds = win.ds;
        std::fill_n(ds, TOKENS * TOKENS, 0.f);
        transpose(win.v, val.cp, win.turned);
        product(win.g, val.cp, val.c, win.turned, TOKENS, ds);
        std::fill_n(win.sum, TOKENS * val.cp, 0.f);
        outer_all(score, TOKENS, TOKENS, win.g, val.cp, TOKENS, win.sum);
        scatter(win.sum, val.cp, win.place, val.grad);
        if (step > 0) {
            float total = 0, inverse = 1 / step;
            for (int j = 0; j < TOKENS * TOKENS; j++) {
                float error = (score[j] - raw[j]) * inverse;
                bool in = std::fabs(error) <= 0.5f;
                total += ds[j] * (in ? error : score[j] * inverse);
                ds[j] = in ? ds[j] : 0.f;
            }
            c.gscales[s.scale] += total * step;
        }
        mask(ds, raw, TOKENS * TOKENS, c.slope);
        std::fill_n(win.sum, TOKENS * q.cp, 0.f);
        product(ds, TOKENS, TOKENS, win.k, k.cp, win.sum);
        scatter(win.sum, q.cp, win.place, q.grad);
        std::fill_n(win.sum, TOKENS * k.cp, 0.f);
        outer_all(ds, TOKENS, TOKENS, win.q, q.cp, TOKENS, win.sum);
        scatter(win.sum, k.cp, win.place, k.grad);
    }

    // Mean over a window's columns (flag 0) or rows (flag 1), and the gate that is spread over them.
    void pool(Step &s, bool back) {
        Value &in = v(s.a), &out = v(s.dst);
        for (int y = 0; y < in.h; y++)
            for (int x = 0; x < in.w; x++) {
                size_t i = in.at(y, x), o = s.flag ? out.at(y / WINDOW, x) : out.at(y, x / WINDOW);
                bool first = (s.flag ? y : x) % WINDOW == 0;
                for (int j = 0; j < in.cp; j++)
                    if (back) in.grad[i + j] += out.grad[o + j] / WINDOW;
                    else out.data[o + j] = (first ? 0.f : out.data[o + j]) + in.data[i + j] / WINDOW;
            }
    }

    void gate(Step &s, bool back) {
        Value &in = v(s.a), &g = v(s.b), &out = v(s.dst);
        for (int y = 0; y < in.h; y++)
            for (int x = 0; x < in.w; x++) {
                size_t i = in.at(y, x), o = s.flag ? g.at(y / WINDOW, x) : g.at(y, x / WINDOW);
                for (int j = 0; j < in.cp; j++)
                    if (back) {
                        in.grad[i + j] += out.grad[i + j] * g.data[o + j];
                        g.grad[o + j] += out.grad[i + j] * in.data[i + j];
                    } else {
                        out.data[i + j] = in.data[i + j] * g.data[o + j];
                    }
            }
    }

    void clip(Step &s, bool back) {
        Value &in = v(s.a), &out = v(s.dst);
        for (int y = 0; y < in.h; y++)
            for (size_t i = in.at(y, 0), end = i + in.w * in.cp; i < end; i++)
                if (back) in.grad[i] += in.data[i] >= 0 && in.data[i] <= 1 ? out.grad[i] : 0.f;
                else out.data[i] = std::clamp(in.data[i], 0.f, 1.f);
    }

    // Nought in windows whose class is below the flag.
    void route(Step &s, const Call &c, bool back) {
        Value &in = v(s.a), &out = v(s.dst);
        int columns = v(0).w / ROUTED, side = in.w / columns;
        for (int y = 0; y < in.h; y++)
            for (int x = 0; x < in.w; x++) {
                bool kept = c.classes[y / side * columns + x / side] >= s.flag;
                for (size_t i = in.at(y, x), end = i + in.cp; i < end; i++)
                    if (back) in.grad[i] += kept ? out.grad[i] : 0.f;
                    else out.data[i] = kept ? in.data[i] : 0.f;
            }
    }

    // Fake quantisation with a learnt step; flag: signed. See `FakeQuantise`.
    void round(Step &s, const Call &c, bool back) {
        Value &in = v(s.a), &out = v(s.dst);
        float step = c.scales[s.scale], low = s.flag ? -128.f : 0.f, high = low + 255.f, inverse = 1 / step, sum = 0;
        double total = 0;
        for (int y = 0; y < in.h; y++, total += sum, sum = 0) {
            size_t at = in.at(y, 0);
            float *g = out.grad + at, *x = in.data + at, *z = out.data + at, *gi = in.grad + at;
            for (int i = 0; i < in.w * in.cp; i++)
                if (back) {
                    float error = (z[i] - x[i]) * inverse;
                    bool inside = std::fabs(error) <= 0.5f;
                    sum += g[i] * (inside ? error : z[i] * inverse);
                    gi[i] += inside ? g[i] : 0.f;
                } else {
                    float n = __builtin_rintf(x[i] * inverse);
                    z[i] = (n < low ? low : n > high ? high : n) * step;
                }
        }
        if (back) c.gscales[s.scale] += float(total) * step;
    }

    // What goes beyond the bound costs; see `TorchOps`. Runs on the way back only, where its value is a gradient.
    double beyond(Step &s, const Call &c) {
        Value &in = v(s.a);
        double sum = 0;
        float norm = c.norm * c.excess / (float(in.h) * in.w * in.c);
        for (int y = 0; y < in.h; y++)
            for (size_t i = in.at(y, 0), end = i + in.w * in.cp; i < end; i++) {
                float over = std::fabs(in.data[i]) - c.bound;
                if (over <= 0) continue;
                sum += over * over;
                in.grad[i] += 2 * norm * std::copysign(over, in.data[i]);
            }
        return sum * norm;
    }

    // Charbonnier or squared distance of residual + nearest anchor from the target; writes the residual's gradient.
    double loss(Step &s, const Call &c) {
        constexpr float EPS = 1e-3f;
        Value &r = v(s.a), &anchor = v(0);
        int n = c.scale;
        float norm = c.norm / (float(r.h) * r.w * n * n);
        double total = 0;
        for (int y = 0; y < r.h; y++)
            for (int x = 0; x < r.w; x++)
                for (int i = 0; i < n * n; i++) {
                    float z = r.data[r.at(y, x) + i] + anchor.data[anchor.at(y, x)];
                    bool inside = c.rounded ? z * 255 >= -0.5f && z * 255 <= 255.5f : z >= 0 && z <= 1;
                    if (c.rounded) z = __builtin_rintf(z * 255) / 255;
                    z = std::clamp(z, 0.f, 1.f);
                    float d = z - c.target[size_t(y * n + i / n) * r.w * n + x * n + i % n], root = std::sqrt(d * d + EPS * EPS);
                    total += c.squared ? d * d : root;
                    r.grad[r.at(y, x) + i] = !inside ? 0.f : c.squared ? 2 * d * norm : d / root * norm;
                }
        return total * norm;
    }

    double run(const float *x, const Call &c) {
        Value &in = v(0);
        for (int y = 0; y < in.h; y++)
            for (int i = 0; i < in.w; i++) in.data[in.at(y, i)] = x[y * in.w + i];
        double total = 0;
        for (auto &value : values) value->clear_grad(), value->fresh = false;
        for (auto &s : steps) switch (s.kind) {
            case CONV: conv(s, c); break;
            case ADD: add(s, c, false); break;
            case TO_DEPTH: shuffle(s, false, true); break;
            case TO_SPACE: shuffle(s, false, false); break;
            case ATTENTION: attention(s, c, false); break;
            case POOL: pool(s, false); break;
            case GATE: gate(s, false); break;
            case CLIP: clip(s, false); break;
            case ROUND: round(s, c, false); break;
            case ROUTE: route(s, c, false); break;
            default: break;
        }
        for (size_t i = steps.size(); i-- > 0;) {
            Step &s = steps[i];
            switch (s.kind) {
                case CONV: conv_back(s, c); break;
                case ADD: add(s, c, true); break;
                case TO_DEPTH: shuffle(s, true, true); break;
                case TO_SPACE: shuffle(s, true, false); break;
                case ATTENTION: attention(s, c, true); break;
                case POOL: pool(s, true); break;
                case GATE: gate(s, true); break;
                case CLIP: clip(s, true); break;
                case ROUND: round(s, c, true); break;
                case ROUTE: route(s, c, true); break;
                case BOUND: if (c.bound > 0) total += beyond(s, c); break;
                case LOSS: total += loss(s, c); break;
            }
        }
        return total;
    }
};

}  // namespace

extern "C" {

// Whether anything but precise products is to be had.
int plan_has_pairs() { return HAS_PAIRS; }

// `sizes`: h, w, c of each value; `layers`: in, out, kernel, dilation, depth-wise of each; `code`: for each step its
// kind, dst, a, b, flag, layer, scale, number of parts, parts. Null where a value is wider than the kernels know.
void *plan_new(const int *sizes, int values, const int *layers, int count, const int *code, int steps) {
    auto plan = std::make_unique<Plan>();
    for (int i = 0; i < values; i++, sizes += 3) {
        plan->values.push_back(std::make_unique<Value>(sizes[0], sizes[1], sizes[2]));
        int cp = plan->values.back()->cp;
        if (!(cp == 8 || cp == 16 || cp == 24 || cp == 32 || cp == 48 || cp == 64 || cp == 96 || cp == 192)) return nullptr;
    }
    for (int i = 0; i < count; i++, layers += 5) plan->layers.push_back({layers[0], layers[1], layers[2], layers[3], layers[4] != 0});
    for (int i = 0; i < steps; i++) {
        Step s{code[0], code[1], code[2], code[3], code[4]};
        s.layer = code[5], s.scale = code[6];
        s.parts.assign(code + 8, code + 8 + code[7]);
        code += 8 + code[7];
        if (s.kind == ATTENTION && std::max(plan->v(s.a).cp, plan->v(s.parts[0]).cp) > Plan::Window::WIDEST) return nullptr;
        plan->steps.push_back(std::move(s));
    }
    return plan.release();
}

// The loss of one crop; gradients are added to `gw`, `gb` and `gscales`. `rounded`: the picture is, and so is
// all that leads to it; then floats are multiplied always. `classes`: of its windows, if the program asks for them.
double plan_run(void *plan, const float *x, const float *target, int scale, const float *const *weights, const float *const *biases,
                const float *scales, float *const *gw, float *const *gb, float *gscales, float slope, float bound, float excess,
                float norm, int rounded, int precise, int squared, const unsigned char *classes) {
    bool floats = precise || rounded || !HAS_PAIRS;
    Call call{target, weights, biases, scales, gw, gb, gscales, slope, bound, excess, norm, scale, rounded != 0, floats, squared != 0, classes};
    return static_cast<Plan *>(plan)->run(x, call);
}
}
