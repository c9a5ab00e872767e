#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace pyredund::cpu {

// The k best pairs of every row, whatever the order in which pairs are offered. A row's list lies sorted in the
// caller's arrays (k ids and k scores a row); further offers wait in a few spare places and are merged when these are
// full, which costs a fraction of keeping a heap. Not synchronised: whoever offers to a row holds the lock of that row.
// Bars may be read at any time.
class NeighborLists {
 public:
  // `margin`: how far below its similarity an approximate score may lie. `floors`, where given, are the scores below
  // which a row takes no interest in pairs even while its list is not full. `spare_bytes`: of all spare places, at
  // most, but each row has two.
  NeighborLists(std::int64_t rows, std::int64_t k, double margin, std::int32_t* ids, float* scores,
                const float* floors = nullptr, std::int64_t spare_bytes = std::int64_t{128} << 20);

  // No pair whose approximate score lies below the bar can enter the row's list: the k-th best score as of the last
  // merge, less the margin; the floor or -infinity before there are k. It only rises.
  float bar(std::int64_t row) const { return bars_[row].load(std::memory_order_relaxed); }
  const std::atomic<float>* bars() const { return bars_.get(); }
  void offer(std::int64_t row, std::int32_t id, float score);
  // Brings near what an offer to the row reads first.
  void fetch(std::int64_t row) const { __builtin_prefetch(waiting_.data() + row * (spare_ + 1), 1); }
  // Leaves the row's list complete and sorted.
  void finish(std::int64_t row);
  // Whether a finished list holds the k best: not if it ran short of pairs above the row's floor.
  bool is_complete(std::int64_t row) const;

 private:
  // A row's pairs that wait lie behind their count, so that most offers touch one or two cache lines.
  struct Waiting {
    std::int32_t filled;  // pairs in the list, then in the spare places
    float worst;          // the k-th best score of the list, once there are k
  };

  Waiting& waiting(std::int64_t row) { return reinterpret_cast<Waiting&>(waiting_[row * (spare_ + 1)]); }
  void set_bar(std::int64_t row, float score);
  void sort(std::int64_t row);
  void merge(std::int64_t row);
  void raise_bar(std::int64_t row);

  std::int64_t k_;
  std::int64_t spare_;
  double margin_;
  std::int32_t* ids_;
  float* scores_;
  std::vector<std::uint64_t> waiting_;
  const float* floors_;
  std::unique_ptr<std::atomic<float>[]> bars_;
};

}  // namespace pyredund::cpu
