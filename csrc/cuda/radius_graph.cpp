#include "cuda/radius_graph.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "cuda/device.hpp"
#include "cuda/half_rows.hpp"
#include "cuda/memory.hpp"
#include "cuda/pair_scores.hpp"
#include "cuda/upload.hpp"

namespace pyredund::cuda {
namespace {

constexpr double kLaunchProducts = 2e12;          // as for lists
constexpr std::int64_t kPlainProducts = 1 << 30;  // of a launch by definition
constexpr std::int64_t kPairBytes = sizeof(Pair);
constexpr std::int64_t kFewPairs = 256, kManyPairs = 16 << 20;
constexpr std::int64_t kPiece = 1 << 20;  // pairs that the host takes at a time

class PairSearch {
 public:
  PairSearch(const UnitRows& rows, const UnitRows& columns, bool self_join, double threshold, std::int64_t most,
             const SearchOptions& options, cudaStream_t stream, Watch& watch)
      : rows_(rows),
        columns_(columns),
        self_join_(self_join),
        threshold_(threshold),
        most_(most),
        device_(options.device),
        stream_(stream),
        watch_(watch),
        n_pairs_(8, options.device) {
    const std::int64_t room = room_for_buffers(device_, options.most_bytes);
    hold(std::clamp(std::min(room / 4 / kPairBytes, most), kFewPairs, kManyPairs));
  }

  SimilarPairs search_plainly() {
    const std::int64_t products = std::max<std::int64_t>(1, columns_.rows * columns_.stride);
    const auto find = [&](std::int64_t first, std::int64_t last) {
      plain_pairs(rows_, first, last - first, columns_, self_join_, threshold_, survivors_, stream_);
    };
    take_steps(rows_.rows, std::max<std::int64_t>(1, kPlainProducts / products), true, find);
    return std::move(found_);
  }

  SimilarPairs search_by_tensor_cores() {
    const HalfRows columns(columns_, nullptr, device_, stream_);
    std::optional<HalfRows> own;
    if (!self_join_) own.emplace(rows_, nullptr, device_, stream_);
    const HalfRows& rows = self_join_ ? columns : *own;
    const std::int64_t padded = rounded_up(rows_.rows, kTile), row_blocks = padded / kTile;
    const Buffer bar_buffer(padded * 4, device_);
    const Bars bars{static_cast<float*>(bar_buffer.data()), static_cast<const float*>(rows.residuals.data()),
                    static_cast<const float*>(columns.largest.data()), columns.stride};
    pair_bars(rows_, self_join_, bars, padded, threshold_, stream_);

    const DeviceFacts facts = facts_of(device_);
    const ScanShape shape = shape_for(columns.stride / kChunk, facts.shared_bytes);
    if (shape.stages == 0) throw CudaError("this GPU has too little shared memory for pyredund's kernels");
    prepare_scan(facts.shared_bytes);
    TileScan scan;
    scan.rows = rows.data();
    scan.columns = columns.data();
    scan.half_stride = columns.stride;
    scan.n_rows = static_cast<std::int32_t>(rows_.rows);
    scan.n_columns = static_cast<std::int32_t>(columns_.rows);
    scan.row_bars = bars.bars;
    scan.column_bars = self_join_ ? bars.bars : nullptr;
    scan.symmetric = self_join_;
    scan.chunks = static_cast<std::int32_t>(shape.chunks);
    scan.last_slices = static_cast<std::int32_t>((rows_.stride - (shape.chunks - 1) * kChunk + kSlice - 1) / kSlice);
    const auto find = [&](std::int64_t first, std::int64_t last) {
      scan.span = {row_blocks, first, last, run_steps(row_blocks, last - first, facts.processors), self_join_};
      scan.survivors = survivors_;
      scan_tiles(scan, shape, stream_);
    };
    const std::int64_t steps = self_join_ ? cyclic_steps(row_blocks) : rounded_up(columns_.rows, kTile) / kTile;
    take_steps(steps, launch_steps(row_blocks, columns.stride, kLaunchProducts), false, find);
    return std::move(found_);
  }

 private:
  void hold(std::int64_t n_pairs) {
    pairs_.reset();  // before there is another
    pairs_ = std::make_unique<Buffer>(n_pairs * kPairBytes, device_);
    survivors_.pairs = static_cast<Pair*>(pairs_->data());
    survivors_.n_pairs = static_cast<unsigned long long*>(n_pairs_.data());
    survivors_.capacity = n_pairs;
  }

  // find(first, last) for all steps, as many at a time as a launch may take and as bring no more pairs than there are
  // places. What does not fit is found again: by fewer steps, or with more places.
  void take_steps(std::int64_t steps, std::int64_t most_at_once, bool is_scored,
                  const std::function<void(std::int64_t, std::int64_t)>& find) {
    watch_.total += steps;
    std::int64_t at_once = most_at_once;
    for (std::int64_t step = 0; step < steps && found_.complete;) {
      check(watch_);
      const std::int64_t next = std::min(steps, step + at_once);
      PYREDUND_CUDA_CALL(cudaMemsetAsync(n_pairs_.data(), 0, 8, stream_));
      find(step, next);
      unsigned long long came = 0;
      to_host(&came, n_pairs_.data(), 8, stream_);
      const auto count = static_cast<std::int64_t>(came);
      if (count > survivors_.capacity) {
        if (next - step > 1) {
          at_once = (next - step + 1) / 2;
        } else {
          hold(count);
        }
        continue;
      }
      take(count, is_scored);
      if (count < survivors_.capacity / 4) at_once = std::min(most_at_once, 2 * at_once);
      watch_.done += next - step;
      step = next;
    }
  }

  void take(std::int64_t count, bool is_scored) {
    if (!is_scored) score_pairs(rows_, columns_, survivors_.pairs, count, stream_);
    for (std::int64_t first = 0; first < count && found_.complete; first += kPiece) {
      host_.resize(static_cast<std::size_t>(std::min(kPiece, count - first)));
      to_host(host_.data(), survivors_.pairs + first, static_cast<std::int64_t>(host_.size()) * kPairBytes, stream_);
      for (const Pair& pair : host_) {
        if (static_cast<double>(pair.score) < threshold_) continue;
        found_.rows.push_back(self_join_ ? std::min(pair.row, pair.column) : pair.row);
        found_.columns.push_back(self_join_ ? std::max(pair.row, pair.column) : pair.column);
        found_.similarities.push_back(pair.score);
      }
      found_.complete = static_cast<std::int64_t>(found_.rows.size()) <= most_;
    }
  }

  UnitRows rows_, columns_;
  bool self_join_;
  double threshold_;
  std::int64_t most_;
  int device_;
  cudaStream_t stream_;
  Watch& watch_;
  Buffer n_pairs_;
  std::unique_ptr<Buffer> pairs_;
  Survivors survivors_;
  std::vector<Pair> host_;
  SimilarPairs found_;
};

SimilarPairs search(const UnitRows& rows, const UnitRows& columns, bool self_join, double threshold, std::int64_t most,
                    const SearchOptions& options, cudaStream_t stream, Watch& watch) {
  PairSearch search(rows, columns, self_join, threshold, most, options, stream, watch);
  return options.plain ? search.search_plainly() : search.search_by_tensor_cores();
}

// Parts of the rows with parts of the columns: each with each, in a self-join those before it left out.
SimilarPairs search_in_parts(MatrixView rows, const MatrixView* reference, std::int64_t n_parts, double threshold,
                             std::int64_t most, const SearchOptions& options, cudaStream_t stream, Watch& watch) {
  const MatrixView& columns = reference != nullptr ? *reference : rows;
  SimilarPairs all;
  for (std::int64_t i = 0; i < n_parts && all.complete; ++i) {
    const std::int64_t first = rows.rows * i / n_parts, count = rows.rows * (i + 1) / n_parts - first;
    if (count == 0) continue;
    const UploadedRows own(rows.part(first, count), options.device, stream, watch);
    for (std::int64_t j = reference != nullptr ? 0 : i; j < n_parts && all.complete; ++j) {
      const bool self_join = reference == nullptr && j == i;
      const std::int64_t begin = columns.rows * j / n_parts, length = columns.rows * (j + 1) / n_parts - begin;
      if (length == 0) continue;
      std::optional<UploadedRows> others;
      if (!self_join) others.emplace(columns.part(begin, length), options.device, stream, watch);
      const std::int64_t left = most - static_cast<std::int64_t>(all.rows.size());
      SimilarPairs found =
          search(own.unit(), others ? others->unit() : own.unit(), self_join, threshold, left, options, stream, watch);
      if (n_parts == 1) return found;
      all.complete = found.complete;
      for (const std::int32_t row : found.rows) all.rows.push_back(row + static_cast<std::int32_t>(first));
      for (const std::int32_t column : found.columns) all.columns.push_back(column + static_cast<std::int32_t>(begin));
      all.similarities.insert(all.similarities.end(), found.similarities.begin(), found.similarities.end());
    }
  }
  return all;
}

}  // namespace

SimilarPairs similar_pairs(MatrixView rows, const MatrixView* reference, double threshold, std::int64_t most,
                           const SearchOptions& options, Watch& watch) {
  if (rows.rows == 0 || (reference != nullptr && reference->rows == 0)) return {};
  const UseDevice use(options.device);
  const Stream stream(options.device);
  const std::int64_t longest = reference != nullptr ? std::max(rows.rows, reference->rows) : rows.rows;
  for (std::int64_t n_parts = 1;; n_parts *= 2) {
    try {
      return search_in_parts(rows, reference, n_parts, threshold, most, options, stream.get(), watch);
    } catch (const OutOfMemory&) {
      if (longest <= n_parts * kTileRows) throw;
    }
  }
}

SimilarPairs similar_pairs_of_units(const DeviceUnits& units, double threshold, std::int64_t most,
                                    SearchOptions options, Watch& watch) {
  if (units.rows().rows == 0) return {};
  const UseDevice use(units.device());
  const UseMemory use_memory(units.memory());
  options.device = units.device();
  return search(units.rows(), units.rows(), true, threshold, most, options, units.stream(), watch);
}

}  // namespace pyredund::cuda
