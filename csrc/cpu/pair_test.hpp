#pragma once

#include <atomic>
#include <cstdint>

#include "cpu/knn_graph.hpp"
#include "cpu/tile_scan.hpp"

namespace pyredund::cpu {

// Whether pairs that the scan could not rule out reach the bar of one of their rows, by bounds that are ever longer,
// and their similarities.
class PairTest {
 public:
  PairTest(const Kernels& kernels, MatrixView rows, const Sketch& sketch, bool coarse, const std::atomic<float>* bars)
      : kernels_(kernels), rows_(rows), sketch_(sketch), coarse_(coarse), bars_(bars) {}

  // Keeps those survivors whose similarity may enter a list, with that similarity in `approximate`; returns their
  // count.
  std::int64_t keep(Survivor* survivors, std::int64_t count) {
    std::int64_t kept = 0;
    survived_scan_ += count;
    if (coarse_ && sketch_.bounds != nullptr) {
      for (std::int64_t s = 0; s < count; ++s) {
        if (s + kAhead < count) {
          __builtin_prefetch(sketch_.bounds + survivors[s + kAhead].row * sketch_.bounds_stride);
          __builtin_prefetch(sketch_.bounds + survivors[s + kAhead].column * sketch_.bounds_stride);
        }
        if (!is_out_by_bounds(survivors[s])) survivors[kept++] = survivors[s];
      }
      count = kept;
      kept = 0;
    }
    survived_bounds_ += count;
    const bool is_narrow = coarse_ && rows_.stride <= kNarrow;
    for (std::int64_t s = 0; s < count; ++s) {
      if (coarse_ && s + kAhead < count) {
        fetch_early(survivors[s + kAhead].row);
        fetch_early(survivors[s + kAhead].column);
      }
      const Survivor pair = survivors[s];
      const float* x = rows_.row(pair.row);
      const float* y = rows_.row(pair.column);
      if (!is_narrow && is_out(pair, coarse_ ? bound_of_whole_rows(pair, x, y) : pair.approximate)) continue;
      const float exact = similarity(kernels_, x, y, rows_.stride);
      ++scored_;
      if (!is_out(pair, exact)) survivors[kept++] = {pair.row, pair.column, exact};
    }
    return kept;
  }

  void add_to(SearchCounts& counts) const {
    counts.survived_scan += survived_scan_;
    counts.survived_bounds += survived_bounds_;
    counts.scored += scored_;
  }

 private:
  static constexpr std::int64_t kAhead = 6;    // pairs whose rows are fetched early
  static constexpr std::int64_t kNarrow = 64;  // coordinates up to which one more bound costs about what it saves

  void fetch_early(std::int64_t place) const {
    if (sketch_.words != nullptr) {
      __builtin_prefetch(sketch_.words + place * sketch_.words_stride);
    } else {
      __builtin_prefetch(rows_.row(place));
    }
  }

  float bound_of_whole_rows(const Survivor& pair, const float* x, const float* y) const {
    if (sketch_.words == nullptr) return kernels_.approximate(x, y, rows_.stride);
    return static_cast<float>(word_product(kernels_, sketch_, pair.row, pair.column) +
                              word_slack(sketch_, pair.row, pair.column));
  }

  // Whether the pair cannot enter either list, by an upper bound of its approximate score.
  bool is_out(const Survivor& pair, float bound) const {
    return bound < bars_[pair.row].load(std::memory_order_relaxed) &&
           bound < bars_[pair.column].load(std::memory_order_relaxed);
  }

  bool is_out_by_bounds(const Survivor& pair) const {
    const float* x = sketch_.bounds + pair.row * sketch_.bounds_stride;
    const float* y = sketch_.bounds + pair.column * sketch_.bounds_stride;
    std::int64_t from = sketch_.z_stride, norm = sketch_.lengths.back();
    double sum = sketch_.bounds_slack + kernels_.approximate(x, y, from);
    if (is_out(pair, static_cast<float>(sum))) return true;
    sum -= static_cast<double>(x[sketch_.z_dim - 1]) * y[sketch_.z_dim - 1];
    for (std::size_t l = 1; l < sketch_.lengths.size(); ++l, ++norm) {
      sum += kernels_.approximate(x + from, y + from, sketch_.lengths[l] - from);
      if (is_out(pair, static_cast<float>(sum + static_cast<double>(x[norm]) * y[norm]))) return true;
      from = sketch_.lengths[l];
    }
    return false;
  }

  const Kernels& kernels_;
  MatrixView rows_;
  const Sketch& sketch_;
  bool coarse_;
  const std::atomic<float>* bars_;
  std::int64_t survived_scan_ = 0, survived_bounds_ = 0, scored_ = 0;
};

}  // namespace pyredund::cpu
