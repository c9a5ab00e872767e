#pragma once

#include <cstdint>
#include <vector>

#include "neighbor_graph.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// Keeps the first of every set of byte-identical rows, moved together in place and in order, and returns how
// many there are. class_of[i] is the place of row i's copy among them. Rows are found by hashing and
// confirmed by comparing.
std::int64_t collapse_identical_rows(float* data, std::int64_t rows, std::int64_t stride, std::int32_t* class_of,
                                     Watch& watch);

// The rows that stand behind distinct rows: members[member_ptr[c]] ... members[member_ptr[c + 1] - 1],
// ascending.
struct Members {
  const std::int32_t* member_ptr;
  const std::int32_t* members;
};

// Fills both arrays, n_classes + 1 and n_rows entries.
void member_lists(const std::int32_t* class_of, std::int64_t n_rows, std::int64_t n_classes, std::int32_t* member_ptr,
                  std::int32_t* members);

// Neighbour lists of distinct rows: `k` a row, similarity descending, then id ascending.
struct DistinctLists {
  std::int64_t k;
  const std::int32_t* ids;
  const float* similarities;
};

// Turns lists of distinct rows into lists of rows: row i gets the k best members of its class's neighbours,
// similarity descending, then row ascending. With `self_join` the neighbours include the class itself
// (similarity 1) and leave out row i. Each list must hold at least min(k, all) distinct rows, ordered among
// equals by their lowest member. Where both are of one length, the lists of rows may take the place of the others.
void expand_identical_rows(const DistinctLists& lists, const std::int32_t* class_of, std::int64_t rows,
                           const Members& members, bool self_join, std::int64_t k, std::int32_t* ids,
                           float* similarities, Watch& watch);

// The same for lists of any length, all of whose members count: fills `indptr`, rows + 1 entries, with where each row's
// list begins; then, once there is room for them, the lists.
void expanded_indptr(const NeighborGraph& lists, const std::int32_t* class_of, std::int64_t rows,
                     const Members& members, bool self_join, std::int64_t* indptr, Watch& watch);
void expand_lists(const NeighborGraph& lists, const std::int32_t* class_of, std::int64_t rows, const Members& members,
                  bool self_join, const std::int64_t* indptr, std::int32_t* ids, float* similarities, Watch& watch);

// A graph of distinct rows, row after row as in NeighborGraph.
struct DistinctGraph {
  std::vector<std::int64_t> indptr;
  std::vector<std::int32_t> indices;
  std::vector<float> similarities;
};

// Turns lists of rows into lists of distinct rows: each takes that of its first member, in which every other class
// counts once, where it comes first.
DistinctGraph collapse_lists(const NeighborGraph& graph, const std::int32_t* class_of, const Members& members,
                             std::int64_t n_distinct, Watch& watch);

}  // namespace pyredund::cpu
