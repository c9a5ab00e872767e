// Checks the kernels of one instruction set (PYREDUND_ISA) against plain loops; prints the first difference and fails.
// Coordinates are small integers: float32 sums of their products are exact, so the scan must find exactly the pairs
// that reach a bar, equal scores included.
#include <cstdio>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include "cpu/kernels.hpp"

#define PYREDUND_TABLE_OF(isa) kKernels_##isa
#define PYREDUND_TABLE(isa) PYREDUND_TABLE_OF(isa)

namespace {

using namespace pyredund::cpu;

std::mt19937 random_numbers(1);

std::vector<float> integers(std::int64_t count, int from, int to) {
  std::vector<float> numbers(count);
  for (float& number : numbers)
    number = static_cast<float>(std::uniform_int_distribution<int>(from, to)(random_numbers));
  return numbers;
}

bool scan_is_right(const Kernels& kernels, std::int64_t dim, std::int64_t n_rows, std::int64_t n_columns, bool roomy) {
  using Found = std::tuple<std::int64_t, std::int64_t, float>;
  const std::int64_t stride = (dim + 7) / 8 * 8, width = kernels.panel_width;
  const std::int64_t strip = static_cast<std::int64_t>(kernels.strip_height) * width;
  const std::vector<float> rows = integers(n_rows * stride, -3, 3), columns = integers(n_columns * stride, -3, 3);
  const int scale = 2 + static_cast<int>(2 * dim);
  const std::vector<float> row_bars = integers(n_rows, -1, scale);
  const std::vector<float> column_bars = integers(width, scale / 2, scale);
  std::vector<float> panel(width * dim, 99.0f);
  kernels.pack_panel(columns.data(), stride, n_columns, dim, panel.data());

  std::set<Found> expected, found;
  for (std::int64_t r = 0; r < n_rows; ++r) {
    for (std::int64_t c = 0; c < n_columns; ++c) {
      float score = 0.0f;
      for (std::int64_t i = 0; i < dim; ++i) score += rows[r * stride + i] * columns[c * stride + i];
      if (score >= row_bars[r] || score >= column_bars[c]) expected.insert({r, c, score});
    }
  }
  std::vector<Survivor> survivors(roomy ? 8 * strip : strip + 1);
  const PanelScan scan{rows.data(),
                       stride,
                       n_rows,
                       panel.data(),
                       dim,
                       n_columns,
                       row_bars.data(),
                       column_bars.data(),
                       survivors.data(),
                       static_cast<std::int64_t>(survivors.size())};
  std::int64_t listed = 0;
  const std::int64_t waiting = roomy ? 3 : 0;  // survivors of an earlier call, which the scan appends to
  for (std::int64_t row = 0; row < n_rows;) {
    std::int64_t n_survivors = waiting;
    const std::int64_t done = kernels.scan_panel(scan, row, &n_survivors);
    if (done <= 0 || row + done > n_rows) return false;
    for (std::int64_t s = waiting; s < n_survivors; ++s) {
      found.insert({survivors[s].row, survivors[s].column, survivors[s].approximate});
    }
    listed += n_survivors - waiting;
    row += done;
  }
  return found == expected && listed == static_cast<std::int64_t>(expected.size());
}

bool score_is_right(const Kernels& kernels, std::int64_t stride) {
  std::vector<float> x(stride), y(stride);
  for (std::vector<float>* row : {&x, &y}) {
    for (float& number : *row) number = std::normal_distribution<float>()(random_numbers);
  }
  double lane[8] = {};
  for (std::int64_t i = 0; i < stride; ++i) lane[i % 8] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  const double sum = ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  return kernels.score(x.data(), y.data(), stride) == sum;
}

}  // namespace

int main() {
  const Kernels& kernels = PYREDUND_TABLE(PYREDUND_ISA);
  const std::int64_t strip = kernels.strip_height, width = kernels.panel_width;
  for (const std::int64_t dim : {1, 2, 3, 7, 8, 9, 17, 64}) {
    for (const std::int64_t n_rows : {std::int64_t{1}, strip - 1, strip, strip + 1, 5 * strip + 2}) {
      for (const std::int64_t n_columns : {std::int64_t{1}, width / 2, width / 2 + 1, width - 1, width}) {
        for (const bool roomy : {false, true}) {
          if (scan_is_right(kernels, dim, n_rows, n_columns, roomy)) continue;
          std::printf("scan differs: dim %d, %d rows, %d columns\n", int(dim), int(n_rows), int(n_columns));
          return 1;
        }
      }
    }
  }
  for (std::int64_t stride = 8; stride <= 320; stride += 8) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      if (score_is_right(kernels, stride)) continue;
      std::printf("score differs: %d coordinates\n", int(stride));
      return 1;
    }
  }
  std::printf("right\n");
}
