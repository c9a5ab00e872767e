#pragma once

#include <cstdint>

#include "cuda/device_units.hpp"
#include "matrix_view.hpp"
#include "watch.hpp"

namespace pyredund::cuda {

// How a search is carried out; nothing in here changes its result.
struct SearchOptions {
  int device = 0;
  int devices = 1;              // that share a task on the host, the first ones, if there are so many
  bool plain = false;           // the definition instead of the tensor cores
  std::int64_t most_bytes = 0;  // of device memory that it may take; 0: what is free
};

// Neighbour lists in host memory, k places a row.
struct HostLists {
  std::int64_t k = 0;
  std::int32_t* ids = nullptr;
  float* similarities = nullptr;
};

// What a search for neighbours takes and gives, all of it in host memory. Rows are distinct, and those of `reference`,
// too. Without `reference`, rows search each other, and no row itself; otherwise row i leaves out row excluded[i] of
// `reference`, where that is given. Lists have k places, similarity descending, then id ascending; there are k to be
// found.
struct KnnTask {
  MatrixView rows;
  const MatrixView* reference = nullptr;
  const std::int32_t* excluded = nullptr;
  HostLists lists;
};

// How a search by tensor cores went: blocks of rows that it was cut into (for want of memory), and rows that it
// searched again, because more came to them than they could hold, or their bars had been guessed too high. `pairs` is
// for those who wait: how many pairs of a row and a column it is through, less those that are searched again, which
// were added to what is to be done. In a self-join each pair is two.
struct KnnCounts {
  std::int64_t blocks = 0, searched_again = 0, pairs = 0;
};

// As cpu::knn_graph and cpu::knn_query, with the same bits. Where the device has no room for all rows, they come from
// the host in parts. Several devices take a block of rows each, with all columns.
void knn(const KnnTask& task, const SearchOptions& options, KnnCounts& counts, Watch& watch);

// The same among the distinct rows of embeddings that lie on a device.
void knn_of_units(const DeviceUnits& units, const HostLists& lists, SearchOptions options, KnnCounts& counts,
                  Watch& watch);

}  // namespace pyredund::cuda
