#include "cuda/knn_graph.hpp"

#include <algorithm>
#include <optional>

#include "cuda/device.hpp"
#include "cuda/memory.hpp"
#include "cuda/plain_knn.hpp"
#include "cuda/tensor_knn.hpp"
#include "cuda/upload.hpp"

namespace pyredund::cuda {
namespace {

void search_plainly(const UnitRows& rows, const Columns& columns, const Lists& lists, cudaStream_t stream,
                    Watch& watch) {
  const std::int64_t products = columns.rows.rows * columns.rows.stride;
  const std::int64_t at_once = std::max<std::int64_t>(1, (std::int64_t{1} << 33) / std::max<std::int64_t>(1, products));
  watch.total += rows.rows;
  for (std::int64_t first = 0; first < rows.rows; first += at_once) {
    const std::int64_t count = std::min(at_once, rows.rows - first);
    for (std::int64_t from = 0; from < lists.k; from += kPlainTake) {
      check(watch);
      plain_knn(rows, first, count, columns, lists, from, std::min(kPlainTake, lists.k - from), stream);
      PYREDUND_CUDA_CALL(cudaStreamSynchronize(stream));
    }
    watch.done += count;
  }
}

void search_lists(const UnitRows& rows, const Columns& columns, const std::int32_t* excluded, const HostLists& found,
                  const SearchOptions& options, cudaStream_t stream, KnnCounts& counts, Watch& watch) {
  const std::int64_t bytes = rows.rows * found.k * 4;
  const Buffer ids(bytes, options.device), similarities(bytes, options.device);
  const Lists lists{static_cast<std::int32_t*>(ids.data()), static_cast<float*>(similarities.data()), found.k};
  if (options.plain || found.k > kTensorMost) {
    search_plainly(rows, columns, lists, stream, watch);
  } else {
    tensor_knn(rows, columns, excluded, lists, options, stream, counts, watch);
  }
  to_host(found.ids, ids.data(), bytes, stream);
  to_host(found.similarities, similarities.data(), bytes, stream);
}

}  // namespace

void knn(const KnnTask& task, const SearchOptions& options, KnnCounts& counts, Watch& watch) {
  if (task.rows.rows == 0 || task.lists.k == 0) return;
  const UseDevice use(options.device);
  const Stream stream(options.device);
  const UploadedRows rows(task.rows, options.device, stream.get(), watch);
  Columns columns{rows.unit(), nullptr, task.reference == nullptr};
  std::optional<UploadedRows> reference;
  std::optional<Buffer> excluded;
  if (task.reference != nullptr) {
    reference.emplace(*task.reference, options.device, stream.get(), watch);
    columns.rows = reference->unit();
    if (task.excluded != nullptr) {
      excluded.emplace(task.rows.rows * 4, options.device);
      upload(task.excluded, excluded->bytes(), excluded->data(), stream.get(), watch);
      columns.own = static_cast<const std::int32_t*>(excluded->data());
    }
  }
  search_lists(rows.unit(), columns, task.excluded, task.lists, options, stream.get(), counts, watch);
}

void knn_of_units(const DeviceUnits& units, const HostLists& lists, SearchOptions options, KnnCounts& counts,
                  Watch& watch) {
  if (units.rows().rows == 0 || lists.k == 0) return;
  const UseDevice use(units.device());
  const UseMemory use_memory(units.memory());
  options.device = units.device();
  search_lists(units.rows(), {units.rows(), nullptr, true}, nullptr, lists, options, units.stream(), counts, watch);
}

}  // namespace pyredund::cuda
