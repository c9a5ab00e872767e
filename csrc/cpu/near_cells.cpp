#include "cpu/near_cells.hpp"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <utility>

#include "cpu/tile_scan.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kGroup = 64;        // cells whose mean stands for them
constexpr std::int64_t kNearGroups = 8;    // groups in which near cells are looked for
constexpr std::int64_t kFewestRows = 256;  // in near cells

double squared_distance(const float* x, const float* y, std::int64_t count) {
  float sum[8] = {};
  for (std::int64_t i = 0; i < count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) sum[lane] += (x[i + lane] - y[i + lane]) * (x[i + lane] - y[i + lane]);
  }
  return std::accumulate(sum, sum + 8, 0.0);
}

// The `count` entries of `from` nearest to `target`, in any order.
void nearest(const std::vector<std::int64_t>& from, const std::vector<float>& points, std::int64_t stride,
             const float* target, std::int64_t count, std::vector<std::int64_t>& found) {
  thread_local std::vector<std::pair<double, std::int64_t>> keyed;
  keyed.clear();
  for (const std::int64_t entry : from) {
    keyed.emplace_back(squared_distance(points.data() + entry * stride, target, stride), entry);
  }
  const auto kept = std::min<std::size_t>(static_cast<std::size_t>(count), keyed.size());
  std::nth_element(keyed.begin(), keyed.begin() + static_cast<std::ptrdiff_t>(kept - 1), keyed.end());
  found.clear();
  for (std::size_t i = 0; i < kept; ++i) found.push_back(keyed[i].second);
}

// A value that at least k of the scores reach, close to the k-th best: halving is several times faster than selecting.
float reached_by(const float* scores, std::int64_t count, std::int64_t k) {
  float low = -2.0f, high = 1.01f;
  for (int halving = 0; halving < 10; ++halving) {
    const float middle = 0.5f * (low + high);
    std::int32_t reaching = 0;
    for (std::int64_t i = 0; i < count; ++i) reaching += scores[i] >= middle ? 1 : 0;
    (reaching >= k ? low : high) = middle;
  }
  return low;
}

}  // namespace

std::vector<float> floors_from_near_cells(const Kernels& kernels, MatrixView rows, const Cells& cells, std::int64_t k,
                                          int n_threads, const Watch& watch) {
  const std::int64_t width = cells.panel_width, stride = cells.stride, n_cells = cells.count();
  const std::int64_t n_groups = (n_cells + kGroup - 1) / kGroup;
  std::vector<float> means(static_cast<std::size_t>(n_groups * stride), 0.0f);
  for (std::int64_t cell = 0; cell < n_cells; ++cell) {
    const std::int64_t group = cell / kGroup, size = std::min(n_cells, (group + 1) * kGroup) - group * kGroup;
    for (std::int64_t c = 0; c < stride; ++c) {
      means[group * stride + c] += cells.centres[cell * stride + c] / static_cast<float>(size);
    }
  }
  std::vector<std::int64_t> all_groups(static_cast<std::size_t>(n_groups));
  std::iota(all_groups.begin(), all_groups.end(), std::int64_t{0});
  const std::int64_t n_near = (std::max(kFewestRows, 4 * k) + width - 1) / width;
  const double margin = 1.01 * scan_margin(rows.stride);
  std::vector<float> floors(static_cast<std::size_t>(rows.rows), -2.0f);
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::min<std::int64_t>(n_groups, n_threads)), [&](int) {
    std::vector<std::int64_t> near_groups, candidates, near;
    std::vector<const float*> own(static_cast<std::size_t>(width));
    std::vector<float> scores;
    for (std::int64_t group = next++; group < n_groups; group = next++) {
      check(watch);
      // Enough groups for enough cells, however large k is.
      nearest(all_groups, means, stride, means.data() + group * stride, std::max(kNearGroups, n_near / kGroup + 2),
              near_groups);
      candidates.clear();
      for (const std::int64_t other : near_groups) {
        for (std::int64_t c = other * kGroup; c < std::min(n_cells, (other + 1) * kGroup); ++c) candidates.push_back(c);
      }
      for (std::int64_t cell = group * kGroup; cell < std::min(n_cells, (group + 1) * kGroup); ++cell) {
        check(watch);
        nearest(candidates, cells.centres, stride, cells.centres.data() + cell * stride, n_near, near);
        const std::int64_t begin = cell * width, size = std::min(rows.rows, begin + width) - begin;
        const std::int64_t room = static_cast<std::int64_t>(near.size()) * width;
        scores.assign(static_cast<std::size_t>(size * room), -2.0f);
        for (std::int64_t i = 0; i < size; ++i) own[i] = rows.row(begin + i);
        for (std::size_t n = 0; n < near.size(); ++n) {
          const std::int64_t first = near[n] * width, count = std::min(rows.rows, first + width) - first;
          float* const out = scores.data() + static_cast<std::int64_t>(n) * width;
          kernels.project(own.data(), size, rows.row(first), count, rows.stride, out, room);
          if (near[n] != cell) continue;
          for (std::int64_t i = 0; i < size; ++i) out[i * room + i] = -2.0f;  // none with itself
        }
        if (room < k) continue;  // no floor
        for (std::int64_t i = 0; i < size; ++i) {
          const float floor = reached_by(scores.data() + i * room, room, k);
          floors[begin + i] = static_cast<float>(static_cast<double>(floor) - margin);
        }
      }
    }
  });
  return floors;
}

}  // namespace pyredund::cpu
