#pragma once

#include <cstdint>

#include "cpu/knn_graph.hpp"
#include "neighbor_graph.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// What a visit decides for a row. Rows that are kept beforehand drop what is near them; rows that are dropped
// beforehand drop nothing.
enum Fate : std::uint8_t { kUndecided = 0, kKept = 1, kDropped = 2 };

// Visits the rows in `order`: a row is kept unless a kept one is similar to it by `threshold` or more. `lists` hold,
// in both directions, all pairs of rows that similar, and perhaps others behind them, but may lack those of two
// `crowded` rows, which are searched for here: a few hundred undecided crowded rows at a time, so that a clump is gone
// after its first rows.
void deduplicate(const SearchPlan& plan, MatrixView rows, const ClassLists& lists, const std::uint8_t* crowded,
                 const std::int32_t* order, double threshold, std::uint8_t* fates, Watch& watch);

// Of each class the name, 0 or more: its own, or else that of the most similar one listed that has one, the lowest of
// equals; and the similarity. -1 where there is none, or, if lists are not `are_even`, where one with a lower name may
// be as similar and not listed.
void closest_listed(const ClassLists& lists, std::int64_t n_classes, const std::int32_t* names, bool are_even,
                    std::int32_t* closest, float* similarities, Watch& watch);

}  // namespace pyredund::cpu
