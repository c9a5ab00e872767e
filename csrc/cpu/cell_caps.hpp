#pragma once

#include <cstdint>

#include "cpu/kernels.hpp"
#include "matrix_view.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// Every `kernels.panel_width` short rows that follow each other are a cell, whose directions a spherical cap encloses.
// For each cell its cap's centre, a unit vector as long as a short row, and the cosine, up to roundings, of the angle
// that none of its rows exceeds: close to the smallest cap there is (Badoiu and Clarkson 2003, Smaller core-sets for
// balls: step by step towards the farthest row).
void cell_caps(const Kernels& kernels, MatrixView short_rows, float* centres, float* cosines, int n_threads,
               const Watch& watch);

}  // namespace pyredund::cpu
