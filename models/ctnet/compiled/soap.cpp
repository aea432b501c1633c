// The products of a SOAP step (see `soap.py`) for one matrix of m x n, row by row in memory.

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

// c = a b for a of m x k, read at a[i * rows + j * columns], and b of k x n.
void product(const float *a, int rows, int columns, const float *b, int m, int k, int n, float *c) {
    for (int i = 0; i < m; i += 4) {
        int height = std::min(4, m - i);
        for (int j = 0; j < n; j += 32) {
            int width = std::min(32, n - j);
            float sum[4][32] = {};
            for (int l = 0; l < k; l++) {
                const float *bl = b + size_t(l) * n + j;
                if (height == 4 && width == 32)
                    for (int r = 0; r < 4; r++) {
                        float x = a[(i + r) * rows + l * columns];
                        for (int o = 0; o < 32; o++) sum[r][o] += x * bl[o];
                    }
                else
                    for (int r = 0; r < height; r++) {
                        float x = a[(i + r) * rows + l * columns];
                        for (int o = 0; o < width; o++) sum[r][o] += x * bl[o];
                    }
            }
            for (int r = 0; r < height; r++) std::copy_n(sum[r], width, c + size_t(i + r) * n + j);
        }
    }
}

void transpose(const float *x, int m, int n, float *out) {
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) out[size_t(j) * m + i] = x[size_t(i) * n + j];
}

struct Matrix {
    int m, n;
    const float *left, *right;  // bases, or null
    std::vector<float> a, b;

    Matrix(int m, int n, const float *left, const float *right) : m(m), n(n), left(left), right(right), a(size_t(m) * n), b(size_t(m) * n) {}

    // Lᵀ x R
    const float *into(const float *x) {
        if (left) product(left, 1, m, x, m, m, n, a.data()), x = a.data();
        if (right) product(x, n, 1, right, m, n, n, b.data()), x = b.data();
        return x;
    }
    // L x Rᵀ, where R xᵀ is its transpose
    const float *back(const float *x) {
        if (left) product(left, m, 1, x, m, m, n, a.data()), x = a.data();
        if (!right) return x;
        transpose(x, m, n, b.data());
        a.resize(size_t(m) * n);
        product(right, n, 1, b.data(), n, n, m, a.data());
        transpose(a.data(), n, m, b.data());
        return b.data();
    }
};

}  // namespace

extern "C" {

// covariance = decay * covariance + (1 - decay) * (g gᵀ or gᵀ g)
void soap_follow(const float *g, int m, int n, float decay, float *left, float *right) {
    auto blend = [&](float *covariance, const std::vector<float> &made) {
        for (size_t i = 0; i < made.size(); i++) covariance[i] += (1 - decay) * (made[i] - covariance[i]);
    };
    if (left) {
        std::vector<float> turned(size_t(m) * n), made(size_t(m) * m);
        transpose(g, m, n, turned.data());
        product(g, n, 1, turned.data(), m, n, m, made.data());
        blend(left, made);
    }
    if (right) {
        std::vector<float> made(size_t(n) * n);
        product(g, 1, n, g, n, m, n, made.data());
        blend(right, made);
    }
}

// One Adam step in the basis; `correction1` and `correction2` are 1 - beta^step.
void soap_move(float *p, const float *g, int m, int n, const float *left, const float *right, float *mean, float *square, float lr,
               float beta1, float beta2, float correction1, float correction2, float eps) {
    Matrix basis(m, n, left, right);
    size_t size = size_t(m) * n;
    for (size_t i = 0; i < size; i++) mean[i] += (1 - beta1) * (g[i] - mean[i]);
    const float *turned = basis.into(g);
    for (size_t i = 0; i < size; i++) square[i] = beta2 * square[i] + (1 - beta2) * turned[i] * turned[i];
    turned = basis.into(mean);
    std::vector<float> move(size);
    for (size_t i = 0; i < size; i++) move[i] = turned[i] / (correction1 * (std::sqrt(square[i] / correction2) + eps));
    const float *step = basis.back(move.data());
    for (size_t i = 0; i < size; i++) p[i] -= lr * step[i];
}
}
