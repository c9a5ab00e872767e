#include "cpu/refine.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "cpu/pair_sort.hpp"
#include "cpu/similarity_units.hpp"
#include "cpu/tile_scan.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// The cheapest of many entries whose costs change, by a tournament: the highest row among equals.
class Cheapest {
 public:
  explicit Cheapest(std::int64_t count) : costs_(count, kNever), rows_(count, -1) {
    while (leaves_ < count) leaves_ *= 2;
    winners_.assign(2 * static_cast<std::size_t>(leaves_), -1);
  }

  std::int64_t cost(std::int32_t i) const { return costs_[i]; }

  void set(std::int32_t i, std::int64_t cost, std::int32_t row) {
    costs_[i] = cost;
    rows_[i] = row;
    std::int64_t at = leaves_ + i;
    winners_[at] = cost == kNever ? -1 : i;
    while (at > 1) {
      at /= 2;
      winners_[at] = better(winners_[2 * at], winners_[2 * at + 1]);
    }
  }

  // -1 if every entry costs `kNever`.
  std::int32_t best() const { return winners_[1]; }

 private:
  std::int32_t better(std::int32_t a, std::int32_t b) const {
    if (a < 0 || b < 0) return std::max(a, b);
    if (costs_[a] != costs_[b]) return costs_[a] < costs_[b] ? a : b;
    return rows_[a] > rows_[b] ? a : b;
  }

  std::int64_t leaves_ = 1;
  std::vector<std::int64_t> costs_;
  std::vector<std::int32_t> rows_;
  std::vector<std::int32_t> winners_;
};

class Refinement {
 public:
  Refinement(const Kernels& kernels, MatrixView rows, const NeighborGraph& graph, const KeptRows& kept, Watch& watch)
      : kernels_(kernels),
        rows_(rows),
        graph_(graph),
        kept_(kept),
        watch_(watch),
        live_(static_cast<std::size_t>(rows.rows), 0),
        droppable_(live_.size()),
        service_(live_.size(), Service{-1, 0, 0}),
        loss_(live_.size(), 0),
        added_(live_.size(), 0),
        deeper_(live_.size()),
        listed_later_(live_.size()),
        cheapest_(rows.rows) {
    for (std::int32_t c = 0; c < rows.rows; ++c) {
      for (std::int64_t m = kept.member_ptr[c]; m < kept.member_ptr[c + 1]; ++m) live_[c] += kept.kept[kept.members[m]];
      droppable_[c] = droppable_below(c, kept.member_ptr[c + 1]);
    }
    transpose();
    for (std::int32_t i = 0; i < rows.rows; ++i) {
      if (i % 4096 == 0) check(watch);
      serve(i);
    }
    for (std::int32_t c = 0; c < rows.rows; ++c) price(c);
  }

  std::int64_t run() {
    std::int64_t n_exchanged = 0, before;
    do {
      before = n_exchanged;
      watch_.total += kept_.n_rows;
      for (std::int32_t row = 0; row < kept_.n_rows; ++row) {
        ++watch_.done;
        if (kept_.kept[row]) continue;
        check(watch_);
        if (live_[kept_.class_of[row]] == 0) n_exchanged += visit(row) ? 1 : 0;
      }
    } while (n_exchanged > before);
    return n_exchanged;
  }

 private:
  struct Edge {
    std::int32_t row;
    float similarity;
  };
  // The nearest kept class of a class and how similar the two nearest are, in units. A kept class is nearest to
  // itself; a second kept row of it is as near.
  struct Service {
    std::int32_t by;
    std::int64_t nearest, second;
  };

  // Rows that list class c, and how similar they are.
  template <typename Visit>
  void for_each_lister(std::int32_t c, const Visit& visit) const {
    for (std::int64_t e = listers_ptr_[c]; e < listers_ptr_[c + 1]; ++e) visit(listers_[e].row, listers_[e].similarity);
    for (const Edge& edge : listed_later_[c]) visit(edge.row, edge.similarity);
  }

  void transpose() {
    listers_ptr_.assign(live_.size() + 1, 0);
    const std::int64_t n_edges = graph_.indptr[graph_.n_rows];
    for (std::int64_t e = 0; e < n_edges; ++e) ++listers_ptr_[graph_.indices[e] + 1];
    for (std::size_t c = 0; c < live_.size(); ++c) listers_ptr_[c + 1] += listers_ptr_[c];
    listers_.resize(static_cast<std::size_t>(n_edges));
    std::vector<std::int64_t> next(listers_ptr_.begin(), listers_ptr_.end() - 1);
    for (std::int32_t i = 0; i < graph_.n_rows; ++i) {
      for (std::int64_t e = graph_.indptr[i]; e < graph_.indptr[i + 1]; ++e) {
        listers_[next[graph_.indices[e]]++] = {i, graph_.similarities[e]};
      }
    }
  }

  // Brings in the removed row if that pays: whether it did. Only rows that list its class, and it, change what they
  // lose with any kept class, so all other costs stand as they are.
  bool visit(std::int32_t row) {
    const std::int32_t x = kept_.class_of[row];
    std::int64_t gain = kept_.weights[x] * (kOneInUnits - service_[x].nearest);
    spared(service_[x].by, kept_.weights[x] * (service_[x].nearest - service_[x].second));
    for_each_lister(x, [&](std::int32_t i, float similarity) {
      const std::int64_t units = in_units(similarity);
      const Service& now = service_[i];
      if (units <= now.second) return;
      if (units > now.nearest) gain += kept_.weights[i] * (units - now.nearest);
      spared(now.by, kept_.weights[i] * (std::min(units, now.nearest) - now.second));
    });
    for (const std::int32_t y : changed_) {
      if (cheapest_.cost(y) != kNever) cheapest_.set(y, cost(y) - added_[y], droppable_[y]);
    }
    const std::int32_t best = cheapest_.best();
    const bool pays = best >= 0 && gain > cheapest_.cost(best);
    for (const std::int32_t y : changed_) {
      added_[y] = 0;
      price(y);
    }
    changed_.clear();
    if (pays) exchange(row, droppable_[best]);
    return pays;
  }

  // Without class y, `units` less would be lost than now.
  void spared(std::int32_t y, std::int64_t units) {
    if (units == 0) return;
    if (added_[y] == 0) changed_.push_back(y);
    added_[y] += units;
  }

  void exchange(std::int32_t in, std::int32_t out) {
    const std::int32_t x = kept_.class_of[in], y = kept_.class_of[out];
    const auto serve_again = [&](std::int32_t c) {
      for_each_lister(c, [&](std::int32_t i, float similarity) {
        if (in_units(similarity) >= service_[i].second) stale_.push_back(i);
      });
      stale_.push_back(c);
      for (const std::int32_t i : stale_) serve(i);  // which may add listers
      stale_.clear();
    };
    kept_.kept[in] = 1;
    ++live_[x];
    droppable_[x] = in;  // the only one that is kept
    serve_again(x);
    kept_.kept[out] = 0;
    --live_[y];
    droppable_[y] = droppable_below(
        y, std::lower_bound(kept_.members + kept_.member_ptr[y], kept_.members + kept_.member_ptr[y + 1], out) -
               kept_.members);
    serve_again(y);
    for (const std::int32_t c : repriced_) price(c);
    repriced_.clear();
  }

  // Finds the two nearest kept rows of class i, and moves what it loses without the nearest to that one's account.
  void serve(std::int32_t i) {
    Service& mine = service_[i];
    if (mine.by >= 0) {
      loss_[mine.by] -= kept_.weights[i] * (mine.nearest - mine.second);
      repriced_.push_back(mine.by);
    }
    while (!find(i)) deepen(i);
    loss_[mine.by] += kept_.weights[i] * (mine.nearest - mine.second);
    repriced_.push_back(mine.by);
    repriced_.push_back(i);
  }

  bool find(std::int32_t i) {
    Service found{-1, 0, 0};
    const auto take = [&](std::int32_t c, std::int64_t units) {
      if (found.by >= 0) {
        found.second = units;
        return true;
      }
      found.by = c;
      found.nearest = found.second = units;
      return live_[c] > 1;  // another row of the same class is as near
    };
    bool complete = live_[i] > 0 && take(i, kOneInUnits);
    const auto look = [&](std::int32_t c, float similarity) {
      complete = complete || (live_[c] > 0 && take(c, in_units(similarity)));
    };
    if (deeper_[i].empty()) {
      for (std::int64_t e = graph_.indptr[i]; e < graph_.indptr[i + 1] && !complete; ++e) {
        look(graph_.indices[e], graph_.similarities[e]);
      }
    } else {
      for (std::size_t e = 0; e < deeper_[i].size() && !complete; ++e)
        look(deeper_[i][e].row, deeper_[i][e].similarity);
    }
    if (complete) service_[i] = found;
    return complete;
  }

  // Ranks so many others of class i that its list becomes four times as long.
  void deepen(std::int32_t i) {
    check(watch_);
    const std::int64_t listed =
        deeper_[i].empty() ? graph_.indptr[i + 1] - graph_.indptr[i] : static_cast<std::int64_t>(deeper_[i].size());
    const std::int64_t length = std::min(std::max<std::int64_t>(64, 4 * listed), rows_.rows - 1);
    std::vector<std::uint64_t> pairs;
    pairs.reserve(static_cast<std::size_t>(rows_.rows));
    for (std::int32_t j = 0; j < rows_.rows; ++j) {
      if (j != i) pairs.push_back(pack_pair(j, similarity(kernels_, rows_.row(i), rows_.row(j), rows_.stride)));
    }
    std::partial_sort(pairs.begin(), pairs.begin() + length, pairs.end(), std::greater<>());
    deeper_[i].clear();
    for (std::int64_t at = 0; at < length; ++at) {
      deeper_[i].push_back({pair_id(pairs[at]), pair_score(pairs[at])});
      if (at >= listed) listed_later_[deeper_[i].back().row].push_back({i, deeper_[i].back().similarity});
    }
  }

  std::int64_t cost(std::int32_t c) const { return live_[c] > 1 ? 0 : loss_[c]; }

  // The highest kept row of class c that may go, among its members before the one at `end`; -1 if there is none.
  std::int32_t droppable_below(std::int32_t c, std::int64_t end) const {
    for (std::int64_t m = end - 1; live_[c] > 0 && m >= kept_.member_ptr[c]; --m) {
      const std::int32_t row = kept_.members[m];
      if (kept_.kept[row] && !kept_.must_keep[row]) return row;
    }
    return -1;
  }

  void price(std::int32_t c) { cheapest_.set(c, droppable_[c] >= 0 ? cost(c) : kNever, droppable_[c]); }

  const Kernels& kernels_;
  MatrixView rows_;
  NeighborGraph graph_;
  const KeptRows& kept_;
  Watch& watch_;
  std::vector<std::int32_t> live_;       // kept rows of each class
  std::vector<std::int32_t> droppable_;  // the row of each class that would go, -1: none
  std::vector<Service> service_;         // of each class
  std::vector<std::int64_t> loss_;       // what all lose together without the last row of a class
  std::vector<std::int64_t> added_;      // what the row that is visited would spare each class
  std::vector<std::int32_t> changed_;    // where that is not 0
  std::vector<std::int32_t> stale_, repriced_;
  std::vector<std::vector<Edge>> deeper_;        // lists that the graph holds too short
  std::vector<std::vector<Edge>> listed_later_;  // listers of each class by those
  std::vector<std::int64_t> listers_ptr_;
  std::vector<Edge> listers_;
  Cheapest cheapest_;
};

}  // namespace

std::int64_t refine(const Kernels& kernels, MatrixView rows, const NeighborGraph& graph, const KeptRows& kept,
                    Watch& watch) {
  return Refinement(kernels, rows, graph, kept, watch).run();
}

}  // namespace pyredund::cpu
