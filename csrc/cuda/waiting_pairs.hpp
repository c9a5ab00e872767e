#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/pair_key.hpp"
#include "cuda/tile_scan.hpp"

namespace pyredund::cuda {

// Pairs that a thread has found and not handed on. A pair's place in a buffer is the answer to an atomic addition, for
// which the thread, and all others at the next barrier, would have to wait. Here pairs wait, in the thread's own
// memory, until many can ask at once.
class WaitingPairs {
 public:
  static constexpr int kMost = 16;
  static constexpr int kMany = kMost / 2;  // when a warp hands on what it has
  using Places = Pair[kMost];              // apart from the count, which can stay in a register

  __device__ explicit WaitingPairs(Places& places) : pairs_(places) {}
  __device__ int count() const { return count_; }

  // `row` and `column` as Survivors want them: of lists, the list's row and the pair's other row.
  __device__ void add(const Survivors& to, std::int32_t row, std::int32_t column, float score) {
    if (count_ == kMost) hand_on(to);
    pairs_[count_++] = Pair{row, column, score};
  }

  __device__ void hand_on(const Survivors& to) {
    if (to.pairs != nullptr) {
      if (count_ > 0) list(to);
    } else {
#pragma unroll 1
      for (int first = 0; first < count_; first += kAtOnce) append(to, first);
    }
    count_ = 0;
  }

 private:
  static constexpr int kAtOnce = 4;

  __device__ void append(const Survivors& to, int first) const {
    std::uint32_t at[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      at[i] = first + i < count_ ? atomicAdd(to.counts + pairs_[first + i].row, 1u) : ~0u;
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      if (at[i] >= to.capacity) continue;
      const Pair& pair = pairs_[first + i];
      to.keys[pair.row * to.capacity + at[i]] = pack_pair(pair.column, pair.score);
    }
  }

  __device__ void list(const Survivors& to) const {
    const unsigned long long first = atomicAdd(to.n_pairs, static_cast<unsigned long long>(count_));
#pragma unroll 1
    for (int i = 0; i < count_; ++i) {
      if (first + i < static_cast<unsigned long long>(to.capacity)) to.pairs[first + i] = pairs_[i];
    }
  }

  Places& pairs_;
  int count_ = 0;
};

}  // namespace pyredund::cuda
