// The inner loops of convolutions and of products of thin matrices. A row is `width` pixels of `cp` channels, a multiple
// of 8; NV vectors of outputs times P pixels stay in registers.
//
// What is multiplied are elements E of 32 bits: floats, or pairs of short ones (`bf16.h`), where "channels" are pairs of
// them in the rows of a forward product, and rows of a gradient of weights are pairs of rows. Sums are always floats.

#pragma once

#include <cstdlib>
#include <cstring>
#include <type_traits>

namespace {

typedef float V8 __attribute__((vector_size(32), aligned(32)));
typedef float V16 __attribute__((vector_size(64), aligned(32)));

template <class V, int NV>
inline void add_products(V (&sum)[NV], const V (&k)[NV], const float &x) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; v++) sum[v] += k[v] * x;
}

// out[x][o] (+)= sum of in[x + dx][i] * w[tap][i][o] over taps and channels, for P pixels and NV vectors of outputs.
template <class V, int NV, int P, int CP, class E>
inline void strip(const E *const *rows, int kernel, int channels, const E *w, size_t wtap, int wstride, V (&sum)[P][NV]) {
    for (int dy = 0; dy < kernel; dy++)
        for (int dx = 0; dx < kernel; dx++, w += wtap) {
            const E *x = rows[dy] + dx * CP, *k = w;
            for (int i = 0; i < channels; i++, k += wstride) {
                V kv[NV];
                for (int v = 0; v < NV; v++) std::memcpy(&kv[v], k + v * (sizeof(V) / 4), sizeof(V));
#pragma GCC unroll 16
                for (int p = 0; p < P; p++) add_products(sum[p], kv, x[p * CP + i]);
            }
        }
}

template <class V, int NV, int P, int CP, class E>
void row(const E *const *rows, int kernel, int channels, const E *w, size_t wtap, int wstride, float *out, size_t outs, int width) {
    constexpr int L = sizeof(V) / 4;
    int x = 0;
    const E *r[3] = {rows[0], rows[1], rows[2]};
    auto advance = [&](int n) { for (auto &p : r) p += n * CP; };
    for (; x + P <= width; x += P, advance(P)) {
        V sum[P][NV];
        for (int p = 0; p < P; p++)
            for (int v = 0; v < NV; v++) std::memcpy(&sum[p][v], out + (x + p) * outs + v * L, sizeof(V));
        strip<V, NV, P, CP>(r, kernel, channels, w, wtap, wstride, sum);
        for (int p = 0; p < P; p++)
            for (int v = 0; v < NV; v++) std::memcpy(out + (x + p) * outs + v * L, &sum[p][v], sizeof(V));
    }
    for (; x < width; x++, advance(1)) {
        V sum[1][NV];
        for (int v = 0; v < NV; v++) std::memcpy(&sum[0][v], out + x * outs + v * L, sizeof(V));
        strip<V, NV, 1, CP>(r, kernel, channels, w, wtap, wstride, sum);
        for (int v = 0; v < NV; v++) std::memcpy(out + x * outs + v * L, &sum[0][v], sizeof(V));
    }
}

template <int CP, class E>
void row_all(const E *const *rows, int kernel, int channels, const E *w, size_t wtap, int outp, float *out, size_t outs, int width) {
    int o = 0;
    for (; outp - o >= 32; o += 32) row<V16, 2, 8, CP>(rows, kernel, channels, w + o, wtap, outp, out + o, outs, width);
    if (outp - o == 24) row<V8, 3, 8, CP>(rows, kernel, channels, w + o, wtap, outp, out + o, outs, width);
    if (outp - o == 16) row<V16, 1, 16, CP>(rows, kernel, channels, w + o, wtap, outp, out + o, outs, width);
    if (outp - o == 8) row<V8, 1, 16, CP>(rows, kernel, channels, w + o, wtap, outp, out + o, outs, width);
}

// The same for rows of `cp` channels a pixel; the plan holds no others.
template <class E>
void row_any(int cp, const E *const *rows, int kernel, int channels, const E *w, size_t wtap, int outp, float *out, size_t outs,
             int width) {
    switch (cp) {
#define CASE(n) case n: return row_all<n>(rows, kernel, channels, w, wtap, outp, out, outs, width)
        CASE(4); CASE(8); CASE(12); CASE(16); CASE(24); CASE(32); CASE(48); CASE(64); CASE(96); CASE(192);
#undef CASE
    }
    std::abort();
}

// dw[i][o] += sum over x of in[x][i] * g[x][o], for I channels i and NV vectors of outputs.
template <class V, int NV, int I, class E>
void outer(const E *in, int cp, const E *g, int gs, int width, float *dw, int dws) {
    constexpr int L = sizeof(V) / 4;
    V sum[I][NV];
    for (int i = 0; i < I; i++)
        for (int v = 0; v < NV; v++) std::memcpy(&sum[i][v], dw + i * dws + v * L, sizeof(V));
    for (int x = 0; x < width; x++, in += cp, g += gs) {
        V gv[NV];
        for (int v = 0; v < NV; v++) std::memcpy(&gv[v], g + v * L, sizeof(V));
#pragma GCC unroll 24
        for (int i = 0; i < I; i++) add_products(sum[i], gv, in[i]);
    }
    for (int i = 0; i < I; i++)
        for (int v = 0; v < NV; v++) std::memcpy(dw + i * dws + v * L, &sum[i][v], sizeof(V));
}

// Thin outputs take many channels at once: eight sums of a vector are too few to hide what a product takes.
template <class V, int NV, class E>
void outer_rows(const E *in, int cp, int channels, const E *g, int gs, int width, float *dw, int dws) {
    int i = 0;
    auto go = [&](auto rows) {
        outer<V, NV, rows.value>(in + i, cp, g, gs, width, dw + size_t(i) * dws, dws);
        i += rows.value;
    };
    while (i < channels) {
        int left = channels - i;
        if constexpr (NV == 1) {
            if (left > 16 && left <= 24) { go(std::integral_constant<int, 24>()); continue; }
            if (left > 12) { go(std::integral_constant<int, 16>()); continue; }
            if (left > 8) { go(std::integral_constant<int, 12>()); continue; }
        }
        go(std::integral_constant<int, 8>());
    }
}

// The same for the first `channels` of `in`, perhaps with pads after them, and all outputs.
template <class E>
void outer_all(const E *in, int cp, int channels, const E *g, int outp, int width, float *dw) {
    int o = 0;
    for (; outp - o >= 32; o += 32) outer_rows<V16, 2>(in, cp, channels, g + o, outp, width, dw + o, outp);
    if (outp - o == 24) outer_rows<V8, 3>(in, cp, channels, g + o, outp, width, dw + o, outp);
    if (outp - o == 16) outer_rows<V16, 1>(in, cp, channels, g + o, outp, width, dw + o, outp);
    if (outp - o == 8) outer_rows<V8, 1>(in, cp, channels, g + o, outp, width, dw + o, outp);
}

// sum[o] += sum over x of g[x][o].
inline void add_pixels(const float *g, int cp, int width, float *sum) {
    for (int o = 0; o < cp; o += 8) {
        V8 s, gv;
        std::memcpy(&s, sum + o, sizeof(s));
        for (int x = 0; x < width; x++) {
            std::memcpy(&gv, g + x * cp + o, sizeof(gv));
            s += gv;
        }
        std::memcpy(sum + o, &s, sizeof(s));
    }
}

}  // namespace
