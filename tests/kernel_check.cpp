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

struct Data {
  std::int64_t dim, stride, n_rows, n_columns;
  std::vector<float> rows, columns;
};

// The scan of `packed` against a double loop over `data`, which holds the same numbers.
bool scan_is_right(const Kernels& kernels, const Scanner& scanner, const Data& data, const void* rows,
                   const void* columns, std::int64_t stride, float scale, bool roomy) {
  using Found = std::tuple<std::int64_t, std::int64_t, float>;
  const std::int64_t width = kernels.panel_width;
  const std::int64_t strip = static_cast<std::int64_t>(kernels.strip_height) * width;
  const std::vector<float> row_bars = integers(data.n_rows, -1, static_cast<int>(scale));
  const std::vector<float> column_bars = integers(width, static_cast<int>(scale / 2), static_cast<int>(scale));
  std::vector<float> panel(width * (data.dim + 1), 99.0f);
  scanner.pack_panel(columns, stride, data.n_columns, data.dim, panel.data());

  std::set<Found> expected, found;
  for (std::int64_t r = 0; r < data.n_rows; ++r) {
    for (std::int64_t c = 0; c < data.n_columns; ++c) {
      float score = 0.0f;
      for (std::int64_t i = 0; i < data.dim; ++i) {
        score += data.rows[r * data.stride + i] * data.columns[c * data.stride + i];
      }
      if (score >= row_bars[r] || score >= column_bars[c]) expected.insert({r, c, score});
    }
  }
  std::vector<Survivor> survivors(roomy ? 8 * strip : strip + 1);
  PanelScan scan{};
  scan.rows = rows;
  scan.stride = stride;
  scan.n_rows = data.n_rows;
  scan.panel = panel.data();
  scan.dim = data.dim;
  scan.n_columns = data.n_columns;
  scan.row_bars = row_bars.data();
  scan.column_bars = column_bars.data();
  scan.survivors = survivors.data();
  scan.capacity = static_cast<std::int64_t>(survivors.size());
  std::int64_t listed = 0;
  const std::int64_t waiting = roomy ? 3 : 0;  // survivors of an earlier call, which the scan appends to
  for (std::int64_t row = 0; row < data.n_rows;) {
    std::int64_t n_survivors = waiting;
    const std::int64_t done = scanner.scan_panel(scan, row, &n_survivors);
    if (done <= 0 || row + done > data.n_rows) return false;
    for (std::int64_t s = waiting; s < n_survivors; ++s) {
      found.insert({survivors[s].row, survivors[s].column, survivors[s].approximate});
    }
    listed += n_survivors - waiting;
    row += done;
  }
  return found == expected && listed == static_cast<std::int64_t>(expected.size());
}

Data random_data(std::int64_t dim, std::int64_t n_rows, std::int64_t n_columns, int largest_row, int largest_column) {
  Data data{dim, (dim + 7) / 8 * 8, n_rows, n_columns, {}, {}};
  data.rows = integers(n_rows * data.stride, -largest_row, largest_row);
  data.columns = integers(n_columns * data.stride, -largest_column, largest_column);
  return data;
}

bool float_scan_is_right(const Kernels& kernels, std::int64_t dim, std::int64_t n_rows, std::int64_t n_columns,
                         bool roomy) {
  const Data data = random_data(dim, n_rows, n_columns, 3, 3);
  const std::int64_t bytes = data.stride * static_cast<std::int64_t>(sizeof(float));
  return scan_is_right(kernels, kernels.floats, data, data.rows.data(), data.columns.data(), bytes, 2.0f + 2.0f * dim,
                       roomy);
}

bool byte_scan_is_right(const Kernels& kernels, std::int64_t dim, std::int64_t n_rows, std::int64_t n_columns,
                        bool roomy) {
  if (kernels.bytes.scan_panel == nullptr || dim % 4 != 0) return true;
  // Numbers as large as sums of 16 bits allow: with 4 coordinates the largest there are.
  const Data data = random_data(dim, n_rows, n_columns, dim == 4 ? 127 : 20, dim == 4 ? 63 : 20);
  std::vector<std::uint8_t> rows;
  std::vector<std::int8_t> columns;
  for (const float number : data.rows) rows.push_back(static_cast<std::uint8_t>(number + 128));
  for (const float number : data.columns) columns.push_back(static_cast<std::int8_t>(number));
  return scan_is_right(kernels, kernels.bytes, data, rows.data(), columns.data(), data.stride, 100.0f * dim, roomy);
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
  for (const std::int64_t dim : {1, 2, 3, 4, 7, 8, 9, 17, 64}) {
    for (const std::int64_t n_rows : {std::int64_t{1}, strip - 1, strip, strip + 1, 5 * strip + 2}) {
      for (const std::int64_t n_columns : {std::int64_t{1}, width / 2, width / 2 + 1, width - 1, width}) {
        for (const bool roomy : {false, true}) {
          if (float_scan_is_right(kernels, dim, n_rows, n_columns, roomy) &&
              byte_scan_is_right(kernels, dim, n_rows, n_columns, roomy)) {
            continue;
          }
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
