// Checks the kernels of one instruction set (PYREDUND_ISA) that sum, divide and round rows, against plain loops; prints
// the first difference and fails.
#include <cmath>
#include <cstring>
#include <vector>

#include "kernel_checks.hpp"

namespace {

std::vector<float> normals(std::int64_t count, float scale) {
  std::vector<float> numbers(count);
  for (float& number : numbers) number = scale * std::normal_distribution<float>()(random_numbers);
  return numbers;
}

bool weighted_sum_is_right(const Kernels& kernels, std::int64_t stride, std::int64_t n_rows) {
  const std::vector<float> rows = integers(n_rows * stride, -3, 3), weights = integers(n_rows, -3, 3);
  std::vector<float> out(stride + 1, 77.0f), expected(stride + 1, 0.0f);
  expected[stride] = 77.0f;
  for (std::int64_t r = 0; r < n_rows; ++r) {
    for (std::int64_t i = 0; i < stride; ++i) expected[i] += weights[r] * rows[r * stride + i];
  }
  kernels.weighted_sum(rows.data(), stride, weights.data(), n_rows, out.data());
  return out == expected;
}

bool quotients_are_right(const Kernels& kernels, std::int64_t count, double divisor) {
  std::vector<float> x = normals(count, 1e-3f), out(count + 1, 77.0f);
  for (std::int64_t i = 0; i < count; i += 3) x[i] = i % 2 == 0 ? -0.0f : -1e-42f;
  kernels.divide(x.data(), count, divisor, out.data());
  for (std::int64_t i = 0; i < count; ++i) {
    const float expected = static_cast<float>(static_cast<double>(x[i]) / divisor) + 0.0f;
    if (std::memcmp(&out[i], &expected, sizeof expected) != 0) return false;
  }
  return out[count] == 77.0f;
}

bool halves_are_right(const Kernels& kernels, std::int64_t dim) {
  const std::vector<float> u = integers(dim, -3, 3);
  double found[2], expected[2] = {};
  for (std::int64_t i = 0; i < dim; ++i) expected[i % 4 / 2] += u[i] * u[i];
  kernels.half_squares(u.data(), dim, found);
  return found[0] == expected[0] && found[1] == expected[1];
}

bool bytes_are_right(const Kernels& kernels, std::int64_t dim, bool narrow_sums, double factor) {
  const std::vector<float> u = normals(dim, 1.0f);
  const double unit = 1.25 / factor;  // the factor of a row that had to be shortened is not that of its block
  std::vector<std::uint8_t> bytes(dim + 1, 7);
  const double squares = kernels.round_bytes(u.data(), dim, factor, unit, narrow_sums, bytes.data());
  double expected = 0.0;
  for (std::int64_t i = 0; i < dim; i += 2) {
    double pair[2];
    for (int j = 0; j < 2; ++j) pair[j] = std::nearbyint(std::fmin(127.0, std::fmax(-127.0, u[i + j] * factor)));
    const double sum = std::fabs(pair[0]) + std::fabs(pair[1]);
    for (int j = 0; j < 2; ++j) {
      if (narrow_sums && sum > 128.0) pair[j] = std::trunc(pair[j] * (128.0 / sum));
      if (bytes[i + j] != static_cast<int>(pair[j]) + 128) return false;
      expected += (u[i + j] - pair[j] * unit) * (u[i + j] - pair[j] * unit);
    }
  }
  return std::fabs(squares - expected) <= 1e-12 * expected && bytes[dim] == 7;
}

}  // namespace

int main() {
  const Kernels& k = PYREDUND_TABLE(PYREDUND_ISA);
  for (const std::int64_t stride : {8, 16, 24, 64}) {
    for (const std::int64_t n_rows : {0, 1, 3, 4, 5, 8, 101}) {
      expect(weighted_sum_is_right(k, stride, n_rows), "weighted sums", stride, n_rows);
    }
  }
  for (std::int64_t count = 0; count < 40; ++count) {
    for (const double divisor : {1.0, 3.0, 1e-3, 7e30})
      expect(quotients_are_right(k, count, divisor), "quotients", count);
  }
  for (const std::int64_t dim : {4, 8, 12, 64, 256}) {
    expect(halves_are_right(k, dim), "halves", dim);
    for (const double factor : {3.0, 40.0, 100.0}) {
      for (const bool narrow : {false, true}) expect(bytes_are_right(k, dim, narrow, factor), "bytes", dim, narrow);
    }
  }
  return verdict();
}
