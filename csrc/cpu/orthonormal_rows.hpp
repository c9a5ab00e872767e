#pragma once

#include <cstdint>

namespace pyredund::cpu {

// Makes rows orthonormal that have norm 1 or less, each less its part along those before it (modified Gram-Schmidt).
// Rows of which hardly anything is left become zero and are marked; returns their count.
std::int64_t orthonormal_rows(double* rows, std::int64_t count, std::int64_t dim, bool* depends);

}  // namespace pyredund::cpu
