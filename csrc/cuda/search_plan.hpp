#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define PYREDUND_BOTH __host__ __device__
#elif !defined(PYREDUND_BOTH)
#define PYREDUND_BOTH
#endif

// What is scanned when: plain arithmetic, tested without a GPU.
namespace pyredund::cuda {

constexpr std::int64_t kTileRows = 128;             // and columns
constexpr std::int64_t kBlockRows = 2 * kTileRows;  // that a block of threads scores with a tile of columns at once

// The shared memory of a scan: bars of a block's rows, and tiles in chunks of 64 coordinates (halves). The rows' chunks
// stay, where there is room for them all (`resident`); a stage holds a chunk of a tile of columns, their bars, and one
// of both tiles of rows where these do not stay.
struct ScanShape {
  static constexpr std::int64_t kTileBytes = 16384, kBarBytes = 512;
  bool resident = false;
  int stages = 0;
  std::int64_t chunks = 0;

  PYREDUND_BOTH std::int64_t stage_bytes() const { return kTileBytes + kBarBytes + (resident ? 0 : 2 * kTileBytes); }
  PYREDUND_BOTH std::int64_t shared_bytes() const {
    return 2 * kBarBytes + (resident ? 2 * chunks * kTileBytes : 0) + stages * stage_bytes();
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

// Consecutive tiles of columns for one block of rows, scanned by one block of threads.
struct TileRun {
  std::int64_t row_block, first;
  std::int32_t count;
  std::int64_t around;  // columns begin again at this tile, where it is not 0

  PYREDUND_BOTH std::int64_t column_tile(std::int32_t which) const {
    const std::int64_t tile = first + which;
    return around > 0 && tile >= around ? tile - around : tile;
  }
};

// Steps [first, last) of every block of rows. Of queries, step s is column tile s. Of a self-join (`cyclic`), step s of
// row block b are the two tiles of block (b + s) mod B: steps 0 to B / 2 meet each pair of blocks once, where for even
// B the last step is taken by the first half of the blocks alone. All row blocks then have as much to do, and each step
// shows every row as many columns.
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
  const auto steps = static_cast<std::int32_t>(end - begin);
  if (!span.cyclic) return {row_block, begin, steps, 0};
  return {row_block, 2 * ((row_block + begin) % span.row_blocks), 2 * steps, 2 * span.row_blocks};
}

// Pairs that a row may hold between two settlements: at least 128 more than the k that it keeps.
inline std::int64_t capacity_for(std::int64_t k) {
  std::int64_t capacity = 256;
  while (capacity < 4 * k) capacity *= 2;
  return capacity;
}

// A random order of 0 to n - 1, without a table: a Feistel network (Luby and Rackoff 1988) on numbers of `2 * bits`
// bits, taken again until the result is below n, which is at most four times on average.
struct Shuffle {
  std::uint32_t n = 0;
  int bits = 1;

  PYREDUND_BOTH std::uint32_t at(std::uint32_t i) const {
    const std::uint32_t mask = (1u << bits) - 1;
    do {
      std::uint32_t left = i >> bits, right = i & mask;
      for (std::uint32_t round = 0; round < 4; ++round) {
        std::uint32_t mixed = (right + 0x632BE5ABu * (round + 1)) * 0x9E3779B1u;
        mixed = (mixed ^ mixed >> 15) * 0x85EBCA77u;
        const std::uint32_t next = left ^ ((mixed ^ mixed >> 13) & mask);
        left = right;
        right = next;
      }
      i = left << bits | right;
    } while (i >= n);
    return i;
  }
};

inline Shuffle shuffle_of(std::int64_t n) {
  Shuffle shuffle{static_cast<std::uint32_t>(n), 1};
  while ((std::int64_t{1} << 2 * shuffle.bits) < n) ++shuffle.bits;
  return shuffle;
}

// Columns that every row has seen, or a few less, before a step.
inline std::int64_t seen_columns(bool cyclic, std::int64_t step) {
  return cyclic ? std::max<std::int64_t>(0, 2 * step - 1) * kBlockRows : step * kTileRows;
}

// The rank, among the columns that a row has seen, of a similarity that its k-th neighbour reaches: columns come in
// random order, so that of the k nearest of all, about k * seen / total have been seen, and more than that rank with a
// probability below 1e-8 (a bound of Chernoff's, which holds without replacement too: Hoeffding 1963). Where it is
// wrong all the same, the row is searched again.
inline std::int64_t guessed_rank(std::int64_t k, std::int64_t seen, std::int64_t total) {
  const double expected = static_cast<double>(k) * static_cast<double>(std::min(seen, total)) /
                          static_cast<double>(std::max<std::int64_t>(1, total));
  std::int64_t rank = static_cast<std::int64_t>(expected) + 1;
  const auto unlikely = [&] {
    const auto r = static_cast<double>(rank);
    return r * std::log(r / expected) - r + expected >= 18.42;  // -log(1e-8)
  };
  while (rank < k && !unlikely()) ++rank;
  return std::min(rank, k);
}

// Columns that a wave may show to every row after `seen` of them. As long as there may be fewer than `rank`, whose
// similarity is the bar, all are kept; then each column survives with probability rank / seen. A wave brings as many as
// cost about what a settlement does, and rarely more than there is room for: a row whose first `rank` are by chance far
// apart has up to rank + 6 sqrt(rank) + 12 where rank are expected.
// A wave of at most capacity - k columns cannot overflow; `limit` is that or more.
inline std::int64_t wave_columns(std::int64_t seen, std::int64_t k, std::int64_t rank, std::int64_t capacity,
                                 std::int64_t limit) {
  if (seen < rank) return std::min(limit, capacity - seen);
  const auto room = static_cast<double>(capacity - k), r = static_cast<double>(rank);
  const double growth = std::min(room / 4 / r, room / (r + 6 * std::sqrt(r) + 12));
  return std::min(limit, static_cast<std::int64_t>(static_cast<double>(seen) * growth));
}

// Steps of the next wave, at least one; the first step, in a self-join a row's own block, is a wave.
inline std::int64_t wave_steps(bool cyclic, std::int64_t step, std::int64_t steps, std::int64_t k, std::int64_t rank,
                               std::int64_t capacity, std::int64_t limit) {
  const std::int64_t columns_a_step = cyclic ? 2 * kBlockRows : kTileRows;
  const std::int64_t columns = wave_columns(seen_columns(cyclic, step), k, rank, capacity, limit);
  const std::int64_t wanted = step == 0 ? 1 : columns / columns_a_step;
  return std::min(steps - step, std::max<std::int64_t>(1, wanted));
}

// How many of a search's pairs its first `step` steps are through, for those who wait.
inline std::int64_t pairs_through(std::int64_t pairs, std::int64_t step, std::int64_t steps) {
  if (step == steps) return pairs;
  return static_cast<std::int64_t>(static_cast<double>(pairs) * static_cast<double>(step) / static_cast<double>(steps));
}

constexpr double kLaunchProducts = 2e12;  // about 10 ms where tensor cores are fast, 100 ms where they are slow

// Steps of one launch: about `most_products` multiplications, so that a launch does not keep an interrupt waiting.
inline std::int64_t launch_steps(bool cyclic, std::int64_t row_blocks, std::int64_t dim, double most_products) {
  const double columns = static_cast<double>(cyclic ? kBlockRows : kTileRows);
  const double products = static_cast<double>(row_blocks) * kBlockRows * columns * static_cast<double>(dim);
  return std::max<std::int64_t>(1, static_cast<std::int64_t>(most_products / std::max(1.0, products)));
}

// Steps of a run: long, since it fetches its rows once, but enough of them for every processor to have several.
inline std::int64_t run_steps(std::int64_t row_blocks, std::int64_t steps, std::int64_t processors) {
  const std::int64_t wanted = row_blocks * steps / std::max<std::int64_t>(1, 6 * processors);
  return std::max<std::int64_t>(1, std::min<std::int64_t>({steps, wanted, 64}));
}

}  // namespace pyredund::cuda
