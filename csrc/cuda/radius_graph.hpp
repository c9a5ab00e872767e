#pragma once

#include <cstdint>

#include "cuda/knn_graph.hpp"
#include "results.hpp"

namespace pyredund::cuda {

// As cpu::similar_pairs, with the same pairs and bits: all pairs of distinct unit rows, or of `rows` with those of
// `reference` where that is given, whose similarity is at least `threshold`, at most about `most` of them; in a
// self-join with row < column. Where a device has no room for all rows, parts of them come from the host; several
// devices share these.
SimilarPairs similar_pairs(MatrixView rows, const MatrixView* reference, double threshold, std::int64_t most,
                           const SearchOptions& options, Watch& watch);

// The same among the distinct rows of embeddings that lie on a device.
SimilarPairs similar_pairs_of_units(const DeviceUnits& units, double threshold, std::int64_t most,
                                    SearchOptions options, Watch& watch);

}  // namespace pyredund::cuda
