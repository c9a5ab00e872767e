#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace pyredund::cpu {

struct ClusterPair {
  double height;
  std::int32_t a, b;
};

// Which clusters may merge at what height, while they merge. The first n clusters have ids below n and the place of
// their id; a merged one gets the next id and the lower of the two places. A cluster knows its neighbours by a chain of
// entries; those of neighbours that have merged since are skipped.
class ClusterGraph {
  // A heap with this order has the pair to merge next in front.
  auto later() const {
    return [this](const ClusterPair& x, const ClusterPair& y) {
      if (x.height != y.height) return x.height > y.height;
      if (place_[x.a] != place_[y.a]) return place_[x.a] > place_[y.a];
      return place_[x.b] > place_[y.b];
    };
  }

 public:
  // Pairs a < b, each once. Clusters merge up to `limit`; heights up to `reach` are kept track of.
  ClusterGraph(std::int64_t n_clusters, const std::vector<ClusterPair>& pairs, double limit, double reach)
      : limit_(limit), reach_(reach), n_ids_(static_cast<std::int32_t>(n_clusters)) {
    head_.assign(static_cast<std::size_t>(n_clusters), -1);
    place_.resize(head_.size());
    for (std::int32_t c = 0; c < n_ids_; ++c) place_[c] = c;
    alive_.assign(head_.size(), 1);
    entries_.reserve(2 * pairs.size());
    for (const ClusterPair& pair : pairs) {
      link(pair.a, pair.b, pair.height);
      link(pair.b, pair.a, pair.height);
      if (pair.height <= limit) heap_.push_back(pair);
    }
    std::make_heap(heap_.begin(), heap_.end(), later());
  }

  // The pair to merge next: the least height, of equals the one with the lowest place, then the lowest other place.
  // False if none is left up to the limit. a has the lower place.
  bool next(ClusterPair& pair) {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), later());
      pair = heap_.back();
      heap_.pop_back();
      if (alive_[pair.a] && alive_[pair.b]) return true;
    }
    return false;
  }

  std::int32_t next_id() const { return n_ids_; }
  std::int32_t place(std::int32_t id) const { return place_[id]; }

  // Replaces the two by cluster next_id(). For every neighbour z of either, height(z, h, h') is that to the merged
  // cluster, h and h' being those to a and to b, infinite where the two were none.
  template <typename Height>
  void merge(const ClusterPair& pair, const Height& height) {
    const std::int32_t merged = n_ids_++;
    alive_[pair.a] = alive_[pair.b] = 0;
    alive_.push_back(1);
    head_.push_back(-1);
    place_.push_back(place_[pair.a]);
    found_.clear();
    gather(pair.a, true);
    gather(pair.b, false);
    for (const Found& found : found_) {
      at_[found.id] = -1;
      const double joined = height(found.id, found.to_a, found.to_b);
      if (!(joined <= reach_)) continue;
      link(merged, found.id, joined);
      link(found.id, merged, joined);
      if (joined > limit_) continue;
      const bool lower = place_[merged] < place_[found.id];
      heap_.push_back({joined, lower ? merged : found.id, lower ? found.id : merged});
      std::push_heap(heap_.begin(), heap_.end(), later());
    }
  }

 private:
  struct Entry {
    double height;
    std::int64_t before;
    std::int32_t id;
  };
  struct Found {
    std::int32_t id;
    double to_a, to_b;
  };

  void link(std::int32_t from, std::int32_t to, double height) {
    entries_.push_back({height, head_[from], to});
    head_[from] = static_cast<std::int64_t>(entries_.size()) - 1;
  }

  void gather(std::int32_t from, bool is_a) {
    constexpr double kNone = std::numeric_limits<double>::infinity();
    at_.resize(alive_.size(), -1);
    for (std::int64_t e = head_[from]; e >= 0; e = entries_[e].before) {
      const Entry& entry = entries_[e];
      if (!alive_[entry.id]) continue;
      if (at_[entry.id] < 0) {
        at_[entry.id] = static_cast<std::int32_t>(found_.size());
        found_.push_back({entry.id, kNone, kNone});
      }
      (is_a ? found_[at_[entry.id]].to_a : found_[at_[entry.id]].to_b) = entry.height;
    }
  }

  double limit_, reach_;
  std::int32_t n_ids_;
  std::vector<std::int64_t> head_;
  std::vector<std::int32_t> place_, at_;
  std::vector<char> alive_;
  std::vector<Entry> entries_;
  std::vector<ClusterPair> heap_;
  std::vector<Found> found_;
};

}  // namespace pyredund::cpu
