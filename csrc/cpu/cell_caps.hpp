#pragma once

#include <cstdint>

#include "cpu/kernels.hpp"
#include "matrix_view.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// Short rows, of norm 1 up to a rounding, lie on a sphere; every `kernels.panel_width` of them that follow each other
// are a cell, which a spherical cap encloses. For each cell its cap's centre, a unit vector as long as a short row, and
// a cosine, up to a rounding, of the angle that none of its rows exceeds: close to the smallest cap there is (Badoiu
// and Clarkson 2003, Smaller core-sets for balls: step by step towards the farthest row).
void cell_caps(const Kernels& kernels, MatrixView short_rows, float* centres, float* cosines, int n_threads,
               const Watch& watch);

}  // namespace pyredund::cpu
