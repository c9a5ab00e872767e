#include "cuda/tensor_knn.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <vector>

#include "cuda/device.hpp"
#include "cuda/half_rows.hpp"
#include "cuda/memory.hpp"
#include "cuda/settle.hpp"
#include "cuda/tile_scan.hpp"

namespace pyredund::cuda {
namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

std::int64_t list_bytes(std::int64_t capacity) { return capacity * 8 + 5 * 4; }

std::unique_ptr<Buffer> shuffled(std::int64_t rows, int device, cudaStream_t stream) {
  auto order = std::make_unique<Buffer>(rows * 4, device);
  shuffled_order(rows, static_cast<std::int32_t*>(order->data()), stream);
  return order;
}

// What rows hold during a search.
struct HeldBuffers {
  HeldBuffers(std::int64_t rows, std::int64_t capacity, int device)
      : capacity(capacity),
        keys(rows * capacity * 8, device),
        counts(rows * 4, device),
        settled(rows * 4, device),
        bars(rounded_up(rows, kBlock) * 4, device),
        floors(rows * 4, device),
        lost(rows * 4, device),
        n_lost(4, device) {}
  Held held() const {
    return {static_cast<std::uint64_t*>(keys.data()), static_cast<std::uint32_t*>(counts.data()),
            static_cast<std::uint32_t*>(settled.data()), capacity};
  }

  std::int64_t capacity;
  Buffer keys, counts, settled, bars, floors, lost, n_lost;
};

class TensorKnn {
 public:
  TensorKnn(const UnitRows& rows, const Columns& columns, const std::int32_t* excluded, const Lists& lists,
            const SearchOptions& options, cudaStream_t stream, KnnCounts& counts, Watch& watch)
      : rows_(rows),
        columns_(columns),
        excluded_(excluded),
        lists_(lists),
        device_(options.device),
        stream_(stream),
        counts_(counts),
        watch_(watch),
        order_(shuffled(columns.rows.rows, options.device, stream)),
        halves_(columns.rows, order(), options.device, stream),
        capacity_(capacity_for(lists.k)) {
    const DeviceFacts facts = facts_of(device_);
    processors_ = facts.processors;
    shape_ = shape_for(halves_.stride / kChunk, facts.shared_bytes);
    if (shape_.stages == 0) throw CudaError("this GPU has too little shared memory for pyredund's kernels");
    prepare_scan(facts.shared_bytes);
    room_ = room_for_buffers(device_, options.most_bytes);
  }

  void run() {
    std::vector<std::int32_t> open;
    if (!columns_.self_join || !search_itself(open)) {
      open.resize(static_cast<std::size_t>(rows_.rows));
      std::iota(open.begin(), open.end(), 0);
      open = query(open, kNoLimit);
    }
    counts_.searched_again += static_cast<std::int64_t>(open.size());
    for (const std::int64_t limit : {64 * kTileRows, 8 * kTileRows, kTileRows}) {
      const std::int64_t again = static_cast<std::int64_t>(open.size()) * columns_.rows.rows;
      watch_.total += again;
      counts_.pairs -= again;
      open = query(open, limit);
    }
    if (!open.empty()) throw std::logic_error("a wave that cannot overflow did");
  }

 private:
  const std::int32_t* order() const { return static_cast<const std::int32_t*>(order_->data()); }

  // The cyclic upper triangle, if there is memory for the pairs of all rows at once.
  bool search_itself(std::vector<std::int32_t>& lost) {
    if (rows_.rows * list_bytes(capacity_) > room_) return false;
    try {
      const HeldBuffers buffers(rows_.rows, capacity_, device_);
      lost = search(buffers, rows_, halves_, true, nullptr, order(), kNoLimit);
      return true;
    } catch (const OutOfMemory&) {
      return false;
    }
  }

  // Searches these rows as queries, with waves of at most `limit` columns; returns those that lost pairs. Where there
  // is a limit, these are rows that lost some before, and no bar is guessed.
  std::vector<std::int32_t> query(const std::vector<std::int32_t>& which, std::int64_t limit) {
    const std::int64_t row_bytes = list_bytes(capacity_) + rows_.stride * 4 + halves_.stride * 2 + 12;
    std::int64_t at_once = std::max<std::int64_t>(kTile, room_ / row_bytes / kTile * kTile);
    const auto count = static_cast<std::int64_t>(which.size());
    std::vector<std::int32_t> lost;
    for (std::int64_t first = 0; first < count;) {
      const std::int64_t last = std::min(count, first + at_once);
      try {
        const std::vector<std::int32_t> part(which.begin() + first, which.begin() + last);
        for (const std::int32_t i : query_part(part, limit)) lost.push_back(part[i]);
        first = last;
      } catch (const OutOfMemory&) {
        if (at_once == kTile) throw;
        at_once = std::max<std::int64_t>(kTile, at_once / 2 / kTile * kTile);
      }
    }
    return lost;
  }

  std::vector<std::int32_t> query_part(const std::vector<std::int32_t>& which, std::int64_t limit) {
    const auto count = static_cast<std::int64_t>(which.size());
    const Buffer ids(count * 4, device_), unit(count * rows_.stride * 4, device_);
    to_device(ids.data(), which.data(), ids.bytes(), stream_);
    const auto* const to = static_cast<const std::int32_t*>(ids.data());
    gather_rows(rows_.data, to, count, count, rows_.stride * 4, unit.data(), stream_);
    const UnitRows queries{static_cast<const float*>(unit.data()), count, rows_.stride};
    const HalfRows halves(queries, nullptr, device_, stream_);
    std::optional<Buffer> own;
    if (excluded_ != nullptr) {
      std::vector<std::int32_t> excluded;
      for (const std::int32_t row : which) excluded.push_back(excluded_[row]);
      own.emplace(count * 4, device_);
      to_device(own->data(), excluded.data(), own->bytes(), stream_);
    }
    const HeldBuffers buffers(count, capacity_, device_);
    const auto* const left_out = own                  ? static_cast<const std::int32_t*>(own->data())
                                 : columns_.self_join ? to
                                                      : nullptr;
    return search(buffers, queries, halves, false, left_out, to, limit);
  }

  // Waves over all columns; the lists of rows that lost pairs are incomplete, and their numbers are returned. In a
  // cyclic search, rows are in the order of the columns.
  std::vector<std::int32_t> search(const HeldBuffers& buffers, const UnitRows& rows, const HalfRows& halves,
                                   bool cyclic, const std::int32_t* left_out, const std::int32_t* to,
                                   std::int64_t limit) {
    ++counts_.blocks;
    const Held held = buffers.held();
    const Bars bars{static_cast<float*>(buffers.bars.data()), static_cast<const float*>(halves.residuals.data()),
                    static_cast<const float*>(halves_.largest.data()), halves_.stride,
                    static_cast<float*>(buffers.floors.data())};
    const Places places{cyclic ? order() : nullptr, order()};
    const Lost lost{static_cast<std::int32_t*>(buffers.lost.data()),
                    static_cast<std::uint32_t*>(buffers.n_lost.data())};
    TileScan scan;
    scan.rows = halves.data();
    scan.columns = halves_.data();
    scan.half_stride = halves_.stride;
    scan.n_rows = static_cast<std::int32_t>(rows.rows);
    scan.n_columns = static_cast<std::int32_t>(columns_.rows.rows);
    scan.row_bars = bars.bars;
    scan.column_bars = cyclic ? bars.bars : nullptr;
    scan.own = left_out;
    scan.column_ids = order();
    scan.symmetric = cyclic;
    scan.chunks = static_cast<std::int32_t>(shape_.chunks);
    scan.last_slices = static_cast<std::int32_t>((rows.stride - (shape_.chunks - 1) * kChunk + kSlice - 1) / kSlice);
    scan.survivors.keys = held.keys;
    scan.survivors.counts = held.counts;
    scan.survivors.capacity = held.capacity;

    const std::int64_t padded = rounded_up(rows.rows, kBlock), row_blocks = padded / kBlock;
    const std::int64_t steps = cyclic ? cyclic_steps(row_blocks) : rounded_up(columns_.rows.rows, kTile) / kTile;
    PYREDUND_CUDA_CALL(cudaMemsetAsync(lost.count, 0, 4, stream_));
    begin_lists(held, bars, rows.rows, padded, stream_);
    const std::int64_t total = columns_.rows.rows - (cyclic ? 1 : 0), pairs = rows.rows * columns_.rows.rows;
    std::int64_t rank = lists_.k;
    for (std::int64_t step = 0; step < steps;) {
      const std::int64_t next = step + wave_steps(cyclic, step, steps, lists_.k, rank, held.capacity, limit);
      scan_wave(scan, row_blocks, step, next);
      if (limit == kNoLimit) rank = guessed_rank(lists_.k, seen_columns(cyclic, next), total);
      const Keep keep{static_cast<int>(lists_.k), static_cast<int>(rank), next == steps};
      settle(rows, columns_.rows, places, held, bars, keep, lost, stream_);
      const std::int64_t through = pairs_through(pairs, next, steps) - pairs_through(pairs, step, steps);
      counts_.pairs += through;
      watch_.done += through;
      step = next;
    }
    write_lists(held, rows.rows, to, lists_, stream_);
    std::uint32_t n_lost = 0;
    to_host(&n_lost, lost.count, 4, stream_);
    std::vector<std::int32_t> numbers(n_lost);
    to_host(numbers.data(), lost.rows, static_cast<std::int64_t>(n_lost) * 4, stream_);
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }

  // Steps [first, last) in launches that are short enough for somebody who waits to interrupt them, two under way.
  void scan_wave(TileScan scan, std::int64_t row_blocks, std::int64_t first, std::int64_t last) {
    const std::int64_t at_once = launch_steps(scan.symmetric, row_blocks, scan.half_stride, kLaunchProducts);
    for (std::int64_t step = first; step < last; step += at_once) {
      check(watch_);
      const std::int64_t end = std::min(last, step + at_once);
      scan.span = {row_blocks, step, end, run_steps(row_blocks, end - step, processors_), scan.symmetric};
      events_[launches_ % 2].wait();
      scan_tiles(scan, shape_, stream_);
      events_[launches_++ % 2].record(stream_);
    }
  }

  UnitRows rows_;
  Columns columns_;
  const std::int32_t* excluded_;
  Lists lists_;
  int device_;
  cudaStream_t stream_;
  KnnCounts& counts_;
  Watch& watch_;
  std::unique_ptr<Buffer> order_;  // of the columns
  HalfRows halves_;                // of the columns, in this order
  std::int64_t capacity_;
  std::int64_t room_ = 0;
  int processors_ = 1;
  ScanShape shape_;
  Event events_[2];
  std::int64_t launches_ = 0;
};

}  // namespace

void tensor_knn(const UnitRows& rows, const Columns& columns, const std::int32_t* excluded, const Lists& lists,
                const SearchOptions& options, cudaStream_t stream, KnnCounts& counts, Watch& watch) {
  TensorKnn(rows, columns, excluded, lists, options, stream, counts, watch).run();
}

}  // namespace pyredund::cuda
