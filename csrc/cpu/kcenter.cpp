#include "cpu/kcenter.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <queue>

#include "cpu/locality_order.hpp"
#include "cpu/open_rows.hpp"
#include "cpu/tile_scan.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kBatch = 128;  // picks after which every open row is compared with them
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A similarity and a row as one integer, in the order in which rows are picked: smallest first.
std::uint64_t pick_key(float similarity, std::int32_t row) {
  std::uint32_t bits;
  similarity += 0.0f;
  std::memcpy(&bits, &similarity, sizeof bits);
  bits = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;  // the order of floats as the order of integers
  return (static_cast<std::uint64_t>(bits) << 32) | static_cast<std::uint32_t>(row);
}

struct Change {
  std::int32_t row, place;
  float similarity;
};

// Which rows list a row, and with what similarity.
struct Listers {
  explicit Listers(const NeighborGraph& graph) : indptr(static_cast<std::size_t>(graph.n_rows + 1), 0) {
    const std::int64_t n_edges = graph.indptr[graph.n_rows];
    for (std::int64_t e = 0; e < n_edges; ++e) ++indptr[graph.indices[e] + 1];
    for (std::int64_t i = 0; i < graph.n_rows; ++i) indptr[i + 1] += indptr[i];
    rows.resize(static_cast<std::size_t>(n_edges));
    similarities.resize(rows.size());
    std::vector<std::int64_t> next(indptr.begin(), indptr.end() - 1);
    for (std::int32_t i = 0; i < graph.n_rows; ++i) {
      for (std::int64_t e = graph.indptr[i]; e < graph.indptr[i + 1]; ++e) {
        const std::int64_t at = next[graph.indices[e]]++;
        rows[at] = i;
        similarities[at] = graph.similarities[e];
      }
    }
  }

  std::vector<std::int64_t> indptr;
  std::vector<std::int32_t> rows;
  std::vector<float> similarities;
};

// A row is open until a row in its list is picked; from then on only others in its list can come closer, so that their
// picks are all it has to hear of. What an open row knows is a lower bound: it has been compared with the picks before
// some place. It catches up when it would be the next pick, when it closes, and with all others after every batch.
class Traversal {
 public:
  Traversal(const SearchPlan& plan, MatrixView rows, const NeighborGraph& graph, Watch& watch)
      : plan_(plan),
        rows_(rows),
        listers_(graph),
        watch_(watch),
        batch_(plan.block > 0 ? plan.block : kBatch),
        margin_(scan_margin(rows.stride)),
        closest_(static_cast<std::size_t>(rows.rows), {-1, -2.0f}),
        seen_(static_cast<std::size_t>(rows.rows), 0),
        state_(static_cast<std::size_t>(rows.rows), kOpen),
        open_(plan, rows, locality_order(*plan.kernels, rows, plan.kernels->panel_width, plan.n_threads, watch)),
        bars_(static_cast<std::size_t>(rows.rows)),
        recent_(static_cast<std::size_t>(batch_ * rows.stride)) {}

  KCenterLog run(const std::vector<std::int32_t>& forced, std::int32_t first, std::int64_t n_pick) {
    watch_.total += n_pick;
    if (forced.empty()) {
      begin(first, -1.0f);
    } else {
      begin(forced[0], 1.0f);
      for (std::size_t f = 1; f < forced.size(); ++f) pick(forced[f], 1.0f);
    }
    while (n_picked() < n_pick) {
      const std::int32_t row = static_cast<std::int32_t>(static_cast<std::uint32_t>(waiting_.top()));
      if (state_[row] == kPicked || waiting_.top() != pick_key(closest_[row].similarity, row)) {
        waiting_.pop();
        continue;
      }
      if (state_[row] == kOpen) {
        const float before = closest_[row].similarity;
        catch_up(row, n_picked());
        if (closest_[row].similarity != before) continue;
      }
      waiting_.pop();
      pick(row, closest_[row].similarity);
    }
    if (n_picked() > batch_begin_) compare_with_batch();
    log_.closest = sorted_by_row(static_cast<std::int64_t>(forced.size()));
    return std::move(log_);
  }

 private:
  enum State : std::uint8_t { kOpen, kClosed, kPicked };
  struct Closest {
    std::int32_t place;
    float similarity;
  };

  std::int64_t n_picked() const { return static_cast<std::int64_t>(log_.picked.size()); }

  // The first pick is everybody's closest.
  void begin(std::int32_t first, float similarity_then) {
    std::vector<std::uint64_t> keys;
    for (std::int32_t row = 0; row < rows_.rows; ++row) {
      if (row % 4096 == 0) check(watch_);
      if (row == first) continue;
      offer(row, 0, similarity(*plan_.kernels, rows_.row(row), rows_.row(first), rows_.stride), changes_, first);
      keys.push_back(pick_key(closest_[row].similarity, row));
    }
    waiting_ = Heap(std::greater<>(), std::move(keys));
    announce(first, similarity_then);
    batch_begin_ = 1;
  }

  void pick(std::int32_t row, float similarity_then) {
    if ((n_picked() & 255) == 0) check(watch_);
    std::copy_n(rows_.row(row), rows_.stride, recent_.begin() + (n_picked() - batch_begin_) * rows_.stride);
    announce(row, similarity_then);
    if (n_picked() - batch_begin_ == batch_) compare_with_batch();
  }

  // Makes a row a pick, and tells those that list it.
  void announce(std::int32_t row, float similarity_then) {
    const auto place = static_cast<std::int32_t>(n_picked());
    log_.picked.push_back(row);
    log_.similarities.push_back(similarity_then);
    state_[row] = kPicked;
    bars_[row] = kInfinity;
    for (std::int64_t e = listers_.indptr[row]; e < listers_.indptr[row + 1]; ++e) {
      const std::int32_t lister = listers_.rows[e];
      if (state_[lister] == kPicked) continue;
      const float before = closest_[lister].similarity;
      if (state_[lister] == kOpen) {
        if (place > 0) catch_up(lister, place);
        state_[lister] = kClosed;
        bars_[lister] = kInfinity;
      }
      offer(lister, place, listers_.similarities[e], changes_, row);
      if (closest_[lister].similarity != before) wait(lister);
    }
    changes_.push_back({row, place, 1.0f});
    watch_.done.store(n_picked(), std::memory_order_relaxed);
  }

  void wait(std::int32_t row) { waiting_.push(pick_key(closest_[row].similarity, row)); }

  // `center` is the row picked at that place.
  void offer(std::int32_t row, std::int32_t place, float similarity, std::vector<Change>& changes,
             std::int32_t center) {
    Closest& own = closest_[row];
    const bool closer = own.place < 0 || similarity > own.similarity ||
                        (similarity == own.similarity && center < log_.picked[own.place]);
    if (!closer) return;
    own = {place, similarity};
    if (state_[row] == kOpen) bars_[row] = static_cast<float>(static_cast<double>(similarity) - 2 * margin_);
    changes.push_back({row, place, similarity});
  }

  // Compares an open row with all picks before a place.
  void catch_up(std::int32_t row, std::int64_t until) {
    const std::int64_t from = std::max<std::int64_t>(batch_begin_, seen_[row]);
    const float before = closest_[row].similarity;
    seen_[row] = static_cast<std::int32_t>(until);
    const float* const x = rows_.row(row);
    for (std::int64_t place = from; place < until; ++place) {
      const float* const y = recent_.data() + (place - batch_begin_) * rows_.stride;
      const float about = plan_.kernels->approximate(x, y, rows_.stride);
      if (static_cast<double>(about) + margin_ < static_cast<double>(closest_[row].similarity)) continue;
      offer(row, static_cast<std::int32_t>(place), similarity(*plan_.kernels, x, y, rows_.stride), changes_,
            log_.picked[place]);
    }
    if (closest_[row].similarity != before) wait(row);
  }

  // Compares every open row with the picks of the batch, and begins the next one.
  void compare_with_batch() {
    const MatrixView picks{recent_.data(), n_picked() - batch_begin_, rows_.dim, rows_.stride};
    std::vector<std::vector<Change>> changes(static_cast<std::size_t>(plan_.n_threads));
    const auto resolve = [&](int thread, std::int32_t row, const Survivor* found, std::int64_t count) {
      for (std::int64_t f = 0; f < count; ++f) {
        const std::int64_t place = batch_begin_ + found[f].row;
        if (place < seen_[row] || found[f].approximate < bars_[row]) continue;
        const float exact = similarity(*plan_.kernels, rows_.row(row), picks.row(found[f].row), rows_.stride);
        offer(row, static_cast<std::int32_t>(place), exact, changes[thread], log_.picked[place]);
      }
    };
    open_.compare(picks, bars_, resolve, watch_);
    for (const std::vector<Change>& of_thread : changes) {
      for (const Change& change : of_thread) {
        changes_.push_back(change);
        if (closest_[change.row].place == change.place) wait(change.row);
      }
    }
    batch_begin_ = n_picked();
  }

  // The log of changes, row by row; of those within the first `n_forced` picks only each row's last.
  PrefixLog sorted_by_row(std::int64_t n_forced) {
    std::vector<std::int64_t> next(static_cast<std::size_t>(rows_.rows + 1), 0);
    for (const Change& change : changes_) ++next[change.row + 1];
    for (std::int64_t row = 0; row < rows_.rows; ++row) next[row + 1] += next[row];
    std::vector<Change> sorted(changes_.size());
    for (const Change& change : changes_) sorted[next[change.row]++] = change;
    changes_ = {};  // their memory is needed for the log
    PrefixLog log;
    log.indptr.reserve(next.size());
    log.places.reserve(sorted.size());
    log.similarities.reserve(sorted.size());
    std::size_t at = 0;
    for (std::int32_t row = 0; row < rows_.rows; ++row) {
      for (; at < sorted.size() && sorted[at].row == row; ++at) {
        const bool row_has_one = static_cast<std::int64_t>(log.places.size()) > log.indptr.back();
        if (row_has_one && sorted[at].place < n_forced) {
          log.places.back() = sorted[at].place;
          log.similarities.back() = sorted[at].similarity;
          continue;
        }
        log.places.push_back(sorted[at].place);
        log.similarities.push_back(sorted[at].similarity);
      }
      log.indptr.push_back(static_cast<std::int64_t>(log.places.size()));
    }
    return log;
  }

  using Heap = std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>>;

  const SearchPlan& plan_;
  MatrixView rows_;
  Listers listers_;
  Watch& watch_;
  std::int64_t batch_;
  double margin_;
  std::vector<Closest> closest_;
  std::vector<std::int32_t> seen_;  // an open row has been compared with the picks before this place, or the batch
  std::vector<State> state_;
  OpenRows open_;
  std::vector<float> bars_;    // of open rows in their comparison with a batch
  std::vector<float> recent_;  // the rows of the picks from batch_begin_ on
  std::int64_t batch_begin_ = 0;
  Heap waiting_;  // every unpicked row by what it knows, and former keys
  std::vector<Change> changes_;
  KCenterLog log_;
};

}  // namespace

std::int32_t farthest_from_mean(MatrixView rows, const std::int64_t* weights) {
  std::vector<std::int64_t> sum(static_cast<std::size_t>(rows.stride), 0);
  for (std::int64_t i = 0; i < rows.rows; ++i) {
    for (std::int64_t c = 0; c < rows.stride; ++c) {
      sum[c] += weights[i] * std::llrint(static_cast<double>(rows.row(i)[c]) * 1073741824.0);
    }
  }
  const std::vector<double> mean(sum.begin(), sum.end());
  std::int32_t farthest = 0;
  double lowest = std::numeric_limits<double>::infinity();
  for (std::int32_t i = 0; i < rows.rows; ++i) {
    double lane[8] = {};
    for (std::int64_t c = 0; c < rows.stride; ++c) lane[c % 8] += static_cast<double>(rows.row(i)[c]) * mean[c];
    const double product = ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
    if (product < lowest) {
      lowest = product;
      farthest = i;
    }
  }
  return farthest;
}

KCenterLog kcenter(const SearchPlan& plan, MatrixView rows, const std::int64_t* weights, const NeighborGraph& graph,
                   const std::vector<std::int32_t>& forced, std::int64_t n_pick, Watch& watch) {
  if (n_pick == 0) return {};
  const std::int32_t first = forced.empty() ? farthest_from_mean(rows, weights) : forced[0];
  return Traversal(plan, rows, graph, watch).run(forced, first, n_pick);
}

}  // namespace pyredund::cpu
