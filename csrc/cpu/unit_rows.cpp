#include "cpu/unit_rows.hpp"

#include <algorithm>
#include <cmath>

#include "thread_team.hpp"

namespace pyredund::cpu {
namespace {

constexpr std::int64_t kChunk = 1024;  // rows a thread takes at once

int power_of_two_to_scale_by(double largest) {
  if (!(largest > 0.0) || std::isinf(largest)) return 0;
  const int exponent = std::ilogb(largest);
  return exponent < -400 || exponent > 400 ? -exponent : 0;
}

double root_of_lanes(const double* lane) {
  return std::sqrt(((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7])));
}

double unit_row(const Kernels&, const double* x, std::int64_t dim, float* out) {
  double largest = 0.0;
  for (std::int64_t i = 0; i < dim; ++i) largest = std::max(largest, std::fabs(x[i]));
  const int power = power_of_two_to_scale_by(largest);
  const auto coordinate = [&](std::int64_t i) { return power == 0 ? x[i] : std::scalbn(x[i], power); };
  double lane[8] = {};
  if (power == 0) {
    std::int64_t i = 0;
    for (; i + 8 <= dim; i += 8) {
      for (int l = 0; l < 8; ++l) lane[l] += x[i + l] * x[i + l];
    }
    for (; i < dim; ++i) lane[i % 8] += x[i] * x[i];
  } else {
    for (std::int64_t i = 0; i < dim; ++i) lane[i % 8] += coordinate(i) * coordinate(i);
  }
  const double norm = root_of_lanes(lane), divisor = norm > 0.0 ? norm : 1.0;
  for (std::int64_t i = 0; i < dim; ++i) out[i] = static_cast<float>(coordinate(i) / divisor) + 0.0f;
  return norm;
}

// Squares of float32 are exact in float64, and no sum of them leaves its range: nothing need be scaled, and a kernel
// may contract what it likes.
double unit_row(const Kernels& kernels, const float* x, std::int64_t dim, float* out) {
  double norm;
  if (dim % 8 == 0) {
    norm = std::sqrt(kernels.score(x, x, dim));
  } else {
    double lane[8] = {};
    for (std::int64_t i = 0; i < dim; ++i) lane[i % 8] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    norm = root_of_lanes(lane);
  }
  kernels.divide(x, dim, norm > 0.0 ? norm : 1.0, out);
  return norm;
}

}  // namespace

template <typename T>
void unit_rows(const Kernels& kernels, const T* embeddings, std::int64_t rows, std::int64_t dim, std::int64_t stride,
               float* out, double* norms, int n_threads, Watch& watch) {
  const std::int64_t chunks = (rows + kChunk - 1) / kChunk;
  std::atomic<std::int64_t> next{0};
  run_team(static_cast<int>(std::max<std::int64_t>(1, std::min<std::int64_t>(n_threads, chunks))), [&](int) {
    for (std::int64_t chunk = next++; chunk < chunks; chunk = next++) {
      check(watch);
      const std::int64_t end = std::min(rows, (chunk + 1) * kChunk);
      for (std::int64_t i = chunk * kChunk; i < end; ++i) {
        norms[i] = unit_row(kernels, embeddings + i * dim, dim, out + i * stride);
        std::fill(out + i * stride + dim, out + (i + 1) * stride, 0.0f);
      }
    }
  });
}

template void unit_rows<float>(const Kernels&, const float*, std::int64_t, std::int64_t, std::int64_t, float*, double*,
                               int, Watch&);
template void unit_rows<double>(const Kernels&, const double*, std::int64_t, std::int64_t, std::int64_t, float*,
                                double*, int, Watch&);

}  // namespace pyredund::cpu
