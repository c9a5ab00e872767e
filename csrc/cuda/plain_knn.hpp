#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/device_rows.hpp"

namespace pyredund::cuda {

// Neighbour lists on a device: k a row.
struct Lists {
  std::int32_t* ids = nullptr;
  float* similarities = nullptr;
  std::int64_t k = 0;
};

// Which columns a row searches: all but own[row], where `own` is given, else all but the row itself where `self_join`.
struct Columns {
  UnitRows rows;
  const std::int32_t* own = nullptr;
  bool self_join = false;
};

// The definition on the GPU: fills places [from, from + take) of the lists of rows [first, first + count) with the best
// columns behind those in the places before, by scoring every pair exactly. take <= kPlainTake.
constexpr std::int64_t kPlainTake = 2048;
void plain_knn(const UnitRows& rows, std::int64_t first, std::int64_t count, const Columns& columns, const Lists& lists,
               std::int64_t from, std::int64_t take, cudaStream_t stream);

}  // namespace pyredund::cuda
