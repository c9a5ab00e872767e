#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cpu/kernels.hpp"
#include "matrix_view.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

struct Tile {
  std::int64_t row_begin, row_end;
  std::int64_t column_begin, column_end;
  bool triangle;  // rows and columns are the same: only pairs with row < column count
};

// The similarity that is reported for two rows: Kernels::score, rounded to float32 and clamped to [-1, 1];
// exactly 1 for rows that are identical byte for byte, zero rows included.
float similarity(const Kernels& kernels, const float* x, const float* y, std::int64_t stride);

// How far the scan's approximate scores can lie from the similarities of unit rows with this many
// coordinates.
double scan_margin(std::int64_t dim);

// One thread's walk over tiles: packs columns panel by panel and hands what survives the scan on in batches.
// `survivors` of a batch hold indices into the two matrices.
class TileScan {
 public:
  using Bar = std::function<float(std::int64_t index)>;
  using Resolve = std::function<void(Survivor* survivors, std::int64_t count)>;

  TileScan(const Kernels& kernels, MatrixView rows, MatrixView columns);

  // Bars are read afresh after every batch, since resolving it may have raised them.
  void scan(const Tile& tile, const Bar& row_bar, const Bar& column_bar, const Resolve& resolve, const Watch& watch);

 private:
  const Kernels& kernels_;
  MatrixView rows_;
  MatrixView columns_;
  std::vector<float> panel_;
  std::vector<float> row_bars_;
  std::vector<float> column_bars_;
  std::vector<Survivor> survivors_;
};

}  // namespace pyredund::cpu
