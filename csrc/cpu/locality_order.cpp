#include "cpu/locality_order.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "cpu/pair_sort.hpp"
#include "cpu/smallest_first.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kSample = 512;    // rows that stand for a node
constexpr std::int64_t kTogether = 256;  // rows that are projected at once
constexpr int kIterations = 4;           // of the power method
constexpr int kNodesPerThread = 16;

struct Node {
  std::int64_t begin, end;
};

class Bisection {
 public:
  Bisection(const Kernels& kernels, MatrixView rows, std::int64_t leaf, std::vector<std::int32_t>& order)
      : kernels_(kernels),
        rows_(rows),
        leaf_(leaf),
        order_(order),
        axis_(static_cast<std::size_t>(rows.stride)),
        along_(static_cast<std::size_t>(std::max(kSample, kTogether))) {}

  bool is_leaf(const Node& node) const { return node.end - node.begin <= leaf_; }

  // Splits a node and returns where its second half begins.
  std::int64_t split(const Node& node) {
    find_axis(node);
    const std::int64_t size = node.end - node.begin;
    keyed_.resize(static_cast<std::size_t>(size));
    const float* together[kTogether];
    for (std::int64_t i = 0; i < size; i += kTogether) {
      const std::int64_t count = std::min(kTogether, size - i);
      const std::int32_t* const some = order_.data() + node.begin + i;
      for (std::int64_t r = 0; r < count; ++r) together[r] = rows_.row(some[r]);
      kernels_.project(together, count, axis_.data(), 1, rows_.stride, along_.data(), 1);
      for (std::int64_t r = 0; r < count; ++r) keyed_[i + r] = pack_pair(some[r], along_[r]);
    }
    const std::int64_t leaves = (size + leaf_ - 1) / leaf_;
    const std::int64_t half = leaves / 2 * leaf_;
    smallest_first(keyed_.data(), size, half);
    for (std::int64_t i = 0; i < size; ++i) order_[node.begin + i] = pair_id(keyed_[i]);
    return node.begin + half;
  }

 private:
  // The direction in which a sample of the node's rows extends most, found by the power method from the row that
  // lies farthest from their mean.
  void find_axis(const Node& node) {
    const std::int64_t size = node.end - node.begin, count = std::min(size, kSample), width = rows_.stride;
    sample_.resize(static_cast<std::size_t>(count * width));
    for (std::int64_t i = 0; i < count; ++i) {
      std::copy_n(rows_.row(order_[node.begin + i * size / count]), width, sample_.begin() + i * width);
    }
    std::fill_n(along_.begin(), count, 1.0f / static_cast<float>(count));
    mean_.resize(axis_.size());
    kernels_.weighted_sum(sample_.data(), width, along_.data(), count, mean_.data());
    std::int64_t farthest = 0;
    float distance = -1.0f;
    for (std::int64_t i = 0; i < count; ++i) {
      float* const row = sample_.data() + i * width;
      for (std::int64_t c = 0; c < width; ++c) row[c] -= mean_[c];
    }
    project_sample(count, nullptr);
    for (std::int64_t i = 0; i < count; ++i) {
      if (along_[i] > distance) distance = along_[i], farthest = i;
    }
    std::copy_n(sample_.begin() + farthest * width, width, axis_.begin());
    for (int iteration = 0; iteration < kIterations; ++iteration) {
      project_sample(count, axis_.data());
      kernels_.weighted_sum(sample_.data(), width, along_.data(), count, mean_.data());  // from here on the next axis
      const float norm = std::sqrt(kernels_.approximate(mean_.data(), mean_.data(), width));
      if (!(norm > 0.0f)) return;  // all rows of the sample are alike: any axis will do
      for (std::int64_t c = 0; c < width; ++c) axis_[c] = mean_[c] / norm;
    }
  }

  // The products of the sample's rows with the axis, or without one with themselves.
  void project_sample(std::int64_t count, const float* axis) {
    const std::int64_t width = rows_.stride;
    for (std::int64_t i = 0; i < count; ++i) {
      const float* const row = sample_.data() + i * width;
      along_[i] = kernels_.approximate(row, axis == nullptr ? row : axis, width);
    }
  }

  const Kernels& kernels_;
  MatrixView rows_;
  std::int64_t leaf_;
  std::vector<std::int32_t>& order_;
  std::vector<float> axis_, mean_, sample_, along_;
  std::vector<std::uint64_t> keyed_;
};

}  // namespace

std::vector<std::int32_t> locality_order(const Kernels& kernels, MatrixView rows, std::int64_t leaf, int n_threads,
                                         Watch& watch) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(rows.rows));
  std::iota(order.begin(), order.end(), 0);
  std::vector<Node> nodes{{0, rows.rows}};  // of one level: their subtrees are independent
  while (!nodes.empty() && nodes.size() < static_cast<std::size_t>(kNodesPerThread * n_threads)) {
    std::vector<Node> next_level(2 * nodes.size());
    std::atomic<std::size_t> next{0};
    run_team(std::min<int>(n_threads, static_cast<int>(nodes.size())), [&](int) {
      Bisection bisection(kernels, rows, leaf, order);
      for (std::size_t i = next++; i < nodes.size(); i = next++) {
        check(watch);
        if (bisection.is_leaf(nodes[i])) continue;
        const std::int64_t middle = bisection.split(nodes[i]);
        next_level[2 * i] = {nodes[i].begin, middle};
        next_level[2 * i + 1] = {middle, nodes[i].end};
      }
    });
    nodes.clear();
    for (const Node& node : next_level) {
      if (node.end > node.begin) nodes.push_back(node);
    }
  }
  std::atomic<std::size_t> next{0};
  run_team(n_threads, [&](int) {
    Bisection bisection(kernels, rows, leaf, order);
    std::vector<Node> stack;
    for (std::size_t i = next++; i < nodes.size(); i = next++) {
      stack.push_back(nodes[i]);
      while (!stack.empty()) {
        const Node node = stack.back();
        stack.pop_back();
        if (bisection.is_leaf(node)) continue;
        check(watch);
        const std::int64_t middle = bisection.split(node);
        stack.push_back({node.begin, middle});
        stack.push_back({middle, node.end});
      }
    }
  });
  return order;
}

namespace {

// Moves `count` columns of all rows, from `first` on, along the cycles of the permutation.
template <typename T>
void arrange_columns(T* data, std::int64_t rows, std::int64_t stride, std::int64_t first, std::int64_t count,
                     const std::int32_t* order, bool back) {
  constexpr int kAhead = 4;  // rows along the cycle that are fetched early, their first few cache lines
  constexpr std::int64_t kLine = 64 / sizeof(T), kFetched = 4 * kLine;
  std::vector<bool> done(static_cast<std::size_t>(rows), false);
  std::vector<T> held(static_cast<std::size_t>(count));
  for (std::int64_t start = 0; start < rows; ++start) {
    if (done[start]) continue;
    std::int64_t ahead = start;
    for (int i = 0; i < kAhead; ++i) ahead = order[ahead];
    const auto fetch_next = [&] {
      ahead = order[ahead];
      const T* const from = data + ahead * stride + first;
      for (std::int64_t c = 0; c < std::min(count, kFetched); c += kLine) __builtin_prefetch(from + c, 1);
    };
    const auto at = [&](std::int64_t row) { return data + row * stride + first; };
    std::copy_n(at(start), count, held.begin());
    std::int64_t to = start;
    if (back) {  // what lies at p goes to order[p]
      do {
        to = order[to];
        fetch_next();
        std::swap_ranges(held.begin(), held.end(), at(to));
        done[to] = true;
      } while (to != start);
      continue;
    }
    for (; order[to] != start; to = order[to]) {  // what lies at order[p] comes to p
      fetch_next();
      std::copy_n(at(order[to]), count, at(to));
      done[to] = true;
    }
    std::copy(held.begin(), held.end(), at(to));
    done[to] = true;
  }
}

// Each task moves some columns of one of the arrays, a few cache lines at least: a cycle cannot be divided, and two
// threads that each moved half of a row of 256 bytes took longer than one.
template <typename... T>
void arrange_on_threads(std::int64_t rows, std::int64_t stride, const std::int32_t* order, bool back, int n_threads,
                        T*... data) {
  static_assert(((sizeof(T) == 4) && ...), "lines are counted in elements of 4 bytes");
  constexpr std::int64_t kLine = 16, kFewLines = 4, n_arrays = sizeof...(data);
  const std::int64_t n_lines = (stride + kLine - 1) / kLine;
  const std::int64_t parts = std::max<std::int64_t>(1, std::min(n_threads / n_arrays, n_lines / kFewLines));
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::min<std::int64_t>(n_arrays * parts, n_threads)), [&](int) {
    for (std::int64_t task = next++; task < n_arrays * parts; task = next++) {
      const std::int64_t part = task % parts, first = n_lines * part / parts * kLine;
      const std::int64_t count = std::min(stride, n_lines * (part + 1) / parts * kLine) - first;
      std::int64_t array = task / parts;
      ((array-- == 0 ? arrange_columns(data, rows, stride, first, count, order, back) : void()), ...);
    }
  });
}

}  // namespace

void arrange_rows(float* data, std::int64_t rows, std::int64_t stride, const std::int32_t* order, bool back,
                  int n_threads) {
  arrange_on_threads(rows, stride, order, back, n_threads, data);
}

void arrange_lists(std::int32_t* ids, float* similarities, std::int64_t rows, std::int64_t k, const std::int32_t* order,
                   int n_threads) {
  arrange_on_threads(rows, k, order, true, n_threads, ids, similarities);
}

}  // namespace pyredund::cpu
