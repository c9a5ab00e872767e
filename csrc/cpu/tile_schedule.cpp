#include "cpu/tile_schedule.hpp"

#include <cmath>
#include <cstring>
#include <utility>

namespace pyredund::cpu {

// A tile's rows should stay in the second-level cache while panels of columns pass by, and there should be
// several tiles for every thread.
std::int64_t block_size(const SearchPlan& plan, std::int64_t rows, std::int64_t stride) {
  if (plan.block > 0) return plan.block;
  const std::int64_t cached = (std::int64_t{256} << 10) / (stride * static_cast<std::int64_t>(sizeof(float)));
  const std::int64_t balanced = rows / (8 * static_cast<std::int64_t>(plan.n_threads));
  return std::max<std::int64_t>(96, std::min({cached, balanced, std::int64_t{1024}}) / 48 * 48);
}

std::int64_t blocks_of(std::int64_t rows, std::int64_t block) { return (rows + block - 1) / block; }

std::int64_t triangle_size(std::int64_t blocks) { return blocks * (blocks + 1) / 2; }

// Tile t of the upper triangle of the blocks, diagonal first, then one diagonal after the other: every row soon has a
// full list, hence a bar, and tiles that are scanned at the same time touch different rows.
Tile triangle_tile(std::int64_t t, std::int64_t rows, std::int64_t block) {
  const std::int64_t blocks = blocks_of(rows, block);
  // Before the diagonal at distance d from the main one come d * blocks - d (d - 1) / 2 tiles.
  const auto before = [&](std::int64_t d) { return d * blocks - d * (d - 1) / 2; };
  const double side = static_cast<double>(blocks) + 0.5;
  auto distance =
      static_cast<std::int64_t>(side - std::sqrt(std::max(0.0, side * side - 2.0 * static_cast<double>(t))));
  while (before(distance) > t) --distance;
  while (before(distance + 1) <= t) ++distance;
  const std::int64_t row = t - before(distance), column = row + distance;
  return {row * block, std::min(rows, (row + 1) * block), column * block, std::min(rows, (column + 1) * block),
          distance == 0};
}

// The tiles of the upper triangle, near ones first, so that bars are high before the bulk of the work: the diagonal,
// then by the distance between the means of the blocks.
NearTiles near_tiles_first(const Cells& cells, std::int64_t rows, std::int64_t block) {
  if (blocks_of(rows, block) >= std::int64_t{1} << 16) return {};  // the tiles alone would take 16 GiB
  const std::int64_t n_blocks = blocks_of(rows, block), cells_of_block = block / cells.panel_width;
  std::vector<double> means(static_cast<std::size_t>(n_blocks * cells.stride), 0.0);
  for (std::int64_t cell = 0; cell < cells.count(); ++cell) {
    const std::int64_t own = cell / cells_of_block;
    const std::int64_t size = std::min(cells.count(), (own + 1) * cells_of_block) - own * cells_of_block;
    for (std::int64_t c = 0; c < cells.stride; ++c) {
      means[own * cells.stride + c] += static_cast<double>(cells.centre(cell)[c]) / size;
    }
  }
  std::vector<std::uint64_t> keys;
  keys.reserve(static_cast<std::size_t>(triangle_size(n_blocks)));
  for (std::int64_t a = 0; a < n_blocks; ++a) {
    for (std::int64_t b = a; b < n_blocks; ++b) {
      double distance = 0.0;
      for (std::int64_t c = 0; c < cells.stride; ++c) {
        const double difference = means[a * cells.stride + c] - means[b * cells.stride + c];
        distance += difference * difference;
      }
      const float narrow = a == b ? 0.0f : static_cast<float>(distance) + 1e-30f;
      std::uint32_t bits;  // of a float that is not negative: in the order of the numbers
      std::memcpy(&bits, &narrow, sizeof bits);
      keys.push_back(static_cast<std::uint64_t>(bits) << 32 | static_cast<std::uint64_t>(a * n_blocks + b));
    }
  }
  std::sort(keys.begin(), keys.end());
  return {std::move(keys), rows, block};
}

Tile NearTiles::operator[](std::int64_t index) const {
  const auto pair = static_cast<std::int64_t>(keys_[index] & 0xFFFFFFFFu), n_blocks = blocks_of(rows_, block_);
  const std::int64_t a = pair / n_blocks, b = pair % n_blocks;
  return {a * block_, std::min(rows_, (a + 1) * block_), b * block_, std::min(rows_, (b + 1) * block_), a == b};
}

}  // namespace pyredund::cpu
