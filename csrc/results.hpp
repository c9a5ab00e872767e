#pragma once

#include <cstdint>
#include <vector>

// What the searches and selectors of both cores, that of the CPU and that of CUDA, find.
namespace pyredund {

// Pairs of rows and their similarities, in no order.
struct SimilarPairs {
  std::vector<std::int32_t> rows, columns;
  std::vector<float> similarities;
  bool complete = true;  // false: the search stopped because there are more than were asked for
};

// What happened, step by step. In step t row removed[t] went at costs[t] (in units of 2^-32), after which the
// nearest kept class of class moved[e] is nearest[e], for e from moved_ptr[t] to moved_ptr[t + 1], moved[e] ascending.
struct RemovalLog {
  std::vector<std::int32_t> removed;
  std::vector<std::int64_t> costs;
  std::vector<std::int64_t> moved_ptr{0};
  std::vector<std::int32_t> moved;
  std::vector<std::int32_t> nearest;
  std::vector<float> similarities;
};

// Rows in the order in which they were picked, and what each gained.
struct InsertionLog {
  std::vector<std::int32_t> picked;
  std::vector<std::int64_t> gains;  // in units of 2^-32
};

}  // namespace pyredund
