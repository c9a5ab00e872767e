#pragma once

#include <cstdint>
#include <vector>

#include "neighbor_graph.hpp"
#include "results.hpp"
#include "watch.hpp"

namespace pyredund::cuda {

// Lists that take the place of some rows' in the graph; of several for a row, the last.
struct LongerLists {
  std::int64_t n = 0;
  const std::int32_t* rows = nullptr;
  const std::int64_t* indptr = nullptr;
  const std::int32_t* indices = nullptr;
  const float* similarities = nullptr;
};

struct RemovalByRounds : RemovalLog {
  std::int64_t rounds = 0;  // that it took
  // Where a list held no second kept row: rows whose lists are worn out, or nearly. Nothing else is known then.
  std::vector<std::int32_t> worn;
};

// As cpu::removal of distinct rows, one a class, with the same log, as long as every list holds two kept rows.
//
// Every row i has two rows: the closest kept one, a (itself, if it is kept), and the next, b. The cost of x is the sum
// over the rows with a = x of what they lose by going over to b; it only grows. A row z goes at once, with all others
// of its kind, if for every row i in whose order of kept rows it comes
//   first: the next one goes after z, by cost and the rules for ties;
//   later: one of those before it goes after z.
// Then none of the rows that go before z can change its cost: a row that z is first for keeps its b, and one that z is
// not first for keeps a row before it, so that z does not become the first of two of which one goes. So z goes at this
// cost in the greedy algorithm, too, whatever has gone out of turn: what did, and goes after z there, had such a row
// before it, or behind it, that still stands between it and z. Removals in the order of the algorithm are its log.
//
// This is done for rows up to a cost that is raised until enough have gone. Where costs form a chain, a round takes one
// row. Rows beyond the last that is wanted can wear out lists, too. Where a list is worn out, the caller makes it
// longer, and all begins again: a row beyond a list's end may have gone when it should have waited.
RemovalByRounds removal(const NeighborGraph& graph, const LongerLists& longer, const std::int32_t* removable,
                        const std::int32_t* priority, const std::int64_t* weights, std::int64_t n_remove, int device,
                        Watch& watch);

}  // namespace pyredund::cuda
