#pragma once

#include <cstdint>

namespace pyredund::cpu {

// A pair that the scan could not rule out. Indices are relative to the scanned rows and to the panel.
struct Survivor {
  std::int32_t row;
  std::int32_t column;
  float approximate;
};

// One packed panel of columns against a run of rows. A pair survives when its approximate score reaches the bar of its
// row or the bar of its column.
struct PanelScan {
  const void* rows;
  std::int64_t stride;  // bytes from one row to the next
  std::int64_t n_rows;
  const void* panel;  // as packed by the same scanner
  std::int64_t dim;
  std::int64_t n_columns;  // at most panel_width; what lies beyond is zero
  const float* row_bars;
  const float* column_bars;  // panel_width of them
  Survivor* survivors;
  std::int64_t capacity;
};

// One way of scanning. `floats` takes rows of float32. `bytes` takes rows of unsigned and columns of signed bytes,
// `dim` a multiple of 4, and scores the integer sum of (row - 128) * column; columns must lie in [-63, 63], and the
// magnitude of such a sum over any of the coordinates must stay below 2^15. It is absent (null) where the set has no
// fast byte product.
struct Scanner {
  // Needs room for panel_width * (dim + 1) floats.
  void (*pack_panel)(const void* columns, std::int64_t stride, std::int64_t n_columns, std::int64_t dim, void* panel);
  // Appends to survivors[*n_survivors] and returns how many rows were done: fewer than n_rows when the next strip might
  // not fit into the capacity.
  std::int64_t (*scan_panel)(const PanelScan& scan, std::int64_t first_row, std::int64_t* n_survivors);
};

// The kernels of one instruction set. All sets return the same bits for `score`; scans are only bounds, good to their
// margins (tile_scan.cpp, sketch.hpp), and may differ in their last bits.
struct Kernels {
  const char* name;
  int panel_width;
  int strip_height;  // scans work on this many rows at once
  Scanner floats;
  Scanner bytes;

  // A float32 sum of products of float32, in any order; `stride` is a multiple of 8.
  float (*approximate)(const float* x, const float* y, std::int64_t stride);

  // The score of two rows before it is rounded to float32: products of float32 are exact in float64; they are
  // summed in eight lanes (coordinate mod 8), and the lanes as ((0+4)+(2+6)) + ((1+5)+(3+7)).
  double (*score)(const float* x, const float* y, std::int64_t stride);
};

extern const Kernels kKernels_baseline;
extern const Kernels kKernels_avx2;
extern const Kernels kKernels_avx512;

}  // namespace pyredund::cpu
