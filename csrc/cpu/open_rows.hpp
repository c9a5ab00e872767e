#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cpu/kernels.hpp"
#include "cpu/knn_graph.hpp"
#include "matrix_view.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// Rows that wait to hear which of the next picks come near them, in groups of near rows. A pick that is farther from a
// group's centre than the group's radius and the farthest reach of its rows together is near none of them (the triangle
// inequality), so that most groups need not be compared with most picks.
class OpenRows {
 public:
  // `order`: all rows, near ones together.
  OpenRows(const SearchPlan& plan, MatrixView rows, std::vector<std::int32_t> order);

  // What thread `thread` found for `row`: picks by their numbers, ascending, that may reach the row's bar.
  using Resolve = std::function<void(int thread, std::int32_t row, const Survivor* found, std::int64_t count)>;

  // Calls `resolve` for every row and the picks whose approximate score reaches `bars[row]`; a bar of infinity means
  // that the row waits no more, for good.
  void compare(MatrixView picks, const std::vector<float>& bars, const Resolve& resolve, const Watch& watch);

 private:
  void group(const std::vector<float>& bars);
  void compare_groups(int thread, std::int64_t begin, std::int64_t end, MatrixView picks,
                      const std::vector<float>& bars, const Resolve& resolve) const;
  // The product of a pick with the group's centre below which none of its rows is near.
  double limit(std::int64_t group, float lowest_bar) const;

  SearchPlan plan_;
  MatrixView rows_;
  std::int64_t width_;               // rows of a group
  std::vector<std::int32_t> order_;  // rows that waited when they were grouped last, group after group
  std::vector<float> panels_, centres_;
  std::vector<double> radii_, squares_;  // squares of the lengths of the centres
};

}  // namespace pyredund::cpu
