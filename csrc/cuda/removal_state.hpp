#pragma once

#include <cstdint>

namespace pyredund::cuda {

// Row `row` went over to `to` when `from` was removed.
struct RemovalMove {
  std::int32_t from, row, to;
  float similarity;
};

// What the kernels work on, in device memory.
struct RemovalState {
  std::int64_t n;
  const std::int64_t* begin;  // of each row's list, ...
  const std::int64_t* end;    // ... and its end
  const std::int32_t* ids;
  const float* similarities;
  const std::int32_t* removable;
  const std::int32_t* priority;
  const std::int64_t* weights;
  float* second;  // similarity to the second nearest row of all; -1 where there is none
  std::uint8_t* is_kept;
  std::uint8_t* is_later;  // rows that do not go in this round
  std::int32_t* closest;   // the two kept rows of each row, ...
  std::int32_t* next;
  float* closest_similarity;  // ... their similarities, ...
  float* next_similarity;
  std::int64_t* place;       // ... and where in the row's list the next one is
  unsigned long long* cost;  // of an int64
  std::int32_t* removed;
  std::int64_t* removed_cost;
  std::uint32_t* n_removed;
  RemovalMove* moves;
  std::uint32_t* n_moves;  // goes on beyond the capacity
  std::uint32_t most_moves;
  std::uint32_t* n_worn;  // rows without a second kept row in their list
};

}  // namespace pyredund::cuda
