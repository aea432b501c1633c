// The inner loops of convolutions and of products of thin matrices. A row is `width` pixels of `cp` channels, a multiple
// of 8; NV vectors of outputs times P pixels stay in registers.

#pragma once

#include <cstdlib>
#include <cstring>

namespace {

typedef float V8 __attribute__((vector_size(32), aligned(32)));
typedef float V16 __attribute__((vector_size(64), aligned(32)));

// out[x][o] (+)= sum of in[x + dx][i] * w[tap][i][o] over taps and channels, for P pixels and NV vectors of outputs.
template <class V, int NV, int P, int CP>
inline void strip(const float *const *rows, int kernel, int channels, const float *w, size_t wtap, int wstride, V (&sum)[P][NV]) {
    for (int dy = 0; dy < kernel; dy++)
        for (int dx = 0; dx < kernel; dx++, w += wtap) {
            const float *x = rows[dy] + dx * CP, *k = w;
            for (int i = 0; i < channels; i++, k += wstride) {
                V kv[NV];
                for (int v = 0; v < NV; v++) std::memcpy(&kv[v], k + v * (sizeof(V) / 4), sizeof(V));
#pragma GCC unroll 16
                for (int p = 0; p < P; p++)
#pragma GCC unroll 4
                    for (int v = 0; v < NV; v++) sum[p][v] += kv[v] * x[p * CP + i];
            }
        }
}

template <class V, int NV, int P, int CP>
void row(const float *const *rows, int kernel, int channels, const float *w, size_t wtap, int wstride, float *out, size_t outs, int width) {
    constexpr int L = sizeof(V) / 4;
    int x = 0;
    const float *r[3] = {rows[0], rows[1], rows[2]};
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

template <int CP>
void row_all(const float *const *rows, int kernel, int channels, const float *w, size_t wtap, int outp, float *out, size_t outs, int width) {
    int o = 0;
    for (; outp - o >= 32; o += 32) row<V16, 2, 8, CP>(rows, kernel, channels, w + o, wtap, outp, out + o, outs, width);
    if (outp - o == 24) row<V8, 3, 8, CP>(rows, kernel, channels, w + o, wtap, outp, out + o, outs, width);
    if (outp - o == 16) row<V16, 1, 16, CP>(rows, kernel, channels, w + o, wtap, outp, out + o, outs, width);
    if (outp - o == 8) row<V8, 1, 16, CP>(rows, kernel, channels, w + o, wtap, outp, out + o, outs, width);
}

// The same for rows of `cp` channels a pixel; the plan holds no others.
void row_any(int cp, const float *const *rows, int kernel, int channels, const float *w, size_t wtap, int outp, float *out, size_t outs, int width) {
    switch (cp) {
#define CASE(n) case n: return row_all<n>(rows, kernel, channels, w, wtap, outp, out, outs, width)
        CASE(8); CASE(16); CASE(24); CASE(32); CASE(48); CASE(64); CASE(96); CASE(192);
#undef CASE
    }
    std::abort();
}

// dw[i][o] += sum over x of in[x][i] * g[x][o], for 8 channels i and NV vectors of outputs.
template <class V, int NV>
void outer(const float *in, int cp, const float *g, int gs, int width, float *dw, int dws) {
    constexpr int L = sizeof(V) / 4;
    V sum[8][NV];
    for (int i = 0; i < 8; i++)
        for (int v = 0; v < NV; v++) std::memcpy(&sum[i][v], dw + i * dws + v * L, sizeof(V));
    for (int x = 0; x < width; x++, in += cp, g += gs) {
        V gv[NV];
        for (int v = 0; v < NV; v++) std::memcpy(&gv[v], g + v * L, sizeof(V));
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
#pragma GCC unroll 4
            for (int v = 0; v < NV; v++) sum[i][v] += gv[v] * in[i];
    }
    for (int i = 0; i < 8; i++)
        for (int v = 0; v < NV; v++) std::memcpy(dw + i * dws + v * L, &sum[i][v], sizeof(V));
}

void outer_all(const float *in, int cp, const float *g, int outp, int width, float *dw) {
    for (int i = 0; i < cp; i += 8) {
        int o = 0;
        float *d = dw + size_t(i) * outp;
        for (; outp - o >= 32; o += 32) outer<V16, 2>(in + i, cp, g + o, outp, width, d + o, outp);
        if (outp - o == 24) outer<V8, 3>(in + i, cp, g + o, outp, width, d + o, outp);
        if (outp - o == 16) outer<V16, 1>(in + i, cp, g + o, outp, width, d + o, outp);
        if (outp - o == 8) outer<V8, 1>(in + i, cp, g + o, outp, width, d + o, outp);
    }
}

}  // namespace
