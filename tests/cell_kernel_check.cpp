// Checks the kernels of one instruction set (PYREDUND_ISA) that tell which rows are near which cells, against plain
// loops; prints the first difference and fails. All numbers are small integers, so that everything is exact.
#include <vector>

#include "kernel_checks.hpp"

namespace {

// Some of n rows, ascending.
std::vector<std::int32_t> some_of(std::int64_t n_rows) {
  std::vector<std::int32_t> rows;
  for (std::int64_t r = 0; r < n_rows; ++r) {
    if (r == n_rows - 1 || random_numbers() % 3 > 0) rows.push_back(static_cast<std::int32_t>(r));
  }
  return rows;
}

bool marks_are_right(const Kernels& kernels, std::int64_t dim, std::int64_t n_rows, std::int64_t n_cells, bool pick) {
  const std::int64_t width = kernels.panel_width, stride = dim + 3;
  const std::vector<float> rows = integers(n_rows * stride, -3, 3), centres = integers(n_cells * stride, -3, 3);
  // Not of angles: any numbers will do.
  const std::vector<float> row_cosines = integers(n_rows, 0, 8), row_sines = integers(n_rows, 0, 4);
  const std::vector<float> cell_cosines = integers(width, 0, 8), cell_sines = integers(width, 0, 4);
  const std::vector<float> column_limits = integers(width, 0, 60);
  const std::vector<std::int32_t> picks = some_of(n_rows);
  std::vector<float> packed(width * (dim + 1));
  kernels.floats.pack_panel(centres.data(), stride * static_cast<std::int64_t>(sizeof(float)), n_cells, dim,
                            packed.data());
  CellScan scan{};
  scan.rows = rows.data();
  scan.stride = stride;
  scan.n_rows = pick ? static_cast<std::int64_t>(picks.size()) : n_rows;
  scan.picks = pick ? picks.data() : nullptr;
  scan.cells = packed.data();
  scan.dim = dim;
  scan.row_cosines = row_cosines.data();
  scan.row_sines = row_sines.data();
  scan.cell_cosines = cell_cosines.data();
  scan.cell_sines = cell_sines.data();
  scan.column_limits = column_limits.data();
  std::vector<std::uint32_t> near(scan.n_rows + 1, 77);
  scan.near = near.data();
  kernels.mark_near(scan);
  for (std::int64_t place = 0; place < scan.n_rows; ++place) {
    const std::int64_t r = pick ? picks[place] : place;
    for (std::int64_t c = 0; c < n_cells; ++c) {
      float score = 0.0f;
      for (std::int64_t i = 0; i < dim; ++i) score += rows[r * stride + i] * centres[c * stride + i];
      const float of_row = row_cosines[r] * cell_cosines[c] - row_sines[r] * cell_sines[c];
      const bool is_near = score >= of_row || score >= column_limits[c];
      if (is_near != ((near[place] >> c & 1) != 0)) return false;
    }
  }
  return near[scan.n_rows] == 77;
}

bool near_rows_are_right(const Kernels& kernels, std::int64_t n_rows) {
  std::vector<std::uint32_t> near(n_rows);
  std::vector<std::int32_t> rows = some_of(2 * n_rows);
  rows.resize(n_rows, 99);
  for (std::uint32_t& marks : near) marks = static_cast<std::uint32_t>(random_numbers());
  for (int cell = 0; cell < kernels.panel_width; ++cell) {
    std::vector<std::int32_t> found(n_rows + 16), expected;
    found.resize(kernels.rows_near(near.data(), rows.data(), n_rows, cell, found.data()));
    for (std::int64_t r = 0; r < n_rows; ++r) {
      if ((near[r] >> cell & 1) != 0) expected.push_back(rows[r]);
    }
    if (found != expected) return false;
  }
  return true;
}

}  // namespace

int main() {
  const Kernels& k = PYREDUND_TABLE(PYREDUND_ISA);
  const std::int64_t one = 1, strip = k.strip_height, width = k.panel_width;
  for (const std::int64_t n_rows : {one, std::int64_t{7}, strip, 3 * strip + 1, std::int64_t{100}}) {
    expect(near_rows_are_right(k, n_rows), "near rows", n_rows);
    for (const std::int64_t n_cells : {one, width / 2, width - 1, width}) {
      for (const bool pick : {false, true})
        expect(marks_are_right(k, 16, n_rows, n_cells, pick), "marks", n_rows, n_cells);
    }
  }
  return verdict();
}
