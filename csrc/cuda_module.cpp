// The table of contents of the optional module `_cuda`. It imports without a driver; arrays are checked in Python.
#include <pybind11/stl.h>

#include <optional>

#include "core.hpp"
#include "cuda/device.hpp"
#include "cuda/knn_graph.hpp"
#include "interruptible.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

py::dict device_facts(int device) {
  const cuda::DeviceFacts facts = cuda::facts_of(device);
  py::dict dict;
  dict["name"] = facts.name;
  dict["capability"] = py::make_tuple(facts.major, facts.minor);
  dict["processors"] = facts.processors;
  dict["shared_bytes"] = facts.shared_bytes;
  dict["free_bytes"] = facts.free_bytes;
  dict["total_bytes"] = facts.total_bytes;
  return dict;
}

py::dict knn(const Array<float>& rows, const std::optional<Array<float>>& reference,
         const std::optional<Array<std::int32_t>>& excluded, Array<std::int32_t>& indices, Array<float>& similarities,
         int device, bool plain, std::int64_t most_bytes, const py::object& progress) {
  cuda::SearchOptions options;
  options.device = device;
  options.plain = plain;
  options.most_bytes = most_bytes;
  MatrixView others{};
  cuda::KnnTask task;
  task.rows = view_rows(rows, rows.shape(1));
  if (reference) {
    others = view_rows(*reference, reference->shape(1));
    task.reference = &others;
  }
  task.excluded = excluded ? excluded->data() : nullptr;
  task.k = indices.shape(1);
  task.ids = indices.mutable_data();
  task.similarities = similarities.mutable_data();
  cuda::KnnCounts counts;
  run_interruptibly(progress, [&](Watch& watch) { cuda::knn(task, options, counts, watch); });
  py::dict found;
  found["blocks"] = counts.blocks;
  found["searched_again"] = counts.searched_again;
  return found;
}

}  // namespace
}  // namespace pyredund

PYBIND11_MODULE(_cuda, module, pybind11::mod_gil_not_used()) {
  using namespace pyredund;
  using py::arg;
  module.doc() = "The CUDA core of pyredund: the same operations, and the same bytes, on a GPU.";
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const cuda::OutOfMemory& exception) {
      PyErr_SetString(PyExc_MemoryError, exception.what());
    }
  });
  module.def("why_no_device", &cuda::why_no_device);
  module.def("device_facts", &device_facts, arg("device"));
  module.def("knn", &knn, arg("rows").noconvert(), arg("reference"), arg("excluded"), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("device"), arg("plain"), arg("most_bytes"), arg("progress"));
}
