// Checks csrc/cuda/search_plan.hpp, the plan of a search on a GPU, without one. Prints "right", or what differs.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "cuda/search_plan.hpp"

using namespace pyredund::cuda;

namespace {

void demand(bool holds, const char* what) {
  if (holds) return;
  std::printf("%s differs\n", what);
  std::exit(1);
}

// Every pair of blocks (queries: every block of every row block) is met once, however steps are cut into launches and
// launches into runs.
void check_tiles(std::int64_t row_blocks, std::int64_t column_blocks, bool cyclic, std::int64_t run,
                 std::int64_t at_once) {
  const std::int64_t steps = cyclic ? cyclic_steps(row_blocks) : column_blocks;
  std::vector<int> met(static_cast<std::size_t>(row_blocks * column_blocks), 0);
  for (std::int64_t first = 0; first < steps; first += at_once) {
    const TileSpan span{row_blocks, first, std::min(steps, first + at_once), run, cyclic};
    for (std::int64_t i = 0; i < blocks_of(span); ++i) {
      const TileRun one = run_of(span, i);
      demand(one.count >= 0 && one.count <= run, "the length of a run");
      for (std::int32_t tile = 0; tile < one.count; ++tile) {
        const std::int64_t column = one.column_block(tile);
        demand(column >= 0 && column < column_blocks, "a column block");
        const std::int64_t a = one.row_block, b = column;
        ++met[static_cast<std::size_t>(cyclic ? std::min(a, b) * row_blocks + std::max(a, b) : a * column_blocks + b)];
      }
    }
  }
  for (std::int64_t a = 0; a < row_blocks; ++a) {
    for (std::int64_t b = 0; b < column_blocks; ++b) {
      const int expected = cyclic && b < a ? 0 : 1;
      demand(met[static_cast<std::size_t>(a * column_blocks + b)] == expected, "how often a pair of blocks is met");
    }
  }
}

// Waves reach the last step; while fewer than k columns may have been seen, and with the smallest limit, none can
// overflow.
void check_waves(bool cyclic, std::int64_t blocks, std::int64_t k, std::int64_t limit) {
  const std::int64_t capacity = capacity_for(k), steps = cyclic ? cyclic_steps(blocks) : blocks;
  demand(capacity >= k + kTileRows && (capacity & (capacity - 1)) == 0, "the capacity");
  std::int64_t most_held = 0;
  for (std::int64_t step = 0; step < steps;) {
    const std::int64_t wave = wave_steps(cyclic, step, steps, k, capacity, limit);
    demand(wave >= 1 && step + wave <= steps, "a wave");
    const std::int64_t shown = cyclic ? (step == 0 ? 2 * wave - 1 : 2 * wave) * kTileRows : wave * kTileRows;
    if (limit == kTileRows || most_held < k) demand(most_held + shown <= capacity, "what a wave may bring");
    most_held = std::min(k, most_held + shown);
    step += wave;
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
          check_tiles(blocks, blocks, cyclic, run, at_once);
          if (!cyclic) check_tiles(blocks, 7, cyclic, run, at_once);
        }
      }
    }
    for (std::int64_t k : {1, 32, 63, 64, 65, 100, 128, 129, 255, 256, 500, 1000, 1024}) {
      for (std::int64_t blocks : {1, 2, 3, 40, 7813}) {
        check_waves(cyclic, blocks, k, std::int64_t{1} << 62);
        if (!cyclic) check_waves(cyclic, blocks, k, kTileRows);
      }
    }
  }
  for (std::int64_t steps : {1, 2, 9, 4000}) {
    const std::int64_t run = run_steps(7813, steps, 132);
    demand(run >= 2 && run % 2 == 0 && run <= 64, "the steps of a run");
  }
  demand(launch_steps(7813, 64, 2e12) > 100 && launch_steps(1 << 20, 4096, 2e12) == 1, "the steps of a launch");
  check_shapes();
  std::puts("right");
  return 0;
}
