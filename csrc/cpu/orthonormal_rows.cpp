#include "cpu/orthonormal_rows.hpp"

#include <algorithm>
#include <cmath>

namespace pyredund::cpu {
namespace {

constexpr double kHardlyAnything = 1e-5;

double dot(const double* x, const double* y, std::int64_t dim) {
  constexpr int kChains = 8;
  double sum[kChains] = {};
  std::int64_t i = 0;
  for (; i + kChains <= dim; i += kChains) {
    for (int chain = 0; chain < kChains; ++chain) sum[chain] += x[i + chain] * y[i + chain];
  }
  for (; i < dim; ++i) sum[0] += x[i] * y[i];
  return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

}  // namespace

std::int64_t orthonormal_rows(double* rows, std::int64_t count, std::int64_t dim, bool* depends) {
  std::int64_t n_dependent = 0;
  for (std::int64_t r = 0; r < count; ++r) {
    double* const row = rows + r * dim;
    const double norm = std::sqrt(dot(row, row, dim));
    depends[r] = !(norm > kHardlyAnything);
    if (depends[r]) {
      ++n_dependent;
      std::fill_n(row, dim, 0.0);
      continue;
    }
    for (std::int64_t i = 0; i < dim; ++i) row[i] /= norm;
    for (double* later = row + dim; later < rows + count * dim; later += dim) {
      const double along = dot(later, row, dim);
      for (std::int64_t i = 0; i < dim; ++i) later[i] -= along * row[i];
    }
  }
  return n_dependent;
}

}  // namespace pyredund::cpu
