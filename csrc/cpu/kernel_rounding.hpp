#pragma once

// Rows that are divided, and rounded to bytes, for kernels.cpp alone: what it may define holds here too.
#include <cstdint>

#include "cpu/kernel_products.hpp"

namespace pyredund::cpu {
namespace {

typedef float Four __attribute__((vector_size(16)));
typedef float UnalignedFour __attribute__((vector_size(16), aligned(4)));
typedef std::int32_t FourWhole __attribute__((vector_size(16)));
typedef std::uint8_t FourBytes __attribute__((vector_size(4)));

void divide(const float* x, std::int64_t count, double divisor, float* out) {
  std::int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const Four quotient = __builtin_convertvector(widen(x + i) / divisor, Four);
    *reinterpret_cast<UnalignedFour*>(out + i) = quotient + Four{};  // never -0
  }
  for (; i < count; ++i) out[i] = static_cast<float>(static_cast<double>(x[i]) / divisor) + 0.0f;
}

void half_squares(const float* u, std::int64_t dim, double* out) {
  Doubles sum = {};
  for (std::int64_t i = 0; i < dim; i += 4) sum += widen(u + i) * widen(u + i);
  out[0] = sum[0] + sum[1];
  out[1] = sum[2] + sum[3];
}

double round_bytes(const float* u, std::int64_t dim, double factor, double unit, bool narrow_sums, std::uint8_t* out) {
  const Doubles round = Doubles{} + 6755399441055744.0;  // 1.5 * 2^52: adding it leaves no room for a fraction
  const Doubles most = Doubles{} + 127.0;
  Doubles error = {};
  for (std::int64_t i = 0; i < dim; i += 4) {
    const Doubles exact = widen(u + i);
    Doubles value = exact * factor;
    value = value < most ? value : most;
    value = value > -most ? value : -most;
    value = (value + round) - round;
    if (narrow_sums) {
      for (int pair = 0; pair < 4; pair += 2) {
        const double sum = __builtin_fabs(value[pair]) + __builtin_fabs(value[pair + 1]);
        if (sum <= 128.0) continue;
        for (int j = pair; j < pair + 2; ++j) value[j] = __builtin_trunc(value[j] * (128.0 / sum));
      }
    }
    const Doubles rest = exact - value * unit;
    error += rest * rest;
    const FourBytes bytes = __builtin_convertvector(__builtin_convertvector(value, FourWhole) + 128, FourBytes);
    __builtin_memcpy(out + i, &bytes, sizeof bytes);
  }
  return (error[0] + error[1]) + (error[2] + error[3]);
}

}  // namespace
}  // namespace pyredund::cpu
