#include "cuda/knn_graph.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "cuda/device.hpp"
#include "cuda/device_team.hpp"
#include "cuda/download.hpp"
#include "cuda/host_pages.hpp"
#include "cuda/memory.hpp"
#include "cuda/plain_knn.hpp"
#include "cuda/tensor_knn.hpp"
#include "cuda/upload.hpp"

namespace pyredund::cuda {
namespace {

void search_plainly(const UnitRows& rows, const Columns& columns, const Lists& lists, cudaStream_t stream,
                    KnnCounts& counts, Watch& watch) {
  const std::int64_t products = columns.rows.rows * columns.rows.stride;
  const std::int64_t at_once = std::max<std::int64_t>(1, (std::int64_t{1} << 33) / std::max<std::int64_t>(1, products));
  for (std::int64_t first = 0; first < rows.rows; first += at_once) {
    const std::int64_t count = std::min(at_once, rows.rows - first);
    for (std::int64_t from = 0; from < lists.k; from += kPlainTake) {
      check(watch);
      plain_knn(rows, first, count, columns, lists, from, std::min(kPlainTake, lists.k - from), stream);
      PYREDUND_CUDA_CALL(cudaStreamSynchronize(stream));
    }
    counts.pairs += count * columns.rows.rows;
    watch.done += count * columns.rows.rows;
  }
}

void search_lists(const UnitRows& rows, const Columns& columns, const std::int32_t* excluded, const HostLists& found,
                  const SearchOptions& options, cudaStream_t stream, KnnCounts& counts, Watch& watch) {
  const std::int64_t bytes = rows.rows * found.k * 4;
  HostPages pages(found.ids, bytes), more_pages(found.similarities, bytes);
  const Buffer ids(bytes, options.device), similarities(bytes, options.device);
  const Lists lists{static_cast<std::int32_t*>(ids.data()), static_cast<float*>(similarities.data()), found.k};
  if (options.plain || found.k > kTensorMost) {
    search_plainly(rows, columns, lists, stream, counts, watch);
  } else {
    tensor_knn(rows, columns, excluded, lists, options, stream, counts, watch);
  }
  pages.wait();
  more_pages.wait();
  download(found.ids, ids.data(), bytes, stream, watch);
  download(found.similarities, similarities.data(), bytes, stream, watch);
}

void search_at_once(const KnnTask& task, const SearchOptions& options, cudaStream_t stream, KnnCounts& counts,
                    Watch& watch) {
  const UploadedRows rows(task.rows, options.device, stream, watch);
  Columns columns{rows.unit(), nullptr, task.reference == nullptr};
  std::optional<UploadedRows> reference;
  std::optional<Buffer> excluded;
  if (task.reference != nullptr) {
    reference.emplace(*task.reference, options.device, stream, watch);
    columns.rows = reference->unit();
    if (task.excluded != nullptr) {
      excluded.emplace(task.rows.rows * 4, options.device);
      upload(task.excluded, excluded->bytes(), excluded->data(), stream, watch);
      columns.own = static_cast<const std::int32_t*>(excluded->data());
    }
  }
  search_lists(rows.unit(), columns, task.excluded, task.lists, options, stream, counts, watch);
}

// A row's k best of both lists; those of `more` are of later columns.
void merge(std::int64_t k, std::int32_t* ids, float* similarities, const std::int32_t* more_ids,
           const float* more_similarities, std::vector<std::int32_t>& best_ids, std::vector<float>& best) {
  for (std::int64_t place = 0, i = 0, j = 0; place < k; ++place) {
    const bool is_more = more_similarities[j] > similarities[i];
    best_ids[place] = is_more ? more_ids[j] : ids[i];
    best[place] = is_more ? more_similarities[j++] : similarities[i++];
  }
  std::copy(best_ids.begin(), best_ids.end(), ids);
  std::copy(best.begin(), best.end(), similarities);
}

std::int64_t columns_of(const KnnTask& task) {
  return task.reference != nullptr ? task.reference->rows : task.rows.rows;
}

// The column of this task that a row leaves out; -1 where it takes all.
std::int64_t left_out(const KnnTask& task, std::int64_t row) {
  if (task.excluded != nullptr) return task.excluded[row];
  return task.reference == nullptr ? row : -1;
}

// Where the device is too small for all rows: part after part of the columns, each with block after block of the rows.
// A part has more than k columns, so that lists are full.
void search_in_parts(const KnnTask& task, std::int64_t n_parts, std::int64_t n_blocks, const SearchOptions& options,
                     cudaStream_t stream, KnnCounts& counts, Watch& watch) {
  const MatrixView& all = task.reference != nullptr ? *task.reference : task.rows;
  const std::int64_t k = task.lists.k, n_rows = task.rows.rows;
  std::vector<std::int32_t> excluded, ids, best_ids(static_cast<std::size_t>(k));
  std::vector<float> similarities, best(static_cast<std::size_t>(k));
  for (std::int64_t part = 0; part < n_parts; ++part) {
    const std::int64_t begin = all.rows * part / n_parts, end = all.rows * (part + 1) / n_parts;
    const UploadedRows columns(all.part(begin, end - begin), options.device, stream, watch);
    for (std::int64_t block = 0; block < n_blocks; ++block) {
      const std::int64_t first = n_rows * block / n_blocks, count = n_rows * (block + 1) / n_blocks - first;
      if (count == 0) continue;
      const UploadedRows rows(task.rows.part(first, count), options.device, stream, watch);
      excluded.assign(static_cast<std::size_t>(count), -1);
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t column = left_out(task, first + i);
        if (column >= begin && column < end) excluded[i] = static_cast<std::int32_t>(column - begin);
      }
      const Buffer own(count * 4, options.device);
      upload(excluded.data(), own.bytes(), own.data(), stream, watch);
      HostLists found{k, task.lists.ids + first * k, task.lists.similarities + first * k};
      if (part > 0) {
        ids.resize(static_cast<std::size_t>(count * k));
        similarities.resize(ids.size());
        found = {k, ids.data(), similarities.data()};
      }
      search_lists(rows.unit(), {columns.unit(), static_cast<const std::int32_t*>(own.data()), false}, excluded.data(),
                   found, options, stream, counts, watch);
      for (std::int64_t i = 0; i < count * k; ++i) found.ids[i] += static_cast<std::int32_t>(begin);
      if (part == 0) continue;
      for (std::int64_t i = 0; i < count; ++i) {
        merge(k, task.lists.ids + (first + i) * k, task.lists.similarities + (first + i) * k, ids.data() + i * k,
              similarities.data() + i * k, best_ids, best);
      }
    }
  }
}

void search_on_device(const KnnTask& task, const SearchOptions& options, KnnCounts& counts, Watch& watch) {
  const UseDevice use(options.device);
  const Stream stream(options.device);
  const std::int64_t columns = columns_of(task);
  for (std::int64_t n_parts = 1, n_blocks = 1;;) {
    const std::int64_t before = counts.pairs;
    try {
      if (n_parts == 1 && n_blocks == 1) {
        search_at_once(task, options, stream.get(), counts, watch);
      } else {
        search_in_parts(task, n_parts, n_blocks, options, stream.get(), counts, watch);
      }
      return;
    } catch (const OutOfMemory&) {
      watch.total += counts.pairs - before;  // which are to be searched again
      const bool more_parts = columns / (2 * n_parts) > task.lists.k, more_blocks = n_blocks * kTile < task.rows.rows;
      if (!more_parts && !more_blocks) throw;
      if (more_parts) n_parts *= 2;
      if (more_blocks) n_blocks *= 2;
    }
  }
}

// Block `which` of the rows, with all columns.
void search_block(const KnnTask& task, std::int64_t which, int n_blocks, const SearchOptions& options,
                  KnnCounts& counts, Watch& watch) {
  const std::int64_t first = task.rows.rows * which / n_blocks, end = task.rows.rows * (which + 1) / n_blocks;
  std::vector<std::int32_t> excluded;
  KnnTask block = task;
  block.rows = task.rows.part(first, end - first);
  block.lists.ids += first * task.lists.k;
  block.lists.similarities += first * task.lists.k;
  if (task.reference == nullptr) {
    excluded.resize(static_cast<std::size_t>(end - first));
    std::iota(excluded.begin(), excluded.end(), static_cast<std::int32_t>(first));
    block.reference = &task.rows;
    block.excluded = excluded.data();
  } else if (task.excluded != nullptr) {
    block.excluded = task.excluded + first;
  }
  if (block.rows.rows > 0) search_on_device(block, options, counts, watch);
}

}  // namespace

void knn(const KnnTask& task, const SearchOptions& options, KnnCounts& counts, Watch& watch) {
  if (task.rows.rows == 0 || task.lists.k == 0) return;
  watch.total += task.rows.rows * columns_of(task);
  const int n_devices = std::min(options.devices, count_of_devices());
  if (n_devices <= 1) return search_on_device(task, options, counts, watch);
  std::vector<KnnCounts> of_each(static_cast<std::size_t>(n_devices));
  run_on_devices(n_devices, n_devices, watch, [&](int device, std::int64_t block) {
    SearchOptions here = options;
    here.device = device;
    search_block(task, block, n_devices, here, of_each[static_cast<std::size_t>(device)], watch);
  });
  for (const KnnCounts& some : of_each) {
    counts.blocks += some.blocks;
    counts.searched_again += some.searched_again;
  }
}

void knn_of_units(const DeviceUnits& units, const HostLists& lists, SearchOptions options, KnnCounts& counts,
                  Watch& watch) {
  if (units.rows().rows == 0 || lists.k == 0) return;
  const UseDevice use(units.device());
  const UseMemory use_memory(units.memory());
  options.device = units.device();
  watch.total += units.rows().rows * units.rows().rows;
  search_lists(units.rows(), {units.rows(), nullptr, true}, nullptr, lists, options, units.stream(), counts, watch);
}

}  // namespace pyredund::cuda
