#include "cpu/open_rows.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <utility>

#include "cpu/tile_scan.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kGroupsAtOnce = 24;
constexpr double kRounding = 1e-5;  // of centres, radii and limits, which are at most a few units large
constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

OpenRows::OpenRows(const SearchPlan& plan, MatrixView rows, std::vector<std::int32_t> order)
    : plan_(plan), rows_(rows), width_(plan.kernels->panel_width), order_(std::move(order)) {}

void OpenRows::group(const std::vector<float>& bars) {
  order_.erase(std::remove_if(order_.begin(), order_.end(), [&](std::int32_t row) { return bars[row] == kInfinity; }),
               order_.end());
  const auto n_rows = static_cast<std::int64_t>(order_.size());
  const std::int64_t n_groups = (n_rows + width_ - 1) / width_, stride = rows_.stride;
  const std::int64_t panel_size = width_ * (stride + 1);
  panels_.resize(static_cast<std::size_t>(n_groups * panel_size));
  centres_.assign(static_cast<std::size_t>(n_groups * stride), 0.0f);
  radii_.assign(static_cast<std::size_t>(n_groups), 0.0);
  squares_ = radii_;
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::clamp<std::int64_t>(n_groups / kGroupsAtOnce, 1, plan_.n_threads)), [&](int) {
    std::vector<float> gathered(static_cast<std::size_t>(width_ * stride));
    for (std::int64_t g = next++; g < n_groups; g = next++) {
      const std::int64_t count = std::min(n_rows - g * width_, width_);
      float* const centre = centres_.data() + g * stride;
      for (std::int64_t r = 0; r < count; ++r) {
        const float* const row = rows_.row(order_[g * width_ + r]);
        std::copy_n(row, stride, gathered.begin() + r * stride);
        for (std::int64_t c = 0; c < stride; ++c) centre[c] += row[c];
      }
      double farthest = 0.0;
      for (std::int64_t c = 0; c < stride; ++c) {
        centre[c] /= static_cast<float>(count);
        squares_[g] += static_cast<double>(centre[c]) * centre[c];
      }
      for (std::int64_t r = 0; r < count; ++r) {
        double squared = 0.0;
        for (std::int64_t c = 0; c < stride; ++c) {
          const double difference = static_cast<double>(gathered[r * stride + c]) - centre[c];
          squared += difference * difference;
        }
        farthest = std::max(farthest, squared);
      }
      radii_[g] = std::sqrt(farthest) + kRounding;
      plan_.kernels->floats.pack_panel(gathered.data(), stride * static_cast<std::int64_t>(sizeof(float)), count,
                                       rows_.dim, panels_.data() + g * panel_size);
    }
  });
}

// A row x is reached by a pick y only if their similarity is at least the row's bar, that is |x - y|^2 <= 2 - 2 bar;
// then |y - centre| <= |x - y| + radius, and |y - centre|^2 = 1 + |centre|^2 - 2 y.centre, up to roundings. (A zero row
// has a bar of about 0 or less, which leaves no limit that a product could miss.)
double OpenRows::limit(std::int64_t group, float lowest_bar) const {
  const double reach = std::sqrt(std::max(0.0, 2.0 - 2.0 * static_cast<double>(lowest_bar) + kRounding));
  const double farthest = reach + radii_[group];
  return (1.0 + squares_[group] - farthest * farthest) / 2.0 - kRounding - scan_margin(rows_.stride);
}

void OpenRows::compare_groups(int thread, std::int64_t begin, std::int64_t end, MatrixView picks,
                              const std::vector<float>& bars, const Resolve& resolve) const {
  const std::int64_t stride = rows_.stride, n_rows = static_cast<std::int64_t>(order_.size()), n_groups = end - begin;
  std::vector<float> products(static_cast<std::size_t>(picks.rows * n_groups));
  std::vector<const float*> centres;
  for (std::int64_t g = begin; g < end; ++g) centres.push_back(centres_.data() + g * stride);
  plan_.kernels->project(centres.data(), n_groups, picks.data, picks.rows, stride, products.data(), picks.rows);
  const std::vector<float> no_bars(static_cast<std::size_t>(picks.rows), kInfinity);
  std::vector<float> column_bars(static_cast<std::size_t>(width_));
  std::vector<std::int32_t> near(static_cast<std::size_t>(picks.rows));
  std::vector<Survivor> found(
      static_cast<std::size_t>(picks.rows * width_ + plan_.kernels->strip_height * plan_.kernels->panel_width));
  for (std::int64_t g = begin; g < end; ++g) {
    const std::int64_t count = std::min(n_rows - g * width_, width_);
    std::fill(column_bars.begin(), column_bars.end(), kInfinity);
    for (std::int64_t r = 0; r < count; ++r) column_bars[r] = bars[order_[g * width_ + r]];
    const float lowest = *std::min_element(column_bars.begin(), column_bars.end());
    if (lowest == kInfinity) continue;
    const auto least = static_cast<float>(limit(g, lowest));
    const float* const own = products.data() + (g - begin) * picks.rows;
    std::int64_t n_near = 0;
    for (std::int32_t p = 0; p < picks.rows; ++p) {  // without a branch that would be guessed wrongly
      near[n_near] = p;
      n_near += own[p] >= least ? 1 : 0;
    }
    PanelScan scan{};
    scan.rows = picks.data;
    scan.stride = stride * static_cast<std::int64_t>(sizeof(float));
    scan.n_rows = n_near;
    scan.picks = near.data();
    scan.panel = panels_.data() + g * width_ * (stride + 1);
    scan.dim = rows_.dim;
    scan.n_columns = count;
    scan.row_bars = no_bars.data();
    scan.column_bars = column_bars.data();
    scan.survivors = found.data();
    scan.capacity = static_cast<std::int64_t>(found.size());
    std::int64_t n_found = 0;
    plan_.kernels->floats.scan_panel(scan, 0, &n_found);
    std::sort(found.begin(), found.begin() + n_found, [](const Survivor& a, const Survivor& b) {
      return a.column != b.column ? a.column < b.column : a.row < b.row;
    });
    for (std::int64_t from = 0; from < n_found;) {
      const std::int32_t column = found[from].column;
      std::int64_t to = from;
      while (to < n_found && found[to].column == column) ++to;
      resolve(thread, order_[g * width_ + column], found.data() + from, to - from);
      from = to;
    }
  }
}

void OpenRows::compare(MatrixView picks, const std::vector<float>& bars, const Resolve& resolve, const Watch& watch) {
  const auto n_waiting =
      std::count_if(order_.begin(), order_.end(), [&](std::int32_t row) { return bars[row] != kInfinity; });
  if (n_waiting == 0) return;
  if (panels_.empty() || n_waiting < static_cast<std::int64_t>(order_.size()) * 3 / 4) group(bars);
  const auto n_groups = static_cast<std::int64_t>(radii_.size());
  const std::int64_t n_tasks = (n_groups + kGroupsAtOnce - 1) / kGroupsAtOnce;
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::clamp<std::int64_t>(n_tasks, 1, plan_.n_threads)), [&](int thread) {
    for (std::int64_t t = next++; t < n_tasks; t = next++) {
      check(watch);
      const std::int64_t begin = t * kGroupsAtOnce, end = std::min(n_groups, begin + kGroupsAtOnce);
      compare_groups(thread, begin, end, picks, bars, resolve);
    }
  });
}

}  // namespace pyredund::cpu
