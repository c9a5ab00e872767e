#include "cpu/deduplicate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cpu/gathered_rows.hpp"
#include "cpu/radius_graph.hpp"
#include "cpu/tile_scan.hpp"
#include "cpu/tile_schedule.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kChunk = 512;  // crowded rows that are compared with each other
constexpr std::int64_t kTile = 192;   // rows that a thread compares at once with what was kept of them
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> gathered(MatrixView rows, const std::int32_t* which, std::int64_t count, const Watch& watch) {
  std::vector<float> matrix(static_cast<std::size_t>(count * rows.stride));
  gather_rows(rows, which, count, matrix.data(), watch);
  return matrix;
}

class Visit {
 public:
  Visit(const SearchPlan& plan, MatrixView rows, const ClassLists& lists, const std::uint8_t* crowded,
        const std::int32_t* order, double threshold, std::uint8_t* fates, Watch& watch)
      : plan_(plan),
        rows_(rows),
        lists_(lists),
        crowded_(crowded),
        order_(order),
        threshold_(threshold),
        fates_(fates),
        watch_(watch),
        chunk_(plan.block > 0 ? plan.block : kChunk) {}

  void run() {
    watch_.total += rows_.rows;
    start();
    for (std::int64_t begin = 0; begin < rows_.rows;) {
      check(watch_);
      chunk_rows_.clear();
      std::int64_t end = begin;
      for (; end < rows_.rows && static_cast<std::int64_t>(chunk_rows_.size()) < chunk_; ++end) {
        if (is_open(order_[end])) chunk_rows_.push_back(order_[end]);
      }
      visit(begin, end);
      watch_.done += end - begin;
      begin = end;
    }
  }

 private:
  bool is_open(std::int32_t row) const { return fates_[row] == kUndecided && crowded_[row] != 0; }

  // Rows kept beforehand drop what is near them.
  void start() {
    std::vector<std::int32_t> crowd;
    for (std::int64_t i = 0; i < rows_.rows; ++i) {
      const std::int32_t row = order_[i];
      if (fates_[row] == kKept) drop_listed(row);
      if (fates_[row] == kKept && crowded_[row] != 0) crowd.push_back(row);
    }
    for (std::int32_t row = 0; row < rows_.rows; ++row) {
      if (is_open(row)) open_.push_back(row);
    }
    for (std::size_t from = 0; from < crowd.size(); from += static_cast<std::size_t>(chunk_)) {
      const std::size_t to = std::min(crowd.size(), from + static_cast<std::size_t>(chunk_));
      drop_near({crowd.begin() + static_cast<std::ptrdiff_t>(from), crowd.begin() + static_cast<std::ptrdiff_t>(to)});
    }
  }

  void drop(std::int32_t row) {
    if (fates_[row] == kUndecided) fates_[row] = kDropped;
  }

  void drop_listed(std::int32_t row) {
    for (std::int64_t e = lists_.begin(row), end = lists_.end(row); e < end; ++e) {
      if (static_cast<double>(lists_.graph.similarities[e]) < threshold_) break;
      drop(lists_.id(e));
    }
  }

  // Decides the rows at places [begin, end), of which chunk_rows_ are crowded and undecided, in their order.
  void visit(std::int64_t begin, std::int64_t end) {
    const auto n_chunk = static_cast<std::int64_t>(chunk_rows_.size());
    const std::vector<float> data = gathered(rows_, chunk_rows_.data(), n_chunk, watch_);
    Watch search;  // progress is counted in rows, not in tiles
    search.whole = &watch_;
    const SimilarPairs pairs =
        similar_pairs({plan_.kernels, plan_.n_threads, 0}, {data.data(), n_chunk, rows_.dim, rows_.stride}, Sketch{},
                      threshold_, std::numeric_limits<std::int64_t>::max(), search);
    std::vector<std::vector<std::int32_t>> near(chunk_rows_.size());  // later rows of the chunk
    for (std::size_t p = 0; p < pairs.rows.size(); ++p) near[pairs.rows[p]].push_back(pairs.columns[p]);
    std::vector<std::int32_t> kept;
    std::size_t at = 0;  // in the chunk
    for (std::int64_t i = begin; i < end; ++i) {
      if ((i & 65535) == 0) check(watch_);
      const std::int32_t row = order_[i];
      const bool in_chunk = at < chunk_rows_.size() && chunk_rows_[at] == row;
      if (fates_[row] == kUndecided) {
        fates_[row] = kKept;
        drop_listed(row);
        if (in_chunk) {
          for (const std::int32_t other : near[at]) drop(chunk_rows_[other]);
          kept.push_back(row);
        }
      }
      at += in_chunk ? 1 : 0;
    }
    drop_near(kept);
  }

  // Drops the open rows that are near one of these.
  void drop_near(const std::vector<std::int32_t>& kept) {
    open_.erase(std::remove_if(open_.begin(), open_.end(), [&](std::int32_t row) { return !is_open(row); }),
                open_.end());
    if (kept.empty() || open_.empty()) return;
    const std::vector<float> kept_data = gathered(rows_, kept.data(), static_cast<std::int64_t>(kept.size()), watch_);
    const MatrixView columns{kept_data.data(), static_cast<std::int64_t>(kept.size()), rows_.dim, rows_.stride};
    const auto n_open = static_cast<std::int64_t>(open_.size());
    const auto bar = static_cast<float>(threshold_ - 1.01 * scan_margin(rows_.stride));
    Watch search;
    search.whole = &watch_;
    const auto tile_at = [&](std::int64_t t) {
      return Tile{t * kTile, std::min(n_open, (t + 1) * kTile), 0, columns.rows, false};
    };
    for_each_tile(plan_.n_threads, blocks_of(n_open, kTile), search, tile_at, [&](const auto& each) {
      std::vector<std::atomic<float>> bars(static_cast<std::size_t>(kTile));
      each([&](const Tile& tile) {
        const std::int32_t* const which = open_.data() + tile.row_begin;
        const std::int64_t count = tile.row_end - tile.row_begin;
        const std::vector<float> data = gathered(rows_, which, count, watch_);
        for (std::int64_t r = 0; r < count; ++r) bars[r].store(bar, std::memory_order_relaxed);
        const auto resolve = [&](Survivor* survivors, std::int64_t n_survivors) {
          for (std::int64_t s = 0; s < n_survivors; ++s) {
            const Survivor& pair = survivors[s];
            const std::int32_t row = which[pair.row];
            if (fates_[row] != kUndecided) continue;
            const float* const own = data.data() + pair.row * rows_.stride;
            const float exact = similarity(*plan_.kernels, own, columns.row(pair.column), rows_.stride);
            if (static_cast<double>(exact) < threshold_) continue;
            fates_[row] = kDropped;
            bars[pair.row].store(kInfinity, std::memory_order_relaxed);
          }
          return n_survivors;
        };
        TileScan scan(*plan_.kernels, plan_.kernels->floats, scan_rows({data.data(), count, rows_.dim, rows_.stride}),
                      scan_rows(columns), rows_.dim);
        scan.scan({0, count, 0, columns.rows, false}, bars.data(), nullptr, nullptr, nullptr, resolve, watch_);
      });
    });
  }

  SearchPlan plan_;
  MatrixView rows_;
  ClassLists lists_;
  const std::uint8_t* crowded_;
  const std::int32_t* order_;
  double threshold_;
  std::uint8_t* fates_;
  Watch& watch_;
  std::int64_t chunk_;
  std::vector<std::int32_t> chunk_rows_, open_;
};

}  // namespace

void deduplicate(const SearchPlan& plan, MatrixView rows, const ClassLists& lists, const std::uint8_t* crowded,
                 const std::int32_t* order, double threshold, std::uint8_t* fates, Watch& watch) {
  Visit(plan, rows, lists, crowded, order, threshold, fates, watch).run();
}

void closest_listed(const ClassLists& lists, std::int64_t n_classes, const std::int32_t* names, bool are_even,
                    std::int32_t* closest, float* similarities, Watch& watch) {
  for (std::int32_t c = 0; c < n_classes; ++c) {
    if ((c & 65535) == 0) check(watch);
    closest[c] = names[c];
    similarities[c] = names[c] < 0 ? -1.0f : 1.0f;
    if (names[c] >= 0) continue;
    const std::int64_t begin = lists.begin(c), end = lists.end(c);
    for (std::int64_t e = begin; e < end; ++e) {
      const float similarity = lists.graph.similarities[e];
      if (closest[c] >= 0 && similarity < similarities[c]) break;
      const std::int32_t name = names[lists.id(e)];
      if (name < 0 || (closest[c] >= 0 && name > closest[c])) continue;
      closest[c] = name;
      similarities[c] = similarity;
    }
    if (!are_even && closest[c] >= 0 && similarities[c] == lists.graph.similarities[end - 1]) closest[c] = -1;
  }
}

}  // namespace pyredund::cpu
