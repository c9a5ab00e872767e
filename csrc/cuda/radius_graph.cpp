#include "cuda/radius_graph.hpp"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "cuda/device.hpp"
#include "cuda/device_team.hpp"
#include "cuda/memory.hpp"
#include "cuda/pair_search.hpp"
#include "cuda/upload.hpp"

namespace pyredund::cuda {
namespace {

// Whether all was looked at; those who wait need not wait for what was left out.
bool is_complete(const Tally& tally, Watch& watch) {
  if (tally.full()) watch.done = watch.total.load();
  return !tally.full();
}

struct Range {
  std::int64_t first, count;

  Range part(std::int64_t which, std::int64_t parts) const {
    const std::int64_t begin = count * which / parts;
    return {first + begin, count * (which + 1) / parts - begin};
  }
};

// A search among rows that lie on the host.
class HostSearch {
 public:
  HostSearch(const MatrixView& rows, const MatrixView* reference, double threshold, std::int64_t most,
             const SearchOptions& options, Watch& watch)
      : rows_(rows),
        columns_(reference != nullptr ? *reference : rows),
        self_join_(reference == nullptr),
        threshold_(threshold),
        options_(options),
        tally_(most),
        watch_(watch) {
    watch.total += pairs_of(rows_.rows, columns_.rows, self_join_);
  }

  SimilarPairs run() {
    const int n_devices = std::min(options_.devices, count_of_devices());
    if (n_devices <= 1) {
      find_on(options_.device, {0, rows_.rows}, {0, columns_.rows});
    } else {
      const std::vector<std::pair<Range, Range>> jobs = in_parts(2 * n_devices);
      run_on_devices(n_devices, static_cast<std::int64_t>(jobs.size()), watch_, [&](int device, std::int64_t job) {
        find_on(device, jobs[static_cast<std::size_t>(job)].first, jobs[static_cast<std::size_t>(job)].second);
      });
    }
    found_.complete = is_complete(tally_, watch_);
    return std::move(found_);
  }

 private:
  // Each part with each, in a self-join those with themselves last: they are half the work. No more parts than whole
  // tiles; more than devices, so that none waits long for the last.
  std::vector<std::pair<Range, Range>> in_parts(std::int64_t most) const {
    const Range rows{0, rows_.rows}, columns{0, columns_.rows};
    const std::int64_t n_rows = std::clamp<std::int64_t>(rows.count / kTileRows, 1, most);
    const std::int64_t n_columns = std::clamp<std::int64_t>(columns.count / kTileRows, 1, most);
    std::vector<std::pair<Range, Range>> jobs;
    for (std::int64_t i = 0; i < n_rows; ++i) {
      for (std::int64_t j = self_join_ ? i + 1 : 0; j < n_columns; ++j) {
        jobs.emplace_back(rows.part(i, n_rows), columns.part(j, n_columns));
      }
    }
    for (std::int64_t i = 0; self_join_ && i < n_rows; ++i) {
      jobs.emplace_back(rows.part(i, n_rows), rows.part(i, n_rows));
    }
    return jobs;
  }

  void find_on(int device, Range rows, Range columns) {
    SearchOptions options = options_;
    options.device = device;
    const UseDevice use(device);
    const Stream stream(device);
    find(rows, columns, options, stream.get());
  }

  // All pairs of two ranges, which in a self-join are apart or the same. Where the device has no room for them, those
  // of their halves.
  void find(Range rows, Range columns, const SearchOptions& options, cudaStream_t stream) {
    if (rows.count == 0 || columns.count == 0 || tally_.full()) return;
    const bool same = self_join_ && rows.first == columns.first;
    try {
      return take(search_ranges(rows, columns, same, options, stream), rows.first, columns.first);
    } catch (const OutOfMemory&) {
      if (std::max(rows.count, columns.count) <= kTileRows) throw;
    }
    const Range rows_low = rows.part(0, 2), rows_high = rows.part(1, 2);
    if (same) {
      find(rows_low, rows_low, options, stream);
      find(rows_low, rows_high, options, stream);
      find(rows_high, rows_high, options, stream);
    } else if (rows.count > columns.count) {
      find(rows_low, columns, options, stream);
      find(rows_high, columns, options, stream);
    } else {
      find(rows, columns.part(0, 2), options, stream);
      find(rows, columns.part(1, 2), options, stream);
    }
  }

  SimilarPairs search_ranges(Range rows, Range columns, bool same, const SearchOptions& options, cudaStream_t stream) {
    const UploadedRows own(rows_.part(rows.first, rows.count), options.device, stream, watch_);
    std::optional<UploadedRows> others;
    if (!same) others.emplace(columns_.part(columns.first, columns.count), options.device, stream, watch_);
    return search_pairs(own.unit(), same ? own.unit() : others->unit(), same, threshold_, tally_, options, stream,
                        watch_);
  }

  void take(SimilarPairs&& some, std::int64_t first_row, std::int64_t first_column) {
    for (std::int32_t& row : some.rows) row += static_cast<std::int32_t>(first_row);
    for (std::int32_t& column : some.columns) column += static_cast<std::int32_t>(first_column);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (found_.rows.empty()) {
      found_ = std::move(some);
      return;
    }
    found_.rows.insert(found_.rows.end(), some.rows.begin(), some.rows.end());
    found_.columns.insert(found_.columns.end(), some.columns.begin(), some.columns.end());
    found_.similarities.insert(found_.similarities.end(), some.similarities.begin(), some.similarities.end());
  }

  MatrixView rows_, columns_;
  bool self_join_;
  double threshold_;
  SearchOptions options_;
  Tally tally_;
  Watch& watch_;
  std::mutex mutex_;
  SimilarPairs found_;
};

}  // namespace

SimilarPairs similar_pairs(MatrixView rows, const MatrixView* reference, double threshold, std::int64_t most,
                           const SearchOptions& options, Watch& watch) {
  if (rows.rows == 0 || (reference != nullptr && reference->rows == 0)) return {};
  return HostSearch(rows, reference, threshold, most, options, watch).run();
}

SimilarPairs similar_pairs_of_units(const DeviceUnits& units, double threshold, std::int64_t most,
                                    SearchOptions options, Watch& watch) {
  const UnitRows rows = units.rows();
  if (rows.rows == 0) return {};
  const UseDevice use(units.device());
  const UseMemory use_memory(units.memory());
  options.device = units.device();
  watch.total += pairs_of(rows.rows, rows.rows, true);
  Tally tally(most);
  SimilarPairs found = search_pairs(rows, rows, true, threshold, tally, options, units.stream(), watch);
  found.complete = is_complete(tally, watch);
  return found;
}

}  // namespace pyredund::cuda
