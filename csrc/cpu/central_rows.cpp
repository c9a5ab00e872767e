#include "cpu/central_rows.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "cpu/similarity_units.hpp"
#include "cpu/tile_scan.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kFew = 24;  // rows of a cluster of which all pairs are scored at once
constexpr std::int64_t kChunk = 256;

struct Cluster {
  const std::int32_t* members;
  std::int64_t count;
};

// The rows of a large cluster whose sums may be the largest, by products with the sum of its rows. A similarity differs
// from the product of its rows by less than 2^-21: rounding, and clamping what exceeds 1.
std::vector<std::int64_t> candidates(MatrixView rows, const std::int64_t* sizes, const Cluster& cluster) {
  std::vector<double> sum(static_cast<std::size_t>(rows.dim)), closeness;
  double total = 0;
  for (std::int64_t m = 0; m < cluster.count; ++m) {
    const float* const row = rows.row(cluster.members[m]);
    const auto size = static_cast<double>(sizes[cluster.members[m]]);
    for (std::int64_t i = 0; i < rows.dim; ++i) sum[i] += size * static_cast<double>(row[i]);
    total += size;
  }
  for (std::int64_t m = 0; m < cluster.count; ++m) {
    const float* const row = rows.row(cluster.members[m]);
    const auto size = static_cast<double>(sizes[cluster.members[m]]);
    double to_all = 0, to_itself = 0;
    for (std::int64_t i = 0; i < rows.dim; ++i) {
      to_all += sum[i] * static_cast<double>(row[i]);
      to_itself += static_cast<double>(row[i]) * static_cast<double>(row[i]);
    }
    closeness.push_back(to_all - size * to_itself + (size - 1));
  }
  const double bar = *std::max_element(closeness.begin(), closeness.end()) - std::ldexp(total, -20);
  std::vector<std::int64_t> found;
  for (std::int64_t m = 0; m < cluster.count; ++m) {
    if (closeness[m] >= bar) found.push_back(m);
  }
  return found;
}

}  // namespace

void central_rows(const SearchPlan& plan, MatrixView rows, const std::int64_t* sizes, const Members& clusters,
                  std::int64_t n_clusters, std::int64_t* sums, Watch& watch) {
  const auto units = [&](std::int32_t a, std::int32_t b) {
    return in_units(similarity(*plan.kernels, rows.row(a), rows.row(b), rows.stride));
  };
  const auto sum_all = [&](const Cluster& cluster) {
    for (std::int64_t m = 0; m < cluster.count; ++m) {
      const std::int32_t a = cluster.members[m];
      for (std::int64_t o = m + 1; o < cluster.count; ++o) {
        const std::int32_t b = cluster.members[o];
        const std::int64_t both = units(a, b);
        sums[a] += sizes[b] * both;
        sums[b] += sizes[a] * both;
      }
    }
  };
  const auto sum_some = [&](const Cluster& cluster) {
    const std::vector<std::int64_t> some = candidates(rows, sizes, cluster);
    std::size_t next = 0;
    for (std::int64_t m = 0; m < cluster.count; ++m) {
      const std::int32_t a = cluster.members[m];
      if (next == some.size() || some[next] != m) {
        sums[a] = kNotCentral;
        continue;
      }
      ++next;
      check(watch);
      for (std::int64_t o = 0; o < cluster.count; ++o) {
        if (o != m) sums[a] += sizes[cluster.members[o]] * units(a, cluster.members[o]);
      }
    }
  };
  const std::int64_t n_chunks = (n_clusters + kChunk - 1) / kChunk;
  std::atomic<std::int64_t> next{0};
  watch.total += n_clusters;
  run_team(static_cast<int>(std::clamp<std::int64_t>(n_chunks, 1, plan.n_threads)), [&](int) {
    for (std::int64_t chunk = next++; chunk < n_chunks; chunk = next++) {
      check(watch);
      const std::int64_t first = chunk * kChunk, end = std::min(n_clusters, first + kChunk);
      for (std::int64_t c = first; c < end; ++c) {
        const Cluster cluster{clusters.members + clusters.member_ptr[c],
                              clusters.member_ptr[c + 1] - clusters.member_ptr[c]};
        for (std::int64_t m = 0; m < cluster.count; ++m) {
          sums[cluster.members[m]] = (sizes[cluster.members[m]] - 1) * kOneInUnits;
        }
        cluster.count > kFew ? sum_some(cluster) : sum_all(cluster);
      }
      watch.done += end - first;
    }
  });
}

}  // namespace pyredund::cpu
