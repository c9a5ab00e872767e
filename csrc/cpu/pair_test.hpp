#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

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
    survived_scan_ += count;
    if (coarse_ && sketch_.bounds != nullptr) count = keep_by_bounds(survivors, count);
    survived_bounds_ += count;
    if (!coarse_ || rows_.stride > kNarrow) count = keep_by_whole_rows(survivors, count);
    scored_ += count;
    scores_.resize(static_cast<std::size_t>(count + 1));
    kernels_.score_pairs(rows_.data, rows_.stride, survivors, count, scores_.data());
    std::int64_t kept = 0;
    for (std::int64_t s = 0; s < count; ++s) {
      const Survivor pair = survivors[s];
      const float exact = similarity_by_score(scores_[s], rows_.row(pair.row), rows_.row(pair.column), rows_.stride);
      survivors[kept] = {pair.row, pair.column, exact};
      kept += is_out(pair, exact) ? 0 : 1;
    }
    return kept;
  }

  void add_to(SearchCounts& counts) const {
    counts.survived_scan += survived_scan_;
    counts.survived_bounds += survived_bounds_;
    counts.scored += scored_;
  }

 private:
  static constexpr std::int64_t kNarrow = 64;  // coordinates up to which one more bound costs about what it saves

  // Bounds by ever more coordinates; see Sketch::bounds.
  std::int64_t keep_by_bounds(Survivor* survivors, std::int64_t count) {
    std::int64_t from = 0, to = sketch_.z_stride, norm = sketch_.z_dim - 1;
    sums_.assign(static_cast<std::size_t>(count), sketch_.bounds_slack);  // of the coordinates so far
    for (std::size_t l = 0; l < sketch_.lengths.size(); ++l) {
      products_.resize(static_cast<std::size_t>(count));
      kernels_.approximate_pairs(sketch_.bounds + from, sketch_.bounds_stride, to - from, survivors, count,
                                 products_.data());
      std::int64_t kept = 0;
      for (std::int64_t s = 0; s < count; ++s) {
        const Survivor pair = survivors[s];
        const double beyond = static_cast<double>(sketch_.bounds[pair.row * sketch_.bounds_stride + norm]) *
                              sketch_.bounds[pair.column * sketch_.bounds_stride + norm];
        // The shortest rows hold their norms among their coordinates.
        const double bound = sums_[s] + products_[s] + (l == 0 ? 0.0 : beyond);
        survivors[kept] = pair;
        sums_[kept] = bound - beyond;
        kept += is_out(pair, static_cast<float>(bound)) ? 0 : 1;
      }
      count = kept;
      if (l + 1 == sketch_.lengths.size()) break;
      from = to;
      to = sketch_.lengths[l + 1];
      norm = sketch_.lengths.back() + static_cast<std::int64_t>(l);
    }
    return count;
  }

  std::int64_t keep_by_whole_rows(Survivor* survivors, std::int64_t count) {
    const bool has_words = coarse_ && sketch_.words != nullptr;
    if (has_words) {
      word_products_.resize(static_cast<std::size_t>(count));
      kernels_.multiply_word_pairs(sketch_.words, sketch_.words_stride, survivors, count, word_products_.data());
    } else if (coarse_) {
      products_.resize(static_cast<std::size_t>(count));
      kernels_.approximate_pairs(rows_.data, rows_.stride, rows_.stride, survivors, count, products_.data());
    }
    std::int64_t kept = 0;
    for (std::int64_t s = 0; s < count; ++s) {
      const Survivor pair = survivors[s];
      float bound = pair.approximate;
      if (has_words) {
        bound = static_cast<float>(kWordUnit * word_products_[s] + word_slack(sketch_, pair.row, pair.column));
      } else if (coarse_) {
        bound = products_[s];
      }
      survivors[kept] = pair;
      kept += is_out(pair, bound) ? 0 : 1;
    }
    return kept;
  }

  // Whether the pair cannot enter either list, by an upper bound of its approximate score.
  bool is_out(const Survivor& pair, float bound) const {
    return (bound < bars_[pair.row].load(std::memory_order_relaxed)) &
           (bound < bars_[pair.column].load(std::memory_order_relaxed));
  }

  const Kernels& kernels_;
  MatrixView rows_;
  const Sketch& sketch_;
  bool coarse_;
  const std::atomic<float>* bars_;
  std::vector<float> products_;
  std::vector<std::int32_t> word_products_;
  std::vector<double> sums_, scores_;
  std::int64_t survived_scan_ = 0, survived_bounds_ = 0, scored_ = 0;
};

}  // namespace pyredund::cpu
