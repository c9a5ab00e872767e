#pragma once

#include <cstdint>

namespace pyredund {

// Neighbours of every row in SciPy's CSR form, each row sorted by similarity descending, then index
// ascending. The arrays belong to somebody else.
struct NeighborGraph {
  const std::int64_t* indptr = nullptr;
  const std::int32_t* indices = nullptr;
  const float* similarities = nullptr;
  std::int64_t n_rows = 0;
};

// Lists of classes of identical rows: those of a graph of classes, or of a graph of rows, where class c takes the list
// of row first[c], in which row r stands for class class_of[r].
struct ClassLists {
  NeighborGraph graph;
  const std::int32_t* first = nullptr;  // null: the graph is one of classes
  const std::int32_t* class_of = nullptr;

  std::int64_t begin(std::int32_t c) const { return graph.indptr[first != nullptr ? first[c] : c]; }
  std::int64_t end(std::int32_t c) const { return graph.indptr[(first != nullptr ? first[c] : c) + 1]; }
  std::int32_t id(std::int64_t e) const { return first != nullptr ? class_of[graph.indices[e]] : graph.indices[e]; }
};

}  // namespace pyredund
