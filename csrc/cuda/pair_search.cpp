#include "cuda/pair_search.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cuda/device.hpp"
#include "cuda/half_rows.hpp"
#include "cuda/memory.hpp"
#include "cuda/pair_scores.hpp"

namespace pyredund::cuda {
namespace {

constexpr std::int64_t kPlainProducts = 1 << 30;  // of a launch by definition
constexpr std::int64_t kPairBytes = sizeof(Pair);
constexpr std::int64_t kFewPairs = 256, kManyPairs = 16 << 20;
constexpr std::int64_t kPiece = 1 << 20;  // pairs that the host takes at a time

class PairSearch {
 public:
  PairSearch(const UnitRows& rows, const UnitRows& columns, bool self_join, double threshold, Tally& tally,
             const SearchOptions& options, cudaStream_t stream, Watch& watch)
      : rows_(rows),
        columns_(columns),
        self_join_(self_join),
        threshold_(threshold),
        tally_(tally),
        device_(options.device),
        stream_(stream),
        watch_(watch),
        most_bytes_(options.most_bytes),
        n_pairs_(8, options.device) {}
  // A search that did not come to its end has found nothing.
  ~PairSearch() {
    if (ended_) return;
    tally_.n_pairs -= static_cast<std::int64_t>(found_.rows.size());
    watch_.total += through_;
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
    const std::int64_t padded = rounded_up(rows_.rows, kBlock), row_blocks = padded / kBlock;
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
    take_steps(steps, launch_steps(self_join_, row_blocks, columns.stride, kLaunchProducts), false, find);
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
    // Last of all, since pairs can do with what the rest leaves.
    const std::int64_t room = room_for_buffers(device_, most_bytes_);
    hold(std::clamp(std::min(room / 4 / kPairBytes, tally_.most), kFewPairs, kManyPairs));
    const std::int64_t pairs = pairs_of(rows_.rows, columns_.rows, self_join_);
    std::int64_t at_once = most_at_once;
    for (std::int64_t step = 0; step < steps && !tally_.full();) {
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
      const std::int64_t now = pairs_through(pairs, next, steps);
      watch_.done += now - through_;
      through_ = now;
      step = next;
    }
    ended_ = true;
  }

  void take(std::int64_t count, bool is_scored) {
    if (!is_scored) score_pairs(rows_, columns_, survivors_.pairs, count, stream_);
    for (std::int64_t first = 0; first < count && !tally_.full(); first += kPiece) {
      host_.resize(static_cast<std::size_t>(std::min(kPiece, count - first)));
      to_host(host_.data(), survivors_.pairs + first, static_cast<std::int64_t>(host_.size()) * kPairBytes, stream_);
      const std::size_t before = found_.rows.size();
      for (const Pair& pair : host_) {
        if (static_cast<double>(pair.score) < threshold_) continue;
        found_.rows.push_back(self_join_ ? std::min(pair.row, pair.column) : pair.row);
        found_.columns.push_back(self_join_ ? std::max(pair.row, pair.column) : pair.column);
        found_.similarities.push_back(pair.score);
      }
      tally_.n_pairs += static_cast<std::int64_t>(found_.rows.size() - before);
    }
  }

  UnitRows rows_, columns_;
  bool self_join_;
  double threshold_;
  Tally& tally_;
  int device_;
  cudaStream_t stream_;
  Watch& watch_;
  std::int64_t most_bytes_;
  Buffer n_pairs_;
  std::unique_ptr<Buffer> pairs_;
  Survivors survivors_;
  std::vector<Pair> host_;
  SimilarPairs found_;
  std::int64_t through_ = 0;  // pairs, for those who wait
  bool ended_ = false;
};

}  // namespace

SimilarPairs search_pairs(const UnitRows& rows, const UnitRows& columns, bool self_join, double threshold, Tally& tally,
                          const SearchOptions& options, cudaStream_t stream, Watch& watch) {
  PairSearch search(rows, columns, self_join, threshold, tally, options, stream, watch);
  return options.plain ? search.search_plainly() : search.search_by_tensor_cores();
}

}  // namespace pyredund::cuda
