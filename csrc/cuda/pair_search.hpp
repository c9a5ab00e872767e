#pragma once

#include <atomic>
#include <cstdint>

#include "cuda/device_rows.hpp"
#include "cuda/knn_graph.hpp"
#include "results.hpp"

namespace pyredund::cuda {

// What the searches of one call have found, several of them at once perhaps.
struct Tally {
  explicit Tally(std::int64_t most) : most(most) {}
  bool full() const { return n_pairs > most; }

  const std::int64_t most;
  std::atomic<std::int64_t> n_pairs{0};
};

// What a search adds to a watch when it is through.
inline std::int64_t pairs_of(std::int64_t rows, std::int64_t columns, bool self_join) {
  return self_join ? rows * (rows + 1) / 2 : rows * columns;
}

// All pairs of a row and a column, both on the device of `options`, whose similarity is at least `threshold`; in a
// self-join with row < column. It ends early when `tally`, to which it adds, is full.
SimilarPairs search_pairs(const UnitRows& rows, const UnitRows& columns, bool self_join, double threshold, Tally& tally,
                          const SearchOptions& options, cudaStream_t stream, Watch& watch);

}  // namespace pyredund::cuda
