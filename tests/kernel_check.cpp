// Checks the kernels of one instruction set (PYREDUND_ISA) against plain loops; prints the first difference and fails.
// Coordinates are small integers: float32 sums of their products are exact, so the scan must find exactly the pairs
// that reach a bar, equal scores included.
#include <algorithm>
#include <set>
#include <tuple>
#include <vector>

#include "kernel_checks.hpp"

namespace {

struct Data {
  std::int64_t dim, stride, n_rows, n_columns;
  std::vector<float> rows, columns;
};

// The scan of `packed` against a double loop over `data`, which holds the same numbers.
bool scan_is_right(const Kernels& kernels, const Scanner& scanner, const Data& data, const void* rows,
                   const void* columns, std::int64_t stride, float scale, bool roomy, bool offset, bool pick) {
  using Found = std::tuple<std::int64_t, std::int64_t, float>;
  const std::int64_t width = kernels.panel_width;
  const std::int64_t strip = static_cast<std::int64_t>(kernels.strip_height) * width;
  const std::vector<float> row_bars = integers(data.n_rows, -1, static_cast<int>(scale));
  const std::vector<float> column_bars = integers(width, static_cast<int>(scale / 2), static_cast<int>(scale));
  std::vector<float> panel(width * (data.dim + 1), 99.0f);
  const std::vector<float> row_offsets = integers(data.n_rows, -9, 9), column_offsets = integers(width, -9, 9);
  const auto whole = [](const std::vector<float>& numbers) {
    return std::vector<std::int32_t>(numbers.begin(), numbers.end());
  };
  const std::vector<std::int32_t> row_limits = whole(row_bars), column_limits = whole(column_bars);
  const std::vector<std::int32_t> added_to_rows = whole(row_offsets), added_to_columns = whole(column_offsets);
  std::vector<std::int32_t> picks;
  for (std::int64_t r = 0; r < data.n_rows; ++r) {
    if (!pick || random_numbers() % 3 > 0) picks.push_back(static_cast<std::int32_t>(r));
  }
  scanner.pack_panel(columns, stride, data.n_columns, data.dim, panel.data());

  std::set<Found> expected, found;
  for (const std::int32_t r : picks) {
    for (std::int64_t c = 0; c < data.n_columns; ++c) {
      float score = offset ? column_offsets[c] : 0.0f;
      for (std::int64_t i = 0; i < data.dim; ++i) {
        score += data.rows[r * data.stride + i] * data.columns[c * data.stride + i];
      }
      const float of_row = offset ? row_offsets[r] : 0.0f;  // moves the bars
      if (score + of_row >= row_bars[r] || score + of_row >= column_bars[c]) {
        expected.insert({r, c, offset ? 0.0f : score});  // bytes tell no score
      }
    }
  }
  std::vector<Survivor> survivors(roomy ? 8 * strip : strip + 1);
  PanelScan scan{};
  scan.rows = rows;
  scan.stride = stride;
  scan.n_rows = static_cast<std::int64_t>(picks.size());
  scan.picks = pick ? picks.data() : nullptr;
  scan.row_limits = row_limits.data();
  scan.column_limits = column_limits.data();
  scan.row_offsets = added_to_rows.data();
  scan.column_offsets = added_to_columns.data();
  scan.panel = panel.data();
  scan.dim = data.dim;
  scan.n_columns = data.n_columns;
  scan.row_bars = row_bars.data();
  scan.column_bars = column_bars.data();
  scan.survivors = survivors.data();
  scan.capacity = static_cast<std::int64_t>(survivors.size());
  std::int64_t listed = 0;
  const std::int64_t waiting = roomy ? 3 : 0;  // survivors of an earlier call, which the scan appends to
  for (std::int64_t row = 0; row < scan.n_rows;) {
    std::int64_t n_survivors = waiting;
    const std::int64_t done = scanner.scan_panel(scan, row, &n_survivors);
    if (done <= 0 || row + done > scan.n_rows) return false;
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
                       roomy, false, roomy);
}

bool byte_scan_is_right(const Kernels& kernels, std::int64_t dim, std::int64_t n_rows, std::int64_t n_columns,
                        bool roomy) {
  if (kernels.bytes.scan_panel == nullptr || dim % 4 != 0) return true;
  // Numbers as large as the sums allow: where they have 16 bits, only with 4 coordinates the largest there are.
  const bool narrow = kernels.bytes.narrow_sums;
  const Data data = random_data(dim, n_rows, n_columns, dim == 4 || !narrow ? 127 : 20,
                                !narrow    ? 127
                                : dim == 4 ? 64
                                           : 20);
  std::vector<std::uint8_t> rows, columns;
  for (const float number : data.rows) rows.push_back(static_cast<std::uint8_t>(number + 128));
  for (const float number : data.columns) columns.push_back(static_cast<std::uint8_t>(number + 128));
  for (const bool pick : {false, true}) {
    if (!scan_is_right(kernels, kernels.bytes, data, rows.data(), columns.data(), data.stride,
                       narrow ? 100.0f * dim : 4000.0f * dim, roomy, true, pick)) {
      return false;
    }
  }
  return true;
}

bool projection_is_right(const Kernels& kernels, std::int64_t stride, std::int64_t n_rows, std::int64_t n_directions) {
  const std::vector<float> rows = integers(n_rows * stride, -3, 3), directions = integers(n_directions * stride, -3, 3);
  std::vector<const float*> row;
  for (std::int64_t r = 0; r < n_rows; ++r) row.push_back(rows.data() + r * stride);
  const std::int64_t out_stride = n_directions + 2;
  std::vector<float> out(n_rows * out_stride, 77.0f);
  kernels.project(row.data(), n_rows, directions.data(), n_directions, stride, out.data(), out_stride);
  for (std::int64_t r = 0; r < n_rows; ++r) {
    for (std::int64_t c = 0; c < out_stride; ++c) {
      float expected = c < n_directions ? 0.0f : 77.0f;
      for (std::int64_t i = 0; c < n_directions && i < stride; ++i) {
        expected += rows[r * stride + i] * directions[c * stride + i];
      }
      if (out[r * out_stride + c] != expected) return false;
    }
  }
  return true;
}

bool products_are_right(const Kernels& kernels, std::int64_t dim, std::int64_t n_rows, std::int64_t n_columns) {
  const std::int64_t width = kernels.panel_width, stride = dim + 3, out_stride = width + 2;
  const std::vector<float> rows = integers((n_rows + 4) * stride, -3, 3), columns = integers(n_columns * dim, -3, 3);
  std::vector<std::int32_t> picks;
  for (std::int64_t r = 0; r < n_rows; ++r) picks.push_back(static_cast<std::int32_t>(r + (r % 3 == 0 ? 4 : 0)));
  std::vector<float> panel(width * (dim + 1), 99.0f);
  kernels.floats.pack_panel(columns.data(), dim * sizeof(float), n_columns, dim, panel.data());
  for (const bool picked : {false, true}) {
    std::vector<float> out((n_rows + 1) * out_stride, 77.0f);
    kernels.multiply_panel({rows.data(), stride, n_rows, picked ? picks.data() : nullptr, panel.data(), dim, n_columns,
                            out.data(), out_stride});
    for (std::int64_t at = 0; at < static_cast<std::int64_t>(out.size()); ++at) {
      const std::int64_t r = at / out_stride, c = at % out_stride;
      float expected = r < n_rows && c < n_columns ? 0.0f : 77.0f;
      for (std::int64_t i = 0; r < n_rows && c < n_columns && i < dim; ++i) {
        expected += rows[(picked ? picks[r] : r) * stride + i] * columns[c * dim + i];
      }
      if (out[at] != expected) return false;
    }
  }
  return true;
}

// The value is reached by `count` products of the column, and not far below the count-th best.
bool reached_values_are_right(const Kernels& kernels, std::int64_t n_rows, std::int64_t count) {
  const std::int64_t width = kernels.panel_width;
  std::vector<float> products(n_rows * width), found(width);
  for (float& product : products) product = std::uniform_real_distribution<float>(-1.0f, 1.0f)(random_numbers);
  kernels.reached_by(products.data(), n_rows, count, found.data());
  for (std::int64_t c = 0; c < width; ++c) {
    std::vector<float> column;
    for (std::int64_t r = 0; r < n_rows; ++r) column.push_back(products[r * width + c]);
    std::sort(column.begin(), column.end(), [](float a, float b) { return a > b; });
    if (count > n_rows ? found[c] != -2.5f : !(found[c] <= column[count - 1] && found[c] > column[count - 1] - 0.01f)) {
      return false;
    }
  }
  return true;
}

bool score_is_right(const Kernels& kernels, std::int64_t stride) {
  std::vector<float> rows(2 * stride);
  for (float& number : rows) number = std::normal_distribution<float>()(random_numbers);
  const float *x = rows.data(), *y = x + stride;
  double lane[8] = {};
  for (std::int64_t i = 0; i < stride; ++i) lane[i % 8] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  const double sum = ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  const Survivor pairs[] = {{0, 1, 0.0f}, {1, 0, 0.0f}, {0, 1, 0.0f}};
  double of_pairs[4];
  kernels.score_pairs(x, stride, pairs, 3, of_pairs);
  for (int s = 0; s < 3; ++s) {
    if (of_pairs[s] != sum) return false;
  }
  return kernels.score(x, y, stride) == sum;
}

// Numbers as large as sums of 32 bits allow; what stands beyond the row must not count.
bool word_products_are_right(const Kernels& kernels, std::int64_t stride) {
  const int largest = stride <= 2 * kWordsTogether ? 5790 : 1400;
  std::vector<std::int16_t> x(stride + 64, 32767), y(x);
  std::int64_t sum = 0;
  for (std::int64_t i = 0; i < stride; ++i) {
    x[i] = static_cast<std::int16_t>(std::uniform_int_distribution<int>(-largest, largest)(random_numbers));
    y[i] = static_cast<std::int16_t>(random_numbers() % 8 == 0 ? -x[i] : x[i]);
    sum += static_cast<std::int64_t>(x[i]) * y[i];
  }
  return kernels.multiply_words(x.data(), y.data(), stride) == sum;
}

// Products of pairs of rows; approximate_pairs takes `length` coordinates from the ninth on.
bool pairs_are_right(const Kernels& kernels, std::int64_t stride, std::int64_t length, std::int64_t n_pairs) {
  const std::int64_t n_rows = 7;
  const std::vector<float> rows = integers(n_rows * stride, -3, 3);
  const std::vector<std::int16_t> words(rows.begin(), rows.end());
  std::vector<Survivor> pairs(n_pairs);
  for (Survivor& pair : pairs) pair = {int(random_numbers() % n_rows), int(random_numbers() % n_rows), 0.0f};
  std::vector<double> scores(n_pairs + 2, 77.0);
  std::vector<float> part(n_pairs + 1, 77.0f);
  std::vector<std::int32_t> of_words(n_pairs + 1, 77);
  kernels.score_pairs(rows.data(), stride, pairs.data(), n_pairs, scores.data());
  kernels.approximate_pairs(rows.data() + 8, stride, length, pairs.data(), n_pairs, part.data());
  kernels.multiply_word_pairs(words.data(), stride, pairs.data(), n_pairs, of_words.data());
  for (std::int64_t s = 0; s < n_pairs; ++s) {
    double sum = 0.0, within = 0.0;
    for (std::int64_t i = 0; i < stride; ++i) {
      const double product = double(rows[pairs[s].row * stride + i]) * double(rows[pairs[s].column * stride + i]);
      sum += product;
      within += i >= 8 && i < 8 + length ? product : 0.0;
    }
    if (scores[s] != sum || part[s] != within || of_words[s] != sum) return false;
  }
  return scores[n_pairs + 1] == 77.0 && part[n_pairs] == 77.0f && of_words[n_pairs] == 77;
}

}  // namespace

int main() {
  const Kernels& k = PYREDUND_TABLE(PYREDUND_ISA);
  const std::int64_t one = 1, strip = k.strip_height, width = k.panel_width;
  for (const std::int64_t dim : {1, 2, 3, 4, 7, 8, 9, 17, 36, 64, 96, 256}) {
    for (const std::int64_t n_rows : {one, strip - 1, strip, strip + 1, 5 * strip + 2}) {
      for (const std::int64_t n_columns : {one, width / 2, width / 2 + 1, width - 1, width}) {
        for (const bool roomy : {false, true}) {
          expect(float_scan_is_right(k, dim, n_rows, n_columns, roomy), "scans of floats", dim, n_rows, n_columns);
          expect(byte_scan_is_right(k, dim, n_rows, n_columns, roomy), "scans of bytes", dim, n_rows, n_columns);
        }
      }
    }
  }
  for (std::int64_t stride = 8; stride <= 320; stride += 8) {
    for (int repeat = 0; repeat < 20; ++repeat) expect(score_is_right(k, stride), "scores", stride);
  }
  for (const std::int64_t n_rows : {one, strip, 3 * strip + 1}) {
    for (const std::int64_t n : {one, width / 2, width - 1, width}) {
      for (const std::int64_t stride : {8, 16, 64, 72}) {
        expect(projection_is_right(k, stride, n_rows, n), "projections", n_rows, n, stride);
      }
    }
  }
  for (const std::int64_t n_rows : {one, std::int64_t{7}, strip, 3 * strip + 1, std::int64_t{100}}) {
    for (const std::int64_t count : {one, n_rows / 2 + 1, n_rows, n_rows + 1}) {
      expect(reached_values_are_right(k, n_rows, count), "reached values", n_rows, count);
    }
    for (const std::int64_t dim : {1, 8, 31, 32, 33, 64, 100}) {
      for (const std::int64_t n_columns : {one, width - 1, width}) {
        expect(products_are_right(k, dim, n_rows, n_columns), "products", dim, n_rows, n_columns);
      }
    }
  }
  for (std::int64_t stride = kWordsTogether; stride <= 40 * kWordsTogether; stride += kWordsTogether) {
    expect(word_products_are_right(k, stride), "products of words", stride);
  }
  for (const std::int64_t n_pairs : {0, 1, 2, 5, 6, 7, 8, 33}) {
    for (const std::int64_t length : {8, 32, 40, 72}) {
      expect(pairs_are_right(k, 3 * kWordsTogether, length, n_pairs), "products of pairs", length, n_pairs);
    }
  }
  return verdict();
}
