#pragma once

#include <algorithm>
#include <cstdint>

#if defined(__CUDACC__)
#define PYREDUND_BOTH __host__ __device__
#elif !defined(PYREDUND_BOTH)
#define PYREDUND_BOTH
#endif

// What is scanned when: plain arithmetic, tested without a GPU.
namespace pyredund::cuda {

constexpr std::int64_t kTileRows = 128;  // and columns

// The shared memory of a scan: tiles of 128 rows in chunks of 64 coordinates (halves). The rows' chunks stay, where
// there is room for them all (`resident`); a stage holds a chunk of two tiles of columns, their bars, and one of rows
// where these do not stay.
struct ScanShape {
  static constexpr std::int64_t kTileBytes = 16384, kBarBytes = 512;
  bool resident = false;
  int stages = 0;
  std::int64_t chunks = 0;

  PYREDUND_BOTH std::int64_t stage_bytes() const {
    return 2 * kTileBytes + 2 * kBarBytes + (resident ? 0 : kTileBytes);
  }
  PYREDUND_BOTH std::int64_t shared_bytes() const {
    return kBarBytes + (resident ? chunks * kTileBytes : 0) + stages * stage_bytes();
  }
};

// The best shape that fits; no stages if none does.
inline ScanShape shape_for(std::int64_t chunks, std::int64_t shared_bytes) {
  for (const bool resident : {true, false}) {
    for (const int stages : {3, 2}) {
      const ScanShape shape{resident, stages, chunks};
      if (shape.shared_bytes() <= shared_bytes) return shape;
    }
  }
  return {};
}

// Consecutive tiles of one row block, scanned by one block of threads.
struct TileRun {
  std::int64_t row_block, first;
  std::int32_t count;
  std::int64_t around;  // columns begin again at this block, where it is not 0

  PYREDUND_BOTH std::int64_t column_block(std::int32_t tile) const {
    const std::int64_t block = first + tile;
    return around > 0 && block >= around ? block - around : block;
  }
};

// Steps [first, last) of every row block. Of queries, step s is column block s. Of a self-join (`cyclic`), step s of
// row block b is column block (b + s) mod B: steps 0 to B / 2 meet each pair of blocks once, where for even B the last
// step is taken by the first half of the blocks alone. All row blocks then have as much to do, and each step shows
// every row as many columns.
struct TileSpan {
  std::int64_t row_blocks = 0, first = 0, last = 0;
  std::int64_t run = 1;  // steps that a block of threads takes, at most
  bool cyclic = false;
};

PYREDUND_BOTH inline std::int64_t cyclic_steps(std::int64_t row_blocks) {
  return row_blocks > 0 ? row_blocks / 2 + 1 : 0;
}

PYREDUND_BOTH inline std::int64_t blocks_of(const TileSpan& span) {
  return span.row_blocks * ((span.last - span.first + span.run - 1) / span.run);
}

PYREDUND_BOTH inline TileRun run_of(const TileSpan& span, std::int64_t index) {
  const std::int64_t row_block = index % span.row_blocks, begin = span.first + index / span.row_blocks * span.run;
  std::int64_t end = begin + span.run < span.last ? begin + span.run : span.last;
  if (span.cyclic && 2 * (end - 1) == span.row_blocks && row_block >= span.row_blocks / 2) --end;
  return {row_block, span.cyclic ? (row_block + begin) % span.row_blocks : begin,
          static_cast<std::int32_t>(end - begin), span.cyclic ? span.row_blocks : 0};
}

// Pairs that a row may hold between two settlements: at least 128 more than the k that it keeps.
inline std::int64_t capacity_for(std::int64_t k) {
  std::int64_t capacity = 256;
  while (capacity < 4 * k) capacity *= 2;
  return capacity;
}

// Columns that a wave may show to every row after `seen` of them. As long as there may be fewer than k, all are kept;
// after that, a wave that doubles what was seen brings about k survivors a row where rows come in random order.
// A wave of at most capacity - k columns cannot overflow; `limit` is that or more.
inline std::int64_t wave_columns(std::int64_t seen, std::int64_t k, std::int64_t capacity, std::int64_t limit) {
  return std::min(limit, seen < k ? capacity - seen : seen);
}

// Steps of the next wave, at least one; the first of a self-join, a row's own block, is a wave.
inline std::int64_t wave_steps(bool cyclic, std::int64_t step, std::int64_t steps, std::int64_t k,
                               std::int64_t capacity, std::int64_t limit) {
  const std::int64_t columns_a_step = cyclic ? 2 * kTileRows : kTileRows;
  const std::int64_t seen = cyclic ? std::max<std::int64_t>(0, 2 * step - 1) * kTileRows : step * kTileRows;
  const std::int64_t wanted = cyclic && step == 0 ? 1 : wave_columns(seen, k, capacity, limit) / columns_a_step;
  return std::min(steps - step, std::max<std::int64_t>(1, wanted));
}

// Steps of one launch: about `most_products` multiplications, so that a launch does not keep an interrupt waiting.
inline std::int64_t launch_steps(std::int64_t row_blocks, std::int64_t dim, double most_products) {
  const double products = static_cast<double>(row_blocks) * kTileRows * kTileRows * static_cast<double>(dim);
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(most_products / std::max(1.0, products)));
}

// Steps of a run: long, since it fetches its rows once, but enough of them for every processor to have several.
inline std::int64_t run_steps(std::int64_t row_blocks, std::int64_t steps, std::int64_t processors) {
  const std::int64_t wanted = row_blocks * steps / std::max<std::int64_t>(1, 6 * processors);
  return std::max<std::int64_t>(2, std::min<std::int64_t>({steps, wanted, 64}) / 2 * 2);
}

}  // namespace pyredund::cuda
