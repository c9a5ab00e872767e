#pragma once

#include <cstdint>

namespace pyredund::cpu {

// A pair that the scan could not rule out. Indices are relative to the scanned rows and to the panel.
struct Survivor {
  std::int32_t row;
  std::int32_t column;
  float approximate;
};

// One packed panel of columns against a run of rows. A pair survives when its approximate score reaches the
// bar of its row or the bar of its column.
struct PanelScan {
  const float* rows;
  std::int64_t stride;
  std::int64_t n_rows;
  const float* panel;  // panel[coordinate * panel_width + column]
  std::int64_t dim;
  std::int64_t n_columns;  // at most panel_width; what lies beyond is zero
  const float* row_bars;
  const float* column_bars;  // panel_width of them
  Survivor* survivors;
  std::int64_t capacity;
};

// The kernels of one instruction set. All sets return the same bits for `scores`; the scan is only a bound,
// good to `scan_margin` (tile_scan.cpp), and may differ in its last bits.
struct Kernels {
  const char* name;
  int panel_width;
  int strip_height;  // the scan works on this many rows at once

  void (*pack_panel)(const float* rows, std::int64_t stride, std::int64_t n_columns, std::int64_t dim, float* panel);

  // Appends to survivors[*n_survivors] and returns how many rows were done: fewer than n_rows when the next
  // strip might not fit into the capacity.
  std::int64_t (*scan_panel)(const PanelScan& scan, std::int64_t first_row, std::int64_t* n_survivors);

  // The score of two rows before it is rounded to float32: products of float32 are exact in float64; they are
  // summed in eight lanes (coordinate mod 8), and the lanes as ((0+4)+(2+6)) + ((1+5)+(3+7)).
  double (*score)(const float* x, const float* y, std::int64_t stride);
};

extern const Kernels kKernels_baseline;
extern const Kernels kKernels_avx2;
extern const Kernels kKernels_avx512;

}  // namespace pyredund::cpu
