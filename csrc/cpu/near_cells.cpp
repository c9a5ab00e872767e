#include "cpu/near_cells.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <numeric>

#include "cpu/pair_sort.hpp"
#include "cpu/smallest_first.hpp"
#include "cpu/tile_scan.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kGroup = 64;    // cells whose mean stands for them
constexpr float kNone = -3.0f;         // below every product
constexpr std::int64_t kRanking = 64;  // leading coordinates that choose the rows that are multiplied in full

// Rows in near cells. More of them give higher floors; these cost about as much as the search then saves, which is less
// where pairs that pass the bytes are scored at once.
std::int64_t near_rows(std::int64_t n_rows, std::int64_t k, const Sketch& sketch) {
  return std::max(4 * k, std::clamp<std::int64_t>(n_rows / (sketch.bounds != nullptr ? 96 : 160), 256, 2048));
}

// Groups in which near cells are looked for.
std::int64_t near_groups(std::int64_t n_near) { return std::max<std::int64_t>(8, 4 * n_near / kGroup + 2); }

float squared_distance(const float* x, const float* y, std::int64_t count) {
  float sum[8] = {};
  for (std::int64_t i = 0; i < count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) sum[lane] += (x[i + lane] - y[i + lane]) * (x[i + lane] - y[i + lane]);
  }
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

// The `count` entries of `from` nearest to `target`, in any order.
void nearest(const std::vector<std::int32_t>& from, const float* points, std::int64_t stride, const float* target,
             std::int64_t count, std::vector<std::int32_t>& found) {
  thread_local std::vector<std::uint64_t> keyed;
  keyed.clear();
  for (const std::int32_t entry : from) {
    keyed.push_back(pack_pair(entry, squared_distance(points + entry * stride, target, stride)));
  }
  const auto size = static_cast<std::int64_t>(keyed.size()), kept = std::min(count, size);
  smallest_first(keyed.data(), size, kept);
  found.clear();
  for (std::int64_t i = 0; i < kept; ++i) found.push_back(pair_id(keyed[i]));
}

// Means of their short rows. The centres of caps are worse here: the nearer of two means with the same product is that
// of the wider cell, which has more rows that are near by chance.
std::vector<float> means_of_cells(const Kernels& kernels, const Cells& cells) {
  std::vector<float> means(static_cast<std::size_t>(cells.count() * cells.stride)), weights;
  for (std::int64_t cell = 0; cell < cells.count(); ++cell) {
    const std::int64_t begin = cell * cells.panel_width;
    const std::int64_t size = std::min(cells.panel_width, cells.sketch.n_rows - begin);
    weights.assign(static_cast<std::size_t>(size), 1.0f / static_cast<float>(size));
    kernels.weighted_sum(cells.sketch.cells + begin * cells.stride, cells.stride, weights.data(), size,
                         means.data() + cell * cells.stride);
  }
  return means;
}

// What one thread needs to find the floors of a cell's rows.
class CellFloors {
 public:
  CellFloors(const Kernels& kernels, MatrixView rows, const Cells& cells, std::int64_t k)
      : kernels_(kernels),
        rows_(rows),
        sketch_(cells.sketch),
        width_(cells.panel_width),
        k_(k),
        margin_(1.01 * scan_margin(rows.stride)),
        short_dim_(sketch_.bounds != nullptr ? std::min(sketch_.z_dim, kRanking) : rows.dim),
        panel_(static_cast<std::size_t>(width_ * (short_dim_ + 1))),
        floors_(static_cast<std::size_t>(width_)) {}

  // From the rows of some cells; fewer than k of them, the own one aside, give no floor.
  void find(std::int64_t cell, const std::vector<std::int32_t>& near, float* out) {
    const std::int64_t begin = cell * width_, size = std::min(rows_.rows, begin + width_) - begin;
    picks_.clear();
    for (const std::int64_t other : near) {
      for (std::int64_t p = other * width_; p < std::min(rows_.rows, (other + 1) * width_); ++p) {
        picks_.push_back(static_cast<std::int32_t>(p));
      }
    }
    const auto count = static_cast<std::int64_t>(picks_.size());
    if (count <= k_) return;
    products_.resize(static_cast<std::size_t>(count * width_));
    const MatrixView view =
        sketch_.bounds != nullptr ? MatrixView{sketch_.bounds, rows_.rows, short_dim_, sketch_.bounds_stride} : rows_;
    kernels_.floats.pack_panel(view.row(begin), view.stride * static_cast<std::int64_t>(sizeof(float)), size,
                               short_dim_, panel_.data());
    kernels_.multiply_panel(
        {view.data, view.stride, count, picks_.data(), panel_.data(), short_dim_, width_, products_.data(), width_});
    for (std::int64_t n = 0; n < count; ++n) {  // none with itself
      if (picks_[n] >= begin && picks_[n] < begin + size) products_[n * width_ + picks_[n] - begin] = kNone;
    }
    const std::int64_t wanted = sketch_.bounds != nullptr ? std::min(count - 1, std::max(2 * k_, k_ + 32)) : k_;
    kernels_.reached_by(products_.data(), count, wanted, floors_.data());
    for (std::int64_t i = 0; i < size; ++i) {
      const double floor = sketch_.bounds != nullptr ? floor_of_best(begin + i, i, floors_[i]) : floors_[i];
      out[begin + i] = static_cast<float>(floor - margin_);
    }
  }

 private:
  // The k-th best product with those rows whose products of short rows reach `threshold`.
  float floor_of_best(std::int64_t row, std::int64_t column, float threshold) {
    scores_.clear();
    for (std::size_t n = 0; n < picks_.size(); ++n) {
      if (!(products_[static_cast<std::int64_t>(n) * width_ + column] >= threshold)) continue;
      scores_.push_back(product_of(row, picks_[n]));
    }
    const auto kth = scores_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(scores_.begin(), kth, scores_.end(), std::greater<>());
    return *kth;
  }

  float product_of(std::int64_t row, std::int64_t other) const {  // or a little less
    if (sketch_.words == nullptr) return kernels_.approximate(rows_.row(row), rows_.row(other), rows_.stride);
    return static_cast<float>(word_product(kernels_, sketch_, row, other) - word_slack(sketch_, row, other));
  }

  const Kernels& kernels_;
  MatrixView rows_;
  const Sketch& sketch_;
  std::int64_t width_, k_;
  double margin_;
  std::int64_t short_dim_;
  std::vector<float> panel_, floors_, products_, scores_;
  std::vector<std::int32_t> picks_;
};

}  // namespace

std::vector<float> floors_from_near_cells(const Kernels& kernels, MatrixView rows, const Cells& cells, std::int64_t k,
                                          int n_threads, const Watch& watch) {
  const std::int64_t width = cells.panel_width, stride = cells.stride, n_cells = cells.count();
  const std::int64_t n_groups = (n_cells + kGroup - 1) / kGroup;
  std::vector<float> means(static_cast<std::size_t>(n_groups * stride), 0.0f);
  const std::vector<float> cell_means = means_of_cells(kernels, cells);
  for (std::int64_t cell = 0; cell < n_cells; ++cell) {
    const std::int64_t group = cell / kGroup, size = std::min(n_cells, (group + 1) * kGroup) - group * kGroup;
    for (std::int64_t c = 0; c < stride; ++c) {
      means[group * stride + c] += cell_means[cell * stride + c] / static_cast<float>(size);
    }
  }
  std::vector<std::int32_t> all_groups(static_cast<std::size_t>(n_groups));
  std::iota(all_groups.begin(), all_groups.end(), 0);
  const std::int64_t n_near = (near_rows(rows.rows, k, cells.sketch) + width - 1) / width;
  std::vector<float> floors(static_cast<std::size_t>(rows.rows), kNone);
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::min<std::int64_t>(n_groups, n_threads)), [&](int) {
    CellFloors own(kernels, rows, cells, k);
    std::vector<std::int32_t> groups, candidates, near;
    for (std::int64_t group = next++; group < n_groups; group = next++) {
      check(watch);
      nearest(all_groups, means.data(), stride, means.data() + group * stride, near_groups(n_near), groups);
      candidates.clear();
      for (const std::int64_t other : groups) {
        for (std::int64_t c = other * kGroup; c < std::min(n_cells, (other + 1) * kGroup); ++c) {
          candidates.push_back(static_cast<std::int32_t>(c));
        }
      }
      for (std::int64_t cell = group * kGroup; cell < std::min(n_cells, (group + 1) * kGroup); ++cell) {
        check(watch);
        nearest(candidates, cell_means.data(), stride, cell_means.data() + cell * stride, n_near, near);
        own.find(cell, near, floors.data());
      }
    }
  });
  return floors;
}

}  // namespace pyredund::cpu
