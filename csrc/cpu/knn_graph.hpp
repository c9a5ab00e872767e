#pragma once

#include <cstdint>

#include "cpu/kernels.hpp"
#include "cpu/sketch.hpp"
#include "matrix_view.hpp"
#include "watch.hpp"

namespace pyredund::cpu {

// How many pairs came how far in a search, how many tiles were skipped as a whole, and how many panels had no row near.
struct SearchCounts {
  std::int64_t pairs = 0, near = 0, survived_scan = 0, survived_bounds = 0, scored = 0;
  std::int64_t tiles = 0, tiles_apart = 0, panels = 0, empty_panels = 0;
};

constexpr std::int64_t kSpareBytes = std::int64_t{128} << 20;

// How a search is carried out; nothing in here changes its result.
struct SearchPlan {
  const Kernels* kernels;
  int n_threads;
  std::int64_t block;  // rows and columns of a tile; 0: chosen from the sizes
  std::int64_t spare_bytes =
      kSpareBytes;  // of places in which neighbours wait (each row has two) and of products with centres
};

// The k nearest other rows of every row: ids[i * k ...] and similarities[i * k ...], similarity descending, then id
// ascending. Rows are unit rows, no two of them identical; k < rows. Each pair of rows is scored once at most: a sketch
// of the rows rules most pairs out where the instruction set scans bytes. `floors`, where given, are guesses that lie a
// little below each row's k-th best similarity; rows whose guess was too high are searched again.
void knn_graph(const SearchPlan& plan, MatrixView rows, const Sketch& sketch, const float* floors, std::int64_t k,
               std::int32_t* ids, float* similarities, SearchCounts& counts, Watch& watch);

// The k nearest rows of `reference` for every row of `queries`; k <= reference.rows. Where `excluded` is
// given, query i leaves out row excluded[i] of `reference` (-1: none).
void knn_query(const SearchPlan& plan, MatrixView queries, MatrixView reference, std::int64_t k, std::int32_t* ids,
               float* similarities, Watch& watch, const std::int32_t* excluded = nullptr);

}  // namespace pyredund::cpu
