#pragma once

#include <cstdint>

#include "cpu/knn_graph.hpp"
#include "neighbor_graph.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// What a visit decides for a row. Rows that are kept beforehand drop what is near them; rows that are dropped
// beforehand drop nothing.
enum Fate : std::uint8_t { kUndecided = 0, kKept = 1, kDropped = 2 };

// Visits the rows in `order`: a row is kept unless a kept one is similar to it by `threshold` or more. `graph` lists,
// in both directions, all pairs of rows that similar, and perhaps others behind them, but may lack those of two
// `crowded` rows, which are searched for here: a few hundred undecided crowded rows at a time, so that a clump is gone
// after its first rows.
void deduplicate(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, const std::uint8_t* crowded,
                 const std::int32_t* order, double threshold, std::uint8_t* fates, Watch& watch);

// The closest row in each row's list among those with a name of 0 or more, and their similarity; of equals that with
// the lowest name. -1 where there is none.
void closest_listed(const NeighborGraph& graph, const std::int64_t* names, std::int32_t* closest, float* similarities,
                    Watch& watch);

}  // namespace pyredund::cpu
