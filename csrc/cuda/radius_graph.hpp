#pragma once

#include <cstdint>
#include <vector>

#include "cuda/knn_graph.hpp"

namespace pyredund::cuda {

// Pairs of rows and their similarities, in no order; of a self-join with row < column.
struct SimilarPairs {
  std::vector<std::int32_t> rows, columns;
  std::vector<float> similarities;
  bool complete = true;  // false: the search stopped because there are more than were asked for
};

// As cpu::similar_pairs, with the same pairs and bits: all pairs of distinct unit rows, or of `rows` with those of
// `reference` where that is given, whose similarity is at least `threshold`, at most about `most` of them.
SimilarPairs similar_pairs(MatrixView rows, const MatrixView* reference, double threshold, std::int64_t most,
                           const SearchOptions& options, Watch& watch);

// The same among the distinct rows of embeddings that lie on a device.
SimilarPairs similar_pairs_of_units(const DeviceUnits& units, double threshold, std::int64_t most,
                                    SearchOptions options, Watch& watch);

}  // namespace pyredund::cuda
