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

}  // namespace pyredund
