// Products of numbers rounded to 16 bits (bf16: a float's upper half), two of them per lane, summed in floats: twice the
// rate of floats where a processor has AVX512_BF16. For stages that train in floats: what is rounded to 8 bits keeps floats.

#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace {

// Two numbers, the first in the lower half; what an element of the kernels is here.
struct alignas(4) Pair {
    uint16_t first, second;
};

#ifdef __AVX512BF16__
typedef int32_t __attribute__((may_alias)) Word;
constexpr bool HAS_PAIRS = true;

inline void add_product(V16 &sum, V16 k, int x) { sum = _mm512_dpbf16_ps(sum, (__m512bh)k, (__m512bh)_mm512_set1_epi32(x)); }
inline void add_product(V8 &sum, V8 k, int x) { sum = _mm256_dpbf16_ps(sum, (__m256bh)k, (__m256bh)_mm256_set1_epi32(x)); }

template <class V, int NV>
inline void add_products(V (&sum)[NV], const V (&k)[NV], const Pair &x) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; v++) add_product(sum[v], k[v], *reinterpret_cast<const Word *>(&x));
}

// Rounds n numbers, a multiple of 8, to pairs of neighbours.
void shorten(const float *in, size_t n, Pair *out) {
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        _mm512_storeu_si512(out + i / 2, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(in + i + 16), _mm512_loadu_ps(in + i)));
    for (; i < n; i += 8) _mm_storeu_si128((__m128i *)(out + i / 2), (__m128i)_mm256_cvtneps_pbh(_mm256_loadu_ps(in + i)));
}
#else
constexpr bool HAS_PAIRS = false;

template <class V, int NV>
void add_products(V (&)[NV], const V (&)[NV], const Pair &) {}
void shorten(const float *, size_t, Pair *) {}
#endif

// Two rows of n rounded numbers, a multiple of 2, to n pairs of what lies above each other.
void pair_rows(const Pair *a, const Pair *b, size_t n, Pair *__restrict out) {
    for (size_t i = 0; i < n / 2; i++) {
        out[2 * i] = {a[i].first, b[i].first};
        out[2 * i + 1] = {a[i].second, b[i].second};
    }
}

// Weights [tap][channel][out] to [tap][pair of channels][out]; an odd last channel gets zeros beside it.
void pair_channels(const float *w, int taps, int channels, int outp, Pair *out) {
    Pair rows[2][96];  // of the 192 outputs that a value may have
    for (int k = 0; k < taps; k++)
        for (int i = 0; i < channels; i += 2, out += outp) {
            int n = std::min(2, channels - i);
            std::memset(rows, 0, sizeof(rows));
            for (int j = 0; j < n; j++, w += outp) shorten(w, outp, rows[j]);
            pair_rows(rows[0], rows[1], outp, out);
        }
}

}  // namespace
