#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "cpu/sketch.hpp"
#include "cpu/tile.hpp"

namespace pyredund::cpu {

// Every panel of columns is a cell with a centre and a radius. A row x whose nearest neighbours lie within a reach of
// it has none in a cell whose centre is farther away than the reach and the radius together (the triangle inequality,
// in the space of the sketch's short rows). Pairs count for both of their rows, so the larger of the row's reach and of
// the reaches of the cell's own rows decides.
class Cells {
 public:
  Cells(const Sketch& sketch, std::int64_t panel_width);

  // Whether no row of the one block lies within `reach` of any of the other.
  bool are_apart(std::int64_t block, std::int64_t other, double reach) const;

  std::int64_t count() const { return static_cast<std::int64_t>(radii.size()); }

  const Sketch& sketch;
  std::int64_t panel_width;
  std::vector<float> centres;  // a row of `stride` floats each
  std::int64_t stride;
  std::vector<float> radii, limits;
  std::vector<float> block_centres;  // of the sketch's blocks
  std::vector<double> block_radii;
};

// One thread's choice of the rows of a tile that come near its panels.
class NearRows {
 public:
  NearRows(const Kernels& kernels, const Cells& cells, const std::atomic<float>* bars, bool symmetric);

  // False where no pair of the tile can be near.
  bool enter(const Tile& tile);
  struct Picks {
    const std::int32_t* rows;
    std::int64_t count;
  };

  // Those of the first n_rows rows of the tile, counted from its first, that the panel beginning at this column may
  // pair with; ascending, and good until the next call. Columns must be asked for in ascending order, panel by panel.
  Picks of_panel(std::int64_t column, std::int64_t n_rows);

 private:
  float reach(float bar) const;
  void mark_group(std::int64_t first_cell);

  const Kernels& kernels_;
  const Cells& cells_;
  const std::atomic<float>* bars_;
  bool symmetric_;
  Tile tile_{};
  std::int64_t group_begin_ = 0, group_end_ = 0;  // cells whose rows are known
  std::vector<float> reaches_, packed_, radii_, limits_, column_limits_;
  std::vector<std::uint32_t> near_;
  std::vector<std::int32_t> picks_;
};

}  // namespace pyredund::cpu
