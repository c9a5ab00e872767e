#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/plain_knn.hpp"

namespace pyredund::cuda {

// Pairs that rows hold: `capacity` places a row, a power of two. Of a row's `counts`, the first `held` are settled:
// the best so far, by their numbers among the unit rows and their similarities, in order; the others by their columns.
// A count beyond the capacity says that pairs were lost.
struct Held {
  std::uint64_t* keys = nullptr;
  std::uint32_t* counts = nullptr;
  std::uint32_t* held = nullptr;
  std::int64_t capacity = 0;
};

// The bars of rows: what a pair's score by tensor cores must reach. Residuals as in DeviceRows.
struct Bars {
  float* bars = nullptr;
  const float* residuals = nullptr;
  const float* largest_other = nullptr;
  std::int64_t dim = 0;     // coordinates that scores are sums over
  float* floors = nullptr;  // the highest similarity that each row's bar has stood for
};

// Which row of the unit rows each row is, and which each column; as they are where not given.
struct Places {
  const std::int32_t* rows = nullptr;
  const std::int32_t* columns = nullptr;
};

// Rows that lost pairs, by their numbers among the unit rows.
struct Lost {
  std::int32_t* rows = nullptr;
  std::uint32_t* count = nullptr;
};

// What a settlement keeps: each row's `k` best, and as its new floor the `rank`-th of them. The `last` one asks whether
// the k-th has reached the floor: a row where it has not, or that has fewer, may have lost some of them.
struct Keep {
  int k = 0, rank = 0;
  bool last = false;
};

// Empty lists for `rows` rows, and bars that let everything pass; bars from `rows` to `all_rows` let nothing pass.
void begin_lists(const Held& held, const Bars& bars, std::int64_t rows, std::int64_t all_rows, cudaStream_t stream);

// Scores what came since the last time, keeps the best, and raises the bars. A row that lost pairs is noted, and gets
// no more.
void settle(const UnitRows& rows, const UnitRows& columns, const Places& places, const Held& held, const Bars& bars,
            const Keep& keep, const Lost& lost, cudaStream_t stream);

// Writes the lists of `rows` rows, row i to that of row to[i], where `to` is given.
void write_lists(const Held& held, std::int64_t rows, const std::int32_t* to, const Lists& lists, cudaStream_t stream);

}  // namespace pyredund::cuda
