#pragma once

#include <cstdint>
#include <functional>

#include "cpu/knn_graph.hpp"
#include "results.hpp"

namespace pyredund::cpu {

// Rows in at least `most` pairs are crowded; pairs of two crowded rows may be left out, so that a clump of m rows does
// not hold m * m / 2 of them.
struct Crowding {
  std::int32_t most;
  std::uint8_t* crowded;  // 1 for each crowded row; 0 beforehand
};

// Which of the similar pairs to take: none of one group, and of those less similar than `sure` only what `accepts`,
// given the places of both rows.
struct PairFilter {
  const std::int32_t* groups = nullptr;
  const std::int32_t* reference_groups = nullptr;
  double sure = -2.0;
  std::function<bool(std::int32_t, std::int32_t)> accepts;
};

// All pairs row < column whose similarity is at least `threshold`, at most about `most` of them. Rows are unit rows, no
// two of them identical; with a sketch they lie as it says, and pairs name them as before.
SimilarPairs similar_pairs(const SearchPlan& plan, MatrixView rows, const Sketch& sketch, double threshold,
                           std::int64_t most, Watch& watch, const Crowding* crowding = nullptr,
                           const PairFilter* filter = nullptr);

// The same for rows of `queries` with columns of `reference`.
SimilarPairs similar_pairs(const SearchPlan& plan, MatrixView queries, MatrixView reference, double threshold,
                           std::int64_t most, Watch& watch, const PairFilter* filter = nullptr);

// Lists of neighbours, most similar first, equals by index, from pairs; `symmetric`: each pair stands for both
// directions. indptr has n_rows + 1 entries.
void lists_of_pairs(const std::int32_t* rows, const std::int32_t* columns, const float* similarities,
                    std::int64_t n_pairs, bool symmetric, std::int64_t n_rows, std::int64_t* indptr,
                    std::int32_t* indices, float* out, Watch& watch);

}  // namespace pyredund::cpu
