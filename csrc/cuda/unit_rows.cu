#include <cuda_fp16.h>

#include <cmath>

#include "cuda/device_rows.hpp"
#include "cuda/exact_score.hpp"
#include "cuda/launch.hpp"
#include "cuda/margin.hpp"

namespace pyredund::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kRowsAtOnce =
    kThreads / 8;  // of a block: eight threads share a row, coordinate i is that of thread i % 8

struct Bfloat {
  std::uint16_t bits;
};

__device__ inline double widened(__half value) { return static_cast<double>(__half2float(value)); }
__device__ inline double widened(Bfloat value) {
  return static_cast<double>(__uint_as_float(static_cast<std::uint32_t>(value.bits) << 16));
}
__device__ inline double widened(float value) { return static_cast<double>(value); }
__device__ inline double widened(double value) { return value; }

__device__ inline double largest_of_lanes(double lane) {
  lane = fmax(lane, __shfl_xor_sync(kAllThreads, lane, 4));
  lane = fmax(lane, __shfl_xor_sync(kAllThreads, lane, 2));
  return fmax(lane, __shfl_xor_sync(kAllThreads, lane, 1));
}

// As cpu::unit_rows: nothing may be contracted into a multiply-add here, since these products are not exact.
template <typename T>
__global__ void unit_rows_kernel(const T* data, std::int64_t rows, std::int64_t dim, std::int64_t row_stride,
                                 std::int64_t column_stride, std::int64_t stride, float* out, double* norms,
                                 std::uint32_t* n_bad) {
  const int lane = static_cast<int>(threadIdx.x) % 8;
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kRowsAtOnce + threadIdx.x / 8;
  const bool there = row < rows;
  const T* const x = data + (there ? row : 0) * row_stride;
  double largest = 0.0;
  for (std::int64_t i = lane; i < dim; i += 8) largest = fmax(largest, fabs(widened(x[i * column_stride])));
  largest = largest_of_lanes(largest);
  int power = 0;
  if (largest > 0.0 && !isinf(largest)) {
    const int exponent = ilogb(largest);
    if (exponent < -400 || exponent > 400) power = -exponent;
  }
  double sum = 0.0;
  for (std::int64_t i = lane; i < dim; i += 8) {
    const double value = widened(x[i * column_stride]);
    const double scaled = power == 0 ? value : scalbn(value, power);
    sum = __dadd_rn(sum, __dmul_rn(scaled, scaled));
  }
  const double norm = __dsqrt_rn(sum_of_lanes(sum));
  if (!there) return;
  const double divisor = norm > 0.0 ? norm : 1.0;
  for (std::int64_t i = lane; i < stride; i += 8) {
    float coordinate = 0.0f;
    if (i < dim) {
      const double value = widened(x[i * column_stride]);
      const double scaled = power == 0 ? value : scalbn(value, power);
      coordinate = __double2float_rn(__ddiv_rn(scaled, divisor)) + 0.0f;  // -0 becomes +0
    }
    out[row * stride + i] = coordinate;
  }
  if (lane != 0) return;
  norms[row] = norm;
  if (!isfinite(norm)) atomicAdd(n_bad, 1u);
}

template <typename T>
void launch_for(const DeviceInput& input, std::int64_t stride, float* out, double* norms, std::uint32_t* n_bad,
                cudaStream_t stream) {
  launch(unit_rows_kernel<T>, blocks_for(input.rows, kRowsAtOnce), kThreads, 0, stream,
         static_cast<const T*>(input.data), input.rows, input.dim, input.row_stride, input.column_stride, stride, out,
         norms, n_bad);
}

__global__ void shuffled_order_kernel(const Shuffle shuffle, std::int32_t* order) {
  const std::uint32_t i = blockIdx.x * static_cast<std::uint32_t>(kThreads) + threadIdx.x;
  if (i < shuffle.n) order[i] = static_cast<std::int32_t>(shuffle.at(i));
}

// Eight threads share a row.
__global__ void half_rows_kernel(const UnitRows unit, const std::int32_t* order, std::int64_t all_rows,
                                 std::int64_t half_stride, __half* half, float* residuals, float* largest) {
  const int lane = static_cast<int>(threadIdx.x) % 8;
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kRowsAtOnce + threadIdx.x / 8;
  const bool there = row < unit.rows;
  const float* const x = unit.data + (!there ? 0 : order != nullptr ? order[row] : row) * unit.stride;
  double sum = 0.0;
  if (row < all_rows) {
    for (std::int64_t i = lane; i < half_stride; i += 8) {
      const float coordinate = there && i < unit.stride ? x[i] : 0.0f;
      __half rounded = __float2half_rn(coordinate * kHalfScale);
      if (fabsf(__half2float(rounded)) < 0x1p-14f) rounded = __float2half_rn(0.0f);  // a subnormal half
      half[row * half_stride + i] = rounded;
      const double error =
          static_cast<double>(coordinate) - static_cast<double>(__half2float(rounded)) * (1.0 / kHalfScale);
      sum = __dadd_rn(sum, __dmul_rn(error, error));
    }
  }
  sum = sum_of_lanes(sum);
  if (lane != 0 || !there) return;
  const float residual = __double2float_ru(__dsqrt_rn(sum) * (1.0 + 0x1p-30));  // covers the roundings of sum and root
  residuals[row] = residual;
  atomicMax(reinterpret_cast<int*>(largest),
            __float_as_int(residual));  // floats above zero have the order of their bits
}

}  // namespace

void unit_rows(const DeviceInput& input, std::int64_t stride, float* out, double* norms, std::uint32_t* n_bad,
               cudaStream_t stream) {
  switch (input.element) {
    case Element::kHalf:
      return launch_for<__half>(input, stride, out, norms, n_bad, stream);
    case Element::kBfloat:
      return launch_for<Bfloat>(input, stride, out, norms, n_bad, stream);
    case Element::kFloat:
      return launch_for<float>(input, stride, out, norms, n_bad, stream);
    case Element::kDouble:
      return launch_for<double>(input, stride, out, norms, n_bad, stream);
  }
}

void shuffled_order(std::int64_t rows, std::int32_t* order, cudaStream_t stream) {
  launch(shuffled_order_kernel, blocks_for(rows, kThreads), kThreads, 0, stream, shuffle_of(rows), order);
}

void half_rows(const UnitRows& unit, const std::int32_t* order, std::int64_t half_stride, __half* half,
               float* residuals, float* largest, cudaStream_t stream) {
  const std::int64_t all_rows = rounded_up(unit.rows, kBlock);
  launch(half_rows_kernel, blocks_for(all_rows, kRowsAtOnce), kThreads, 0, stream, unit, order, all_rows, half_stride,
         half, residuals, largest);
}

}  // namespace pyredund::cuda
