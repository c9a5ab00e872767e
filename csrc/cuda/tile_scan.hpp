#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/search_plan.hpp"

namespace pyredund::cuda {

// A pair that may reach the threshold, and its score by tensor cores, then its similarity.
struct Pair {
  std::int32_t row, column;
  float score;
};

// Where survivors go: behind each other to their rows' buffers, or, where `pairs` is given, to one list of pairs.
// Counts go on beyond the capacity, so that what was lost is known.
struct Survivors {
  std::uint64_t* keys = nullptr;  // `capacity` for each row
  std::uint32_t* counts = nullptr;
  std::int64_t capacity = 0;
  Pair* pairs = nullptr;
  unsigned long long* n_pairs = nullptr;
};

// Some tiles of pairs of rows with columns, both halves in whole tiles. `symmetric`: the columns are the rows, tiles
// are those of `span` in the cyclic upper triangle (see search_plan.hpp), and columns have bars too. Otherwise row i
// leaves out the column whose number in `column_ids` is own[i], where `own` is given. Bars are in units of 2^-20; a
// score survives if it reaches its row's bar or its column's.
struct TileScan {
  const __half* rows = nullptr;
  const __half* columns = nullptr;
  std::int64_t half_stride = 0;
  std::int32_t n_rows = 0, n_columns = 0;
  const float* row_bars = nullptr;
  const float* column_bars = nullptr;
  const std::int32_t* own = nullptr;
  const std::int32_t* column_ids = nullptr;
  bool symmetric = false;
  TileSpan span;
  std::int32_t chunks = 0, last_slices = 0;
  Survivors survivors;
};

// Allows the kernel all the shared memory that a block may have on the current device. What is allowed is the
// process's, and searches of other shapes may be under way: it must be the same for all.
void prepare_scan(std::int64_t shared_bytes);
void scan_tiles(TileScan scan, const ScanShape& shape, cudaStream_t stream);

}  // namespace pyredund::cuda
