#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace pyredund::cuda {

constexpr unsigned kAllThreads = 0xFFFFFFFFu;

// The sum of eight threads' values in the fixed order ((0+4)+(2+6)) + ((1+5)+(3+7)), for each of a warp's four groups
// of eight; every thread gets its group's sum.
__device__ inline double sum_of_lanes(double lane) {
  lane = __dadd_rn(lane, __shfl_xor_sync(kAllThreads, lane, 4));
  lane = __dadd_rn(lane, __shfl_xor_sync(kAllThreads, lane, 2));
  return __dadd_rn(lane, __shfl_xor_sync(kAllThreads, lane, 1));
}

// The similarity that is reported for two unit rows, computed by eight threads, coordinate i by thread i % 8: products
// of float32 are exact in float64, so that the sum has the bits of the CPU's. Exactly 1 for rows that are identical.
// For all threads of a warp, with the same stride (a multiple of 8) and any rows.
__device__ inline float exact_score(const float* x, const float* y, std::int64_t stride) {
  double sum = 0.0;
  bool same = true;
  for (std::int64_t i = threadIdx.x % 8; i < stride; i += 8) {
    const float a = x[i], b = y[i];
    sum = __dadd_rn(sum, __dmul_rn(static_cast<double>(a), static_cast<double>(b)));
    same = same && __float_as_uint(a) == __float_as_uint(b);
  }
  const unsigned others = __ballot_sync(kAllThreads, same) >> (threadIdx.x % 32 / 8 * 8);
  const double total = sum_of_lanes(sum);
  if ((others & 0xFFu) == 0xFFu) return 1.0f;
  const float score = __double2float_rn(total);
  return fminf(fmaxf(score, -1.0f), 1.0f) + 0.0f;  // a tiny negative score rounds to -0
}

}  // namespace pyredund::cuda
