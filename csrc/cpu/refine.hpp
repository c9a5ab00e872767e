#pragma once

#include <cstdint>

#include "cpu/kernels.hpp"
#include "matrix_view.hpp"
#include "neighbor_graph.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// What is kept of the rows behind distinct ones: row r has class class_of[r]; members[member_ptr[c]] ...
// members[member_ptr[c + 1] - 1] are the rows of class c, ascending.
struct KeptRows {
  std::int64_t n_rows;
  const std::int32_t* class_of;
  const std::int32_t* member_ptr;
  const std::int32_t* members;
  const std::uint8_t* must_keep;  // of every row
  const std::int64_t* weights;    // of the classes in the sum that exchanges are to raise
  std::uint8_t* kept;             // of every row; changed here
};

// Exchanges removed rows for kept ones while that raises the weighted sum, over all rows, of the similarity to the
// nearest kept row. Removed rows are visited in ascending order; each comes in if some kept row, the cheapest to lose
// once it is in (the highest of equals), costs less than it gains. Visits are repeated until a round exchanges nothing.
// `rows` are the distinct rows, of which two or more must be kept; `graph` is the beginning of each one's ranking of
// the others. Returns the number of exchanges.
std::int64_t refine(const Kernels& kernels, MatrixView rows, const NeighborGraph& graph, const KeptRows& kept,
                    Watch& watch);

}  // namespace pyredund::cpu
