#include "cuda/removal.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "cuda/device.hpp"
#include "cuda/device_arrays.hpp"
#include "cuda/launch.hpp"
#include "cuda/removal_state.hpp"
#include "cuda/similarity_units.hpp"

namespace pyredund::cuda {
namespace {

constexpr int kThreads = 256;

__device__ inline std::int64_t row_of_thread() {
  return static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
}

__global__ void begin_kernel(const RemovalState state) {
  const std::int64_t i = row_of_thread();
  if (i >= state.n) return;
  const std::int64_t begin = state.begin[i], length = state.end[i] - begin;
  if (length < 2) atomicAdd(state.n_worn, 1u);
  state.is_kept[i] = 1;
  state.closest[i] = static_cast<std::int32_t>(i);
  state.closest_similarity[i] = 1.0f;
  state.place[i] = begin;
  state.next[i] = length > 0 ? state.ids[begin] : -1;
  state.next_similarity[i] = length > 0 ? state.similarities[begin] : -1.0f;
  state.second[i] = length > 1 ? state.similarities[begin + 1] : -1.0f;
}

__global__ void clear_kernel(const RemovalState state) {
  const std::int64_t i = row_of_thread();
  if (i >= state.n) return;
  state.cost[i] = 0;
  state.is_later[i] = 0;
}

__global__ void cost_kernel(const RemovalState state) {
  const std::int64_t i = row_of_thread();
  if (i >= state.n) return;
  const std::int64_t loss = in_units(state.closest_similarity[i]) - in_units(state.next_similarity[i]);
  atomicAdd(state.cost + state.closest[i], static_cast<unsigned long long>(state.weights[i] * loss));
}

__device__ inline bool goes_before(const RemovalState& state, std::int32_t a, std::int32_t b) {
  const auto cost_a = static_cast<std::int64_t>(state.cost[a]), cost_b = static_cast<std::int64_t>(state.cost[b]);
  if (cost_a != cost_b) return cost_a < cost_b;
  if (state.priority[a] != state.priority[b]) return state.priority[a] < state.priority[b];
  if (state.second[a] != state.second[b]) return state.second[a] < state.second[b];
  return a > b;
}

// Nothing behind this row in an order has to wait: what costs no more goes before it.
__device__ inline bool guards(const RemovalState& state, std::int32_t row, std::int64_t most_cost) {
  return state.removable[row] == 0 || static_cast<std::int64_t>(state.cost[row]) > most_cost;
}

__global__ void compare_kernel(const RemovalState state, std::int64_t most_cost) {
  const std::int64_t i = row_of_thread();
  if (i >= state.n) return;
  std::int32_t last = state.closest[i];  // of the rows so far, the one that goes last
  if (guards(state, last, most_cost)) return;
  for (std::int64_t place = state.place[i], end = state.end[i]; place < end; ++place) {
    const std::int32_t row = state.ids[place];
    if (state.is_kept[row] == 0) continue;
    const bool is_second = place == state.place[i];
    if (guards(state, row, most_cost)) return;
    if (goes_before(state, last, row)) {
      state.is_later[row] = 1;
      last = row;
    } else if (is_second) {
      state.is_later[last] = 1;
    }
  }
}

__global__ void remove_kernel(const RemovalState state, std::int64_t most_cost) {
  const std::int64_t x = row_of_thread();
  if (x >= state.n || state.is_kept[x] == 0 || state.removable[x] == 0 || state.is_later[x] != 0) return;
  const auto cost = static_cast<std::int64_t>(state.cost[x]);
  if (cost > most_cost) return;
  state.is_kept[x] = 0;
  const std::uint32_t at = atomicAdd(state.n_removed, 1u);
  state.removed[at] = static_cast<std::int32_t>(x);
  state.removed_cost[at] = cost;
}

// At most one of a row's two rows has just gone.
__global__ void move_kernel(const RemovalState state) {
  const std::int64_t i = row_of_thread();
  if (i >= state.n) return;
  const std::int32_t a = state.closest[i], b = state.next[i];
  const bool a_is_gone = state.is_kept[a] == 0;
  if (!a_is_gone && state.is_kept[b] != 0) return;
  if (a_is_gone) {
    const float similarity = state.next_similarity[i];
    state.closest[i] = b;
    state.closest_similarity[i] = similarity;
    const std::uint32_t at = atomicAdd(state.n_moves, 1u);
    if (at < state.most_moves) state.moves[at] = RemovalMove{a, static_cast<std::int32_t>(i), b, similarity};
  }
  const std::int64_t end = state.end[i];
  std::int64_t place = state.place[i] + 1;
  while (place < end && state.is_kept[state.ids[place]] == 0) ++place;
  state.place[i] = place;
  if (place == end) {
    atomicAdd(state.n_worn, 1u);
    return;
  }
  state.next[i] = state.ids[place];
  state.next_similarity[i] = state.similarities[place];
}

// Rows with few kept rows left in their lists, for their lengths. Their numbers take the place of the closest rows,
// which are no longer of use.
__global__ void worn_kernel(const RemovalState state) {
  const std::int64_t i = row_of_thread();
  if (i >= state.n) return;
  const std::int64_t length = state.end[i] - state.begin[i], few = length / 8 > 2 ? length / 8 : 2;
  std::int64_t n_kept = 0;
  for (std::int64_t place = state.begin[i]; place < state.end[i] && n_kept < few; ++place) {
    n_kept += state.is_kept[state.ids[place]];
  }
  if (n_kept < few) state.closest[atomicAdd(state.n_moves, 1u)] = static_cast<std::int32_t>(i);
}

class Removal {
 public:
  Removal(const NeighborGraph& graph, const LongerLists& longer, const std::int32_t* removable,
          const std::int32_t* priority, const std::int64_t* weights, int device, Watch& watch)
      : n_(graph.n_rows), stream_(device), watch_(watch), arrays_(device, stream_.get(), watch) {
    state_.n = n_;
    send_lists(graph, longer);
    state_.removable = arrays_.sent(removable, n_);
    state_.priority = arrays_.sent(priority, n_);
    state_.weights = arrays_.sent(weights, n_);
    state_.second = arrays_.room_for<float>(n_);
    state_.is_kept = arrays_.room_for<std::uint8_t>(n_);
    state_.is_later = arrays_.room_for<std::uint8_t>(n_);
    state_.closest = arrays_.room_for<std::int32_t>(n_);
    state_.next = arrays_.room_for<std::int32_t>(n_);
    state_.closest_similarity = arrays_.room_for<float>(n_);
    state_.next_similarity = arrays_.room_for<float>(n_);
    state_.place = arrays_.room_for<std::int64_t>(n_);
    state_.cost = arrays_.room_for<unsigned long long>(n_);
    state_.removed = arrays_.room_for<std::int32_t>(n_);
    state_.removed_cost = arrays_.room_for<std::int64_t>(n_);
    state_.n_removed = arrays_.room_for<std::uint32_t>(3);  // and two more counts
    state_.n_moves = state_.n_removed + 1;
    state_.n_worn = state_.n_removed + 2;
    state_.moves = arrays_.room_for<RemovalMove>(n_);
    state_.most_moves = static_cast<std::uint32_t>(n_);  // of a round: every row moves once at most
  }

  RemovalByRounds run(std::int64_t n_remove) {
    watch_.total += n_remove;
    PYREDUND_CUDA_CALL(cudaMemsetAsync(state_.n_removed, 0, 12, stream_.get()));
    start(begin_kernel);
    std::uint32_t n_worn = 0;
    to_host(&n_worn, state_.n_worn, 4, stream_.get());
    if (n_worn > 0) return worn_out();  // some rows have nothing to go over to
    for (std::int64_t count = 0; count < n_remove;) {
      const std::int64_t most_cost = cost_for(n_remove - count);
      for (std::int64_t before = -1; before != count; ++log_.rounds) {
        check(watch_);
        before = count;
        count = remove_some(most_cost, n_worn);
        if (n_worn > 0) return worn_out();
        watch_.done = std::min(count, n_remove);
      }
    }
    write_log(n_remove);
    return std::move(log_);
  }

 private:
  template <typename... Parameters, typename... Arguments>
  void start(void (*kernel)(RemovalState, Parameters...), Arguments... arguments) {
    launch(kernel, blocks_for(n_, kThreads), kThreads, 0, stream_.get(), state_, arguments...);
  }

  void send_lists(const NeighborGraph& graph, const LongerLists& longer) {
    const std::int64_t n_edges = graph.indptr[n_], n_more = longer.n > 0 ? longer.indptr[longer.n] : 0;
    std::vector<std::int64_t> begin(graph.indptr, graph.indptr + n_), end(graph.indptr + 1, graph.indptr + n_ + 1);
    for (std::int64_t l = 0; l < longer.n; ++l) {
      begin[longer.rows[l]] = n_edges + longer.indptr[l];
      end[longer.rows[l]] = n_edges + longer.indptr[l + 1];
    }
    state_.begin = arrays_.sent(begin.data(), n_);
    state_.end = arrays_.sent(end.data(), n_);
    auto* const ids = arrays_.room_for<std::int32_t>(n_edges + n_more);
    auto* const similarities = arrays_.room_for<float>(n_edges + n_more);
    upload(graph.indices, n_edges * 4, ids, stream_.get(), watch_);
    upload(graph.similarities, n_edges * 4, similarities, stream_.get(), watch_);
    upload(longer.indices, n_more * 4, ids + n_edges, stream_.get(), watch_);
    upload(longer.similarities, n_more * 4, similarities + n_edges, stream_.get(), watch_);
    state_.ids = ids;
    state_.similarities = similarities;
  }

  RemovalByRounds worn_out() {
    PYREDUND_CUDA_CALL(cudaMemsetAsync(state_.n_moves, 0, 4, stream_.get()));
    start(worn_kernel);
    std::uint32_t count = 0;
    to_host(&count, state_.n_moves, 4, stream_.get());
    RemovalByRounds found;
    found.rounds = log_.rounds;
    found.worn.resize(count);
    to_host(found.worn.data(), state_.closest, static_cast<std::int64_t>(count) * 4, stream_.get());
    std::sort(found.worn.begin(), found.worn.end());
    return found;
  }

  void find_costs() {
    start(clear_kernel);
    start(cost_kernel);
  }

  // One round; returns how many rows have gone in all.
  std::int64_t remove_some(std::int64_t most_cost, std::uint32_t& n_worn) {
    find_costs();
    start(compare_kernel, most_cost);
    start(remove_kernel, most_cost);
    PYREDUND_CUDA_CALL(cudaMemsetAsync(state_.n_moves, 0, 4, stream_.get()));
    start(move_kernel);
    std::uint32_t counts[3];  // removed, moved in this round, worn
    to_host(counts, state_.n_removed, sizeof counts, stream_.get());
    n_worn = counts[2];
    const std::size_t known = moves_.size();
    moves_.resize(known + counts[1]);
    to_host(moves_.data() + known, state_.moves, counts[1] * static_cast<std::int64_t>(sizeof(RemovalMove)),
            stream_.get());
    return counts[0];
  }

  // A cost that about `count` of the rows left do not exceed, and a few more: costs grow.
  std::int64_t cost_for(std::int64_t count) {
    find_costs();
    std::vector<std::int64_t> all(static_cast<std::size_t>(n_));
    std::vector<std::uint8_t> is_kept(all.size());
    std::vector<std::int32_t> removable(all.size());
    to_host(all.data(), state_.cost, n_ * 8, stream_.get());
    to_host(is_kept.data(), state_.is_kept, n_, stream_.get());
    to_host(removable.data(), state_.removable, n_ * 4, stream_.get());
    costs_.clear();
    for (std::int64_t i = 0; i < n_; ++i) {
      if (is_kept[i] != 0 && removable[i] != 0) costs_.push_back(all[i]);
    }
    const auto present = static_cast<std::int64_t>(costs_.size());
    const std::int64_t wanted = std::min(count + count / 4 + 64, std::max(count, present - 2));  // lists need two
    if (wanted > present) throw std::logic_error("fewer rows can be removed than are to go");
    const auto last = costs_.begin() + static_cast<std::ptrdiff_t>(wanted - 1);
    std::nth_element(costs_.begin(), last, costs_.end());
    return *last;
  }

  void write_log(std::int64_t n_remove) {
    std::uint32_t count = 0;
    to_host(&count, state_.n_removed, 4, stream_.get());
    std::vector<std::int32_t> rows(count), order(count), priority(static_cast<std::size_t>(n_));
    std::vector<float> second(static_cast<std::size_t>(n_));
    costs_.resize(count);
    to_host(costs_.data(), state_.removed_cost, static_cast<std::int64_t>(count) * 8, stream_.get());
    to_host(rows.data(), state_.removed, static_cast<std::int64_t>(count) * 4, stream_.get());
    to_host(priority.data(), state_.priority, n_ * 4, stream_.get());
    to_host(second.data(), state_.second, n_ * 4, stream_.get());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](std::int32_t x, std::int32_t y) {
      const std::int32_t a = rows[x], b = rows[y];
      if (costs_[x] != costs_[y]) return costs_[x] < costs_[y];
      if (priority[a] != priority[b]) return priority[a] < priority[b];
      if (second[a] != second[b]) return second[a] < second[b];
      return a > b;
    });
    order.resize(std::min<std::size_t>(order.size(), static_cast<std::size_t>(n_remove)));
    std::vector<std::int32_t> turn(static_cast<std::size_t>(n_), -1);
    for (const std::int32_t at : order) {
      turn[rows[at]] = static_cast<std::int32_t>(log_.removed.size());
      log_.removed.push_back(rows[at]);
      log_.costs.push_back(costs_[at]);
    }
    write_moves(turn);
  }

  void write_moves(const std::vector<std::int32_t>& turn) {
    moves_.erase(
        std::remove_if(moves_.begin(), moves_.end(), [&](const RemovalMove& move) { return turn[move.from] < 0; }),
        moves_.end());
    std::sort(moves_.begin(), moves_.end(), [&](const RemovalMove& a, const RemovalMove& b) {
      return turn[a.from] != turn[b.from] ? turn[a.from] < turn[b.from] : a.row < b.row;
    });
    log_.moved_ptr.assign(log_.removed.size() + 1, 0);
    for (const RemovalMove& move : moves_) {
      ++log_.moved_ptr[turn[move.from] + 1];
      log_.moved.push_back(move.row);
      log_.nearest.push_back(move.to);
      log_.similarities.push_back(move.similarity);
    }
    std::partial_sum(log_.moved_ptr.begin(), log_.moved_ptr.end(), log_.moved_ptr.begin());
  }

  std::int64_t n_;
  Stream stream_;
  Watch& watch_;
  DeviceArrays arrays_;
  RemovalState state_{};
  std::vector<std::int64_t> costs_;
  std::vector<RemovalMove> moves_;
  RemovalByRounds log_;
};

}  // namespace

RemovalByRounds removal(const NeighborGraph& graph, const LongerLists& longer, const std::int32_t* removable,
                        const std::int32_t* priority, const std::int64_t* weights, std::int64_t n_remove, int device,
                        Watch& watch) {
  if (graph.n_rows < 2) return {};
  const UseDevice use(device);
  return Removal(graph, longer, removable, priority, weights, device, watch).run(n_remove);
}

}  // namespace pyredund::cuda
