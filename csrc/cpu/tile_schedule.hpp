#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "cpu/cells.hpp"
#include "cpu/knn_graph.hpp"
#include "cpu/tile.hpp"
#include "thread_team.hpp"

namespace pyredund::cpu {

std::int64_t block_size(const SearchPlan& plan, std::int64_t rows, std::int64_t stride);
std::int64_t blocks_of(std::int64_t rows, std::int64_t block);
std::int64_t triangle_size(std::int64_t blocks);
Tile triangle_tile(std::int64_t t, std::int64_t rows, std::int64_t block);

// Tiles in an order of their own, eight bytes each: there are a million for every 1.4 million rows.
class NearTiles {
 public:
  NearTiles() = default;
  NearTiles(std::vector<std::uint64_t> keys, std::int64_t rows, std::int64_t block)
      : keys_(std::move(keys)), rows_(rows), block_(block) {}

  bool empty() const { return keys_.empty(); }
  Tile operator[](std::int64_t index) const;

 private:
  std::vector<std::uint64_t> keys_;  // distance, then the numbers of the two blocks as one
  std::int64_t rows_ = 0, block_ = 1;
};

NearTiles near_tiles_first(const Cells& cells, std::int64_t rows, std::int64_t block);

// Scans the tiles that `tile(index)` gives for index < n_tiles, whoever is free taking the next.
template <typename TileAt, typename Body>
void for_each_tile(int n_threads, std::int64_t n_tiles, Watch& watch, const TileAt& tile_at, const Body& thread_body) {
  std::atomic<std::int64_t> next{0};
  const int team = static_cast<int>(std::clamp<std::int64_t>(n_tiles, 1, n_threads));
  run_team(team, [&](int) {
    thread_body([&](const auto& scan) {
      for (std::int64_t t = next++; t < n_tiles; t = next++) {
        scan(tile_at(t));
        ++watch.done;
      }
    });
  });
}

}  // namespace pyredund::cpu
