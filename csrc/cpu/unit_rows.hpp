#pragma once

#include <cstdint>

#include "cpu/kernels.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// Divides every row by its Euclidean norm: out[i, c] = float32(x[i, c] / norm[i]), -0 folded into +0,
// coordinates from `dim` to `stride` zero, a zero row left zero. The squares are summed in float64 in eight
// lanes (coordinate mod 8), the lanes as ((0+4)+(2+6)) + ((1+5)+(3+7)); a row whose largest magnitude lies
// outside of 2^-400 ... 2^400 is scaled by a power of two first. norms[i] (of the scaled row) is not finite
// exactly when the row holds NaN or infinity.
template <typename T>
void unit_rows(const Kernels& kernels, const T* embeddings, std::int64_t rows, std::int64_t dim, std::int64_t stride,
               float* out, double* norms, int n_threads, Watch& watch);

}  // namespace pyredund::cpu
