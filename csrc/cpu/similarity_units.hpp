#pragma once

#include <cstdint>
#include <cstring>

namespace pyredund::cpu {

// Similarities as integers in units of 2^-32, so that sums over rows do not depend on their order.
// The product is exact; the sum rounds it to a whole number, ties to even, which its last bits then hold (a call of
// std::llrint took as long as the rest of a greedy step).
inline std::int64_t in_units(float similarity) {
  constexpr double kWhole = 6755399441055744.0;  // 1.5 * 2^52: numbers near it are whole
  const double whole = static_cast<double>(similarity) * 4294967296.0 + kWhole;
  std::int64_t bits, bits_of_whole;
  std::memcpy(&bits, &whole, sizeof bits);
  std::memcpy(&bits_of_whole, &kWhole, sizeof bits);
  return bits - bits_of_whole;
}

constexpr std::int64_t kOneInUnits = std::int64_t{1} << 32;

}  // namespace pyredund::cpu
