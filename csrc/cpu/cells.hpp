#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "cpu/sketch.hpp"
#include "cpu/tile.hpp"

namespace pyredund::cpu {

// An angle, or a larger one. Of two of them with A + B <= 180 degrees, cos(A + B) = cos A cos B - sin A sin B.
struct Angle {
  float cosine, sine;
};

// Every panel of columns is a cell: a spherical cap around a centre, in the space of the sketch's short rows, which lie
// on a sphere. A row x whose nearest neighbours lie within a reach of it, an angle, has none in a cell whose centre is
// farther away than the reach and the cap's angle together (the triangle inequality of angles). Pairs count for both of
// their rows, so the larger of the row's reach and of the reaches of the cell's own rows decides.
class Cells {
 public:
  Cells(const Sketch& sketch, std::int64_t panel_width);

  // The angle, at most, between short rows whose similarity reaches the bar.
  Angle reach(float bar) const;
  // Whether no row of the one block lies within `reach` of any of the other.
  bool are_apart(std::int64_t block, std::int64_t other, Angle reach) const;

  std::int64_t count() const { return static_cast<std::int64_t>(caps.size()); }
  const float* centre(std::int64_t cell) const { return sketch.cell_centres + cell * stride; }

  const Sketch& sketch;
  std::int64_t panel_width;
  std::int64_t stride;      // floats of a short row and of a centre
  std::vector<Angle> caps;  // of the cells

 private:
  float slack_;
  std::vector<double> block_centres_, block_angles_;  // of the sketch's blocks
};

// Many angles, in the form in which kernels take them.
struct Angles {
  std::vector<float> cosines, sines;

  void clear() { resize(0); }
  void resize(std::int64_t count) {
    cosines.resize(static_cast<std::size_t>(count));
    sines.resize(cosines.size());
  }
  void add(Angle angle) {
    cosines.push_back(angle.cosine);
    sines.push_back(angle.sine);
  }
};

// One thread's choice of the rows of a tile that come near its panels.
class NearRows {
 public:
  NearRows(const Kernels& kernels, const Cells& cells, const std::atomic<float>* bars);

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
  float lowest_bar(std::int64_t begin, std::int64_t end) const;
  void mark_group(std::int64_t first_cell);
  void mark(const float* rows, std::int64_t n_rows, const std::int32_t* picks, const Angles& of_rows,
            const Angles& of_cells, const std::vector<float>& column_limits, std::vector<std::uint32_t>& near);

  const Kernels& kernels_;
  const Cells& cells_;
  const std::atomic<float>* bars_;
  Tile tile_{};
  Angles reaches_;                 // of the tile's rows
  Angles own_caps_, own_reaches_;  // of the cells that those rows make: caps, and caps and reaches together

  // A group of cells, whose rows are known.
  std::int64_t group_begin_ = 0, group_end_ = 0;
  Angles caps_, cap_reaches_;
  std::vector<float> packed_, no_limits_, column_limits_;
  std::vector<std::int32_t> rows_;  // those that were asked
  std::vector<std::uint32_t> near_, near_too_;
  std::vector<std::int32_t> picks_;
};

}  // namespace pyredund::cpu
