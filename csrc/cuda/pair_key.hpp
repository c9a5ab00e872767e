#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace pyredund::cuda {

// An (id, score) pair as one integer that orders pairs by score descending, then id ascending: larger is better. 0 is
// below every pair.
__device__ inline std::uint64_t pack_pair(std::int32_t id, float score) {
  std::uint32_t bits = __float_as_uint(score + 0.0f);  // -0 and +0 are the same score
  bits = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return (static_cast<std::uint64_t>(bits) << 32) | ~static_cast<std::uint32_t>(id);
}

__device__ inline std::int32_t pair_id(std::uint64_t pair) {
  return static_cast<std::int32_t>(~static_cast<std::uint32_t>(pair));
}

__device__ inline float pair_score(std::uint64_t pair) {
  const auto bits = static_cast<std::uint32_t>(pair >> 32);
  return __uint_as_float((bits >> 31) != 0 ? bits & 0x7FFFFFFFu : ~bits);
}

// Sorts `count` keys in shared memory, a power of two, in descending order. For all threads of a block.
__device__ inline void sort_descending(std::uint64_t* keys, int count) {
  for (int size = 2; size <= count; size *= 2) {
    for (int reach = size / 2; reach > 0; reach /= 2) {
      __syncthreads();
      for (int i = static_cast<int>(threadIdx.x); i < count / 2; i += static_cast<int>(blockDim.x)) {
        const int low = i / reach * 2 * reach + i % reach, high = low + reach;
        const bool descending = (low & size) == 0;
        const std::uint64_t a = keys[low], b = keys[high];
        if ((a < b) == descending) {
          keys[low] = b;
          keys[high] = a;
        }
      }
    }
  }
  __syncthreads();
}

}  // namespace pyredund::cuda
