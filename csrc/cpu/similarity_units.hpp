#pragma once

#include <cmath>
#include <cstdint>

namespace pyredund::cpu {

// Similarities as integers in units of 2^-32, so that sums over rows do not depend on their order.
inline std::int64_t in_units(float similarity) { return std::llrint(static_cast<double>(similarity) * 4294967296.0); }

constexpr std::int64_t kOneInUnits = std::int64_t{1} << 32;

}  // namespace pyredund::cpu
