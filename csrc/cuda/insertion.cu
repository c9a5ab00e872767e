#include "cuda/insertion.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "cuda/device.hpp"
#include "cuda/device_arrays.hpp"
#include "cuda/exact_score.hpp"
#include "cuda/launch.hpp"
#include "cuda/similarity_units.hpp"

namespace pyredund::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;  // rows of a block: one a warp

// What the kernels work on, in device memory.
struct State {
  std::int64_t n;
  const std::int64_t* indptr;
  const std::int32_t* ids;
  const float* similarities;
  const std::int64_t* one_way_indptr;
  const std::int32_t* one_way_rows;
  const float* one_way_similarities;
  const std::int64_t* weights;
  float* covered;            // similarity of each row to the closest picked one, never negative
  unsigned long long* gain;  // of an int64
  std::int32_t* best_row;    // of those that would cover each row better
  std::uint8_t* is_picked;
  std::int32_t* picked;
  std::int64_t* gained;
  std::uint32_t* n_picked;
};

__device__ inline std::int64_t gain_of(const State& state, std::int32_t row) {
  return static_cast<std::int64_t>(state.gain[row]);
}

// Visits row v, its list and what lists it, with a positive similarity: every `step`-th of them from `first` on. A
// visit that returns false ends a list.
template <typename Visit>
__device__ inline void for_each_served(const State& state, std::int32_t v, int first, int step, const Visit& visit) {
  if (first == 0) visit(v, 1.0f);
  for (std::int64_t e = state.indptr[v] + first; e < state.indptr[v + 1]; e += step) {
    if (!(state.similarities[e] > 0.0f) || !visit(state.ids[e], state.similarities[e])) break;
  }
  for (std::int64_t e = state.one_way_indptr[v] + first; e < state.one_way_indptr[v + 1]; e += step) {
    if (!(state.one_way_similarities[e] > 0.0f) || !visit(state.one_way_rows[e], state.one_way_similarities[e])) break;
  }
}

__device__ inline std::int64_t row_of_warp() {
  return static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32;
}

__global__ void begin_kernel(const State state) {
  const std::int64_t v = row_of_warp();
  if (v >= state.n) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  std::int64_t gain = 0;
  for_each_served(state, static_cast<std::int32_t>(v), lane, 32, [&](std::int32_t u, float similarity) {
    gain += state.weights[u] * in_units(similarity);
    return true;
  });
  for (int lanes = 16; lanes > 0; lanes /= 2) gain += __shfl_xor_sync(kAllThreads, gain, lanes);
  if (lane != 0) return;
  state.gain[v] = static_cast<unsigned long long>(gain);
  state.covered[v] = 0.0f;
  state.is_picked[v] = 0;
}

// For each row u the best of those that would cover it better and gain `lowest` or more.
__global__ void compare_kernel(const State state, std::int64_t lowest) {
  const std::int64_t u = row_of_warp();
  if (u >= state.n) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float covered = state.covered[u];
  std::int64_t best = -1;
  std::int32_t row = -1;
  for_each_served(state, static_cast<std::int32_t>(u), lane, 32, [&](std::int32_t v, float similarity) {
    if (similarity <= covered) return false;
    const std::int64_t gain = gain_of(state, v);
    if (state.is_picked[v] == 0 && gain >= lowest && (gain > best || (gain == best && v < row))) {
      best = gain;
      row = v;
    }
    return true;
  });
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    const std::int64_t other_best = __shfl_xor_sync(kAllThreads, best, lanes);
    const std::int32_t other = __shfl_xor_sync(kAllThreads, row, lanes);
    if (other_best > best || (other_best == best && other >= 0 && other < row)) {
      best = other_best;
      row = other;
    }
  }
  if (lane == 0) state.best_row[u] = row;
}

// Picks the rows that are the best wherever they would cover better.
__global__ void pick_kernel(const State state, std::int64_t lowest) {
  const std::int64_t v = row_of_warp();
  if (v >= state.n || state.is_picked[v] != 0 || gain_of(state, static_cast<std::int32_t>(v)) < lowest) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  bool is_best = true;
  for_each_served(state, static_cast<std::int32_t>(v), lane, 32, [&](std::int32_t u, float similarity) {
    is_best = is_best && (similarity <= state.covered[u] || state.best_row[u] == v);
    return is_best;
  });
  if (__ballot_sync(kAllThreads, is_best) != kAllThreads || lane != 0) return;
  state.is_picked[v] = 1;
  const std::uint32_t at = atomicAdd(state.n_picked, 1u);
  state.picked[at] = static_cast<std::int32_t>(v);
  state.gained[at] = gain_of(state, static_cast<std::int32_t>(v));
}

// Covers what the rows picked from place `first` on serve, and takes from every row what it can no longer gain there.
// No two of them cover the same row better.
__global__ void cover_kernel(const State state, std::uint32_t first, std::uint32_t count) {
  const std::int64_t at = row_of_warp();
  if (at >= count) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for_each_served(state, state.picked[first + at], lane, 32, [&](std::int32_t u, float similarity) {
    const float before = state.covered[u];
    if (similarity <= before) return true;
    const std::int64_t from = in_units(before), to = in_units(similarity), weight = state.weights[u];
    state.covered[u] = similarity;
    for_each_served(state, u, 0, 1, [&](std::int32_t w, float reach) {
      if (reach <= before) return false;
      const std::int64_t units = in_units(reach), less = weight * ((units < to ? units : to) - from);
      atomicAdd(state.gain + w, static_cast<unsigned long long>(-less));
      return true;
    });
    return true;
  });
}

class Insertion {
 public:
  Insertion(const NeighborGraph& graph, const OneWayEdges& one_way, const std::int64_t* weights, int device,
            Watch& watch)
      : n_(graph.n_rows), stream_(device), watch_(watch), arrays_(device, stream_.get(), watch) {
    state_.n = n_;
    state_.indptr = arrays_.sent(graph.indptr, n_ + 1);
    state_.ids = arrays_.sent(graph.indices, graph.indptr[n_]);
    state_.similarities = arrays_.sent(graph.similarities, graph.indptr[n_]);
    state_.one_way_indptr = arrays_.sent(one_way.indptr, n_ + 1);
    state_.one_way_rows = arrays_.sent(one_way.rows, one_way.indptr[n_]);
    state_.one_way_similarities = arrays_.sent(one_way.similarities, one_way.indptr[n_]);
    state_.weights = arrays_.sent(weights, n_);
    state_.covered = arrays_.room_for<float>(n_);
    state_.gain = arrays_.room_for<unsigned long long>(n_);
    state_.best_row = arrays_.room_for<std::int32_t>(n_);
    state_.is_picked = arrays_.room_for<std::uint8_t>(n_);
    state_.picked = arrays_.room_for<std::int32_t>(n_);
    state_.gained = arrays_.room_for<std::int64_t>(n_);
    state_.n_picked = arrays_.room_for<std::uint32_t>(1);
  }

  InsertionByRounds run(std::int64_t n_pick) {
    watch_.total += n_pick;
    PYREDUND_CUDA_CALL(cudaMemsetAsync(state_.n_picked, 0, 4, stream_.get()));
    launch(begin_kernel, blocks_for(n_, kWarps), kThreads, 0, stream_.get(), state_);
    InsertionByRounds log;
    std::int64_t lowest = 1;
    for (std::uint32_t before = 0;; ++log.rounds) {
      check(watch_);
      launch(compare_kernel, blocks_for(n_, kWarps), kThreads, 0, stream_.get(), state_, lowest);
      launch(pick_kernel, blocks_for(n_, kWarps), kThreads, 0, stream_.get(), state_, lowest);
      std::uint32_t after = 0;
      to_host(&after, state_.n_picked, 4, stream_.get());
      if (after == before) break;
      launch(cover_kernel, blocks_for(after - before, kWarps), kThreads, 0, stream_.get(), state_, before,
             after - before);
      watch_.done = std::min<std::int64_t>(after, n_pick);
      if (after >= n_pick) lowest = std::max(lowest, gain_of_last(after, n_pick));
      before = after;
    }
    sort_picks(log, n_pick);
    return log;
  }

 private:
  // The n_pick-th largest gain of the first `count` picks.
  std::int64_t gain_of_last(std::uint32_t count, std::int64_t n_pick) {
    gains_.resize(count);
    to_host(gains_.data(), state_.gained, static_cast<std::int64_t>(count) * 8, stream_.get());
    const auto last = gains_.begin() + static_cast<std::ptrdiff_t>(n_pick - 1);
    std::nth_element(gains_.begin(), last, gains_.end(), [](std::int64_t a, std::int64_t b) { return a > b; });
    return *last;
  }

  void sort_picks(InsertionByRounds& log, std::int64_t n_pick) {
    std::uint32_t count = 0;
    to_host(&count, state_.n_picked, 4, stream_.get());
    std::vector<std::int32_t> rows(count), order(count);
    gains_.resize(count);
    to_host(rows.data(), state_.picked, static_cast<std::int64_t>(count) * 4, stream_.get());
    to_host(gains_.data(), state_.gained, static_cast<std::int64_t>(count) * 8, stream_.get());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return gains_[a] != gains_[b] ? gains_[a] > gains_[b] : rows[a] < rows[b];
    });
    order.resize(std::min<std::size_t>(order.size(), static_cast<std::size_t>(n_pick)));
    for (const std::int32_t at : order) {
      log.picked.push_back(rows[at]);
      log.gains.push_back(gains_[at]);
    }
  }

  std::int64_t n_;
  Stream stream_;
  Watch& watch_;
  DeviceArrays arrays_;
  State state_{};
  std::vector<std::int64_t> gains_;
};

}  // namespace

InsertionByRounds insertion(const NeighborGraph& graph, const OneWayEdges& one_way, const std::int64_t* weights,
                            std::int64_t n_pick, int device, Watch& watch) {
  if (graph.n_rows == 0 || n_pick <= 0) return {};
  const UseDevice use(device);
  return Insertion(graph, one_way, weights, device, watch).run(n_pick);
}

}  // namespace pyredund::cuda
