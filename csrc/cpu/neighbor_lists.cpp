#include "cpu/neighbor_lists.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/pair_sort.hpp"

namespace pyredund::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Spare places a row: enough to make merges rare, few enough that all rows' together stay within their bytes.
std::int64_t spare_places(std::int64_t rows, std::int64_t k, std::int64_t bytes) {
  const std::int64_t wanted = std::clamp<std::int64_t>(k / 2, 8, 256);
  const std::int64_t affordable = bytes / (8 * std::max<std::int64_t>(rows, 1));
  return std::max<std::int64_t>(2, std::min(wanted, affordable));
}

}  // namespace

NeighborLists::NeighborLists(std::int64_t rows, std::int64_t k, double margin, std::int32_t* ids, float* scores,
                             const float* floors, std::int64_t spare_bytes)
    : k_(k),
      spare_(spare_places(rows, k, spare_bytes)),
      margin_(margin),
      ids_(ids),
      scores_(scores),
      waiting_(static_cast<std::size_t>(rows * (spare_ + 1)), 0),
      floors_(floors),
      bars_(new std::atomic<float>[static_cast<std::size_t>(rows)]) {
  for (std::int64_t row = 0; row < rows; ++row) set_bar(row, floors_ != nullptr ? floors_[row] : -kInfinity);
}

void NeighborLists::set_bar(std::int64_t row, float score) {
  const double bar = static_cast<double>(score) - margin_;
  bars_[row].store(std::nextafter(static_cast<float>(bar), -kInfinity), std::memory_order_relaxed);
}

bool NeighborLists::is_complete(std::int64_t row) const {
  const auto& head = reinterpret_cast<const Waiting&>(waiting_[row * (spare_ + 1)]);
  return head.filled >= k_ && (floors_ == nullptr || head.worst >= floors_[row]);
}

void NeighborLists::offer(std::int64_t row, std::int32_t id, float score) {
  Waiting& head = waiting(row);
  std::int32_t& filled = head.filled;
  if (filled < k_) {
    ids_[row * k_ + filled] = id;
    scores_[row * k_ + filled] = score;
    if (++filled == k_) sort(row);
    return;
  }
  if (score < head.worst) return;
  waiting_[row * (spare_ + 1) + 1 + (filled - k_)] = pack_pair(id, score);
  if (++filled == k_ + spare_) merge(row);
}

void NeighborLists::merge(std::int64_t row) {
  thread_local PairSort sorter;
  thread_local std::vector<std::uint64_t> listed;
  listed.resize(static_cast<std::size_t>(k_));
  std::int32_t* const ids = ids_ + row * k_;
  float* const scores = scores_ + row * k_;
  const std::int64_t n_waiting = waiting(row).filled - k_;
  std::copy_n(waiting_.data() + row * (spare_ + 1) + 1, n_waiting, sorter.room_for(n_waiting));
  const std::uint64_t* const waits = sorter.sorted();
  // All are packed first, so that each step of the merge waits for a load and a comparison only.
  for (std::int64_t i = 0; i < k_; ++i) listed[i] = pack_pair(ids[i], scores[i]);
  const std::uint64_t *from_list = listed.data(), *from_waiting = waits, *const waiting_end = waits + n_waiting;
  for (std::int64_t i = 0; i < k_; ++i) {
    const std::uint64_t waited = from_waiting < waiting_end ? *from_waiting : 0;
    const bool take_listed = *from_list > waited;
    const std::uint64_t best = take_listed ? *from_list : waited;
    from_list += take_listed;
    from_waiting += !take_listed;
    ids[i] = pair_id(best);
    scores[i] = pair_score(best);
  }
  waiting(row).filled = static_cast<std::int32_t>(k_);
  raise_bar(row);
}

void NeighborLists::raise_bar(std::int64_t row) {
  const float worst = scores_[row * k_ + k_ - 1];
  waiting(row).worst = worst;
  set_bar(row, floors_ != nullptr ? std::max(worst, floors_[row]) : worst);
}

void NeighborLists::finish(std::int64_t row) {
  if (waiting(row).filled > k_) merge(row);
  if (waiting(row).filled < k_) sort(row);  // a full list is sorted already
}

void NeighborLists::sort(std::int64_t row) {
  thread_local PairSort sorter;
  const std::int64_t filled = waiting(row).filled;
  std::uint64_t* const pairs = sorter.room_for(filled);
  for (std::int64_t i = 0; i < filled; ++i) pairs[i] = pack_pair(ids_[row * k_ + i], scores_[row * k_ + i]);
  const std::uint64_t* const sorted = sorter.sorted();
  for (std::int64_t i = 0; i < filled; ++i) {
    ids_[row * k_ + i] = pair_id(sorted[i]);
    scores_[row * k_ + i] = pair_score(sorted[i]);
  }
  if (filled == k_) raise_bar(row);
}

}  // namespace pyredund::cpu
