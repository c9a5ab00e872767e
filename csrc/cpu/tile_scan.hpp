#pragma once

#include <atomic>
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

// Rows in the form that a scanner takes: float32 or bytes.
struct ScanRows {
  const void* data;
  std::int64_t stride;  // bytes from one row to the next
};

inline ScanRows scan_rows(MatrixView rows) {
  return {rows.data, rows.stride * static_cast<std::int64_t>(sizeof(float))};
}

// One thread's walk over tiles: packs columns panel by panel and hands what survives the scan on in batches.
// `survivors` of a batch hold indices into the two sets of rows.
class TileScan {
 public:
  using Bars = const std::atomic<float>*;
  using Resolve = std::function<void(Survivor* survivors, std::int64_t count)>;

  TileScan(const Kernels& kernels, const Scanner& scanner, ScanRows rows, ScanRows columns, std::int64_t dim);

  // Bars are read afresh after every batch, since resolving it may have raised them. Columns need none (null) where
  // only the rows want neighbours.
  void scan(const Tile& tile, Bars row_bars, Bars column_bars, const Resolve& resolve, const Watch& watch);

 private:
  const Kernels& kernels_;
  const Scanner& scanner_;
  ScanRows rows_;
  ScanRows columns_;
  std::int64_t dim_;
  std::vector<float> panel_;
  std::vector<float> row_bars_;
  std::vector<float> column_bars_;
  std::vector<Survivor> survivors_;
};

}  // namespace pyredund::cpu
