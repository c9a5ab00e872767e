// Checks csrc/cuda/search_plan.hpp, the plan of a search on a GPU, without one. Prints "right", or what differs.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cuda/search_plan.hpp"

using namespace pyredund::cuda;

namespace {

constexpr std::int64_t kNoLimit = std::int64_t{1} << 62;

void demand(bool holds, const char* what) {
  if (holds) return;
  std::printf("%s differs\n", what);
  std::exit(1);
}

// Every pair of tiles (queries: every tile of columns with every tile of rows) is met once, however steps are cut into
// launches and launches into runs.
void check_tiles(std::int64_t row_blocks, std::int64_t column_tiles, bool cyclic, std::int64_t run,
                 std::int64_t at_once) {
  const std::int64_t steps = cyclic ? cyclic_steps(row_blocks) : column_tiles;
  std::vector<int> met(static_cast<std::size_t>(2 * row_blocks * column_tiles), 0);
  for (std::int64_t first = 0; first < steps; first += at_once) {
    const TileSpan span{row_blocks, first, std::min(steps, first + at_once), run, cyclic};
    for (std::int64_t i = 0; i < blocks_of(span); ++i) {
      const TileRun one = run_of(span, i);
      demand(one.count >= 0 && one.count <= (cyclic ? 2 * run : run), "the length of a run");
      for (std::int32_t which = 0; which < one.count; ++which) {
        const std::int64_t b = one.column_tile(which);
        demand(b >= 0 && b < column_tiles, "a column tile");
        for (std::int64_t a = 2 * one.row_block; a < 2 * one.row_block + 2; ++a) {
          if (cyclic && b / 2 == one.row_block && a > b) continue;  // the scan takes the upper half of such a block
          const std::int64_t low = cyclic ? std::min(a, b) : a, high = cyclic ? std::max(a, b) : b;
          ++met[static_cast<std::size_t>(low * column_tiles + high)];
        }
      }
    }
  }
  for (std::int64_t a = 0; a < 2 * row_blocks; ++a) {
    for (std::int64_t b = 0; b < column_tiles; ++b) {
      const int expected = cyclic && b < a ? 0 : 1;
      demand(met[static_cast<std::size_t>(a * column_tiles + b)] == expected, "how often a pair of tiles is met");
    }
  }
}

// Waves reach the last step; while fewer than `rank` columns may have been seen, and with the smallest limit, none can
// overflow.
void check_waves(bool cyclic, std::int64_t blocks, std::int64_t k, std::int64_t limit) {
  const bool guess = limit == kNoLimit;
  const std::int64_t capacity = capacity_for(k), steps = cyclic ? cyclic_steps(blocks) : blocks;
  demand(capacity >= k + kTileRows && (capacity & (capacity - 1)) == 0, "the capacity");
  std::int64_t most_held = 0, rank = k, waves = 0;
  for (std::int64_t step = 0; step < steps; ++waves) {
    const std::int64_t wave = wave_steps(cyclic, step, steps, k, rank, capacity, limit);
    demand(wave >= 1 && step + wave <= steps, "a wave");
    const std::int64_t shown = cyclic ? (step == 0 ? 2 * wave - 1 : 2 * wave) * kBlockRows : wave * kTileRows;
    if (limit == kTileRows || most_held < rank) demand(most_held + shown <= capacity, "what a wave may bring");
    const std::int64_t seen = seen_columns(cyclic, step);
    const double passes = seen < rank ? 1.0 : static_cast<double>(rank) / static_cast<double>(seen);
    const double few = static_cast<double>(capacity - k) / 4.0;
    demand(wave == 1 || seen < rank || passes * static_cast<double>(shown) <= few, "what a wave brings");
    most_held = std::min(k, most_held + shown);
    step += wave;
    if (guess) rank = guessed_rank(k, seen_columns(cyclic, step), blocks * (cyclic ? kBlockRows : kTileRows));
    demand(rank >= 1 && rank <= k, "a rank");
  }
  demand(!guess || waves <= 9 || k > 256, "the number of waves");
}

// More than `rank` of the k nearest among those seen is as rare as promised, by the exact probabilities of draws with
// replacement, whose tails are heavier.
void check_ranks() {
  const std::int64_t total = 100000;
  for (std::int64_t k : {1, 8, 32, 256, 1024}) {
    for (std::int64_t seen : {1, 100, 3000, 20000, 50000, 99999}) {
      const std::int64_t rank = guessed_rank(k, seen, total);
      const double p = static_cast<double>(seen) / static_cast<double>(total);
      double term = std::pow(1.0 - p, static_cast<double>(k)), above = rank > 0 ? 0.0 : term;
      std::vector<double> terms{term};
      for (std::int64_t i = 0; i < k; ++i) {
        const double more = std::lgamma(k + 1.0) - std::lgamma(i + 2.0) - std::lgamma(static_cast<double>(k - i)) +
                            (i + 1.0) * std::log(p) + static_cast<double>(k - i - 1) * std::log1p(-p);
        terms.push_back(std::exp(more));
      }
      for (std::int64_t i = k; i >= rank; --i) above += terms[static_cast<std::size_t>(i)];
      demand(rank == k || above < 1.1e-8, "how rare a rank that is too high is");
      above = 0.0;
      for (std::int64_t i = k; i >= rank * 2 / 3 - 2 && i >= 0; --i) above += terms[static_cast<std::size_t>(i)];
      demand(above > 1e-8, "how close a rank is");
    }
  }
}

// A permutation; that it looks random: pieces of it have their share of all pieces, and it rises as often as it falls.
void check_shuffle() {
  for (std::int64_t n : {1, 2, 3, 5, 16, 17, 1000, 65536, 65537, 1000000}) {
    const Shuffle shuffle = shuffle_of(n);
    std::vector<char> taken(static_cast<std::size_t>(n), 0);
    std::vector<std::int64_t> shares(256, 0);
    std::int64_t rises = 0, before = -1;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t to = shuffle.at(static_cast<std::uint32_t>(i));
      demand(to >= 0 && to < n && taken[static_cast<std::size_t>(to)]++ == 0, "whether it is a permutation");
      ++shares[static_cast<std::size_t>(i * 16 / n * 16 + to * 16 / n)];
      rises += to > before;
      before = to;
    }
    if (n < 1000) continue;
    const double expected = static_cast<double>(n) / 256.0, spread = 5.0 * std::sqrt(expected);
    for (const std::int64_t share : shares) {
      demand(std::fabs(static_cast<double>(share) - expected) < spread, "how random it is");
    }
    const double half = static_cast<double>(n) / 2.0;
    demand(std::fabs(static_cast<double>(rises) - half) < 3.0 * std::sqrt(half), "how random its steps are");
  }
}

void check_shapes() {
  for (const std::int64_t shared : {101376, 166912, 232448}) {  // of sm_86, sm_80, sm_90
    for (std::int64_t chunks = 1; chunks <= 64; ++chunks) {
      const ScanShape shape = shape_for(chunks, shared);
      demand(shape.stages >= 2 && shape.shared_bytes() <= shared, "the shape of a scan");
      demand(shape.stage_bytes() % 128 == 0, "the alignment of a stage");
    }
  }
  demand(shape_for(1, 232448).resident && shape_for(6, 232448).resident, "whether rows stay");
  demand(shape_for(1, 40000).stages == 0, "the shape that does not fit");
}

}  // namespace

int main() {
  for (const bool cyclic : {true, false}) {
    for (std::int64_t blocks = 1; blocks <= 12; ++blocks) {
      for (std::int64_t run : {1, 2, 3, 5}) {
        for (std::int64_t at_once : {1, 2, 4, 100}) {
          check_tiles(blocks, cyclic ? 2 * blocks : 7, cyclic, run, at_once);
        }
      }
    }
    for (std::int64_t k : {1, 32, 63, 64, 65, 100, 128, 129, 255, 256, 500, 1000, 1024}) {
      for (std::int64_t blocks : {1, 2, 3, 40, 7813}) {
        check_waves(cyclic, blocks, k, kNoLimit);
        for (const std::int64_t tiles : {64, 8, 1}) {
          if (!cyclic) check_waves(cyclic, blocks, k, tiles * kTileRows);
        }
      }
    }
  }
  for (std::int64_t steps : {1, 2, 9, 4000}) {
    const std::int64_t run = run_steps(3907, steps, 132);
    demand(run >= 1 && run <= 64, "the steps of a run");
  }
  demand(launch_steps(true, 3907, 64, 2e12) > 100 && launch_steps(false, 1 << 20, 4096, 2e12) == 1,
         "the steps of a launch");
  check_ranks();
  check_shuffle();
  check_shapes();
  std::puts("right");
  return 0;
}
