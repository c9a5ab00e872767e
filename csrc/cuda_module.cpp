// The table of contents of the optional module `_cuda`. It imports without a driver; arrays are checked in Python.
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <utility>

#include "core.hpp"
#include "cuda/device.hpp"
#include "cuda/device_units.hpp"
#include "cuda/insertion.hpp"
#include "cuda/knn_graph.hpp"
#include "cuda/memory.hpp"
#include "cuda/radius_graph.hpp"
#include "cuda/removal.hpp"
#include "interruptible.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

py::dict device_facts(int device) {
  const cuda::DeviceFacts facts = cuda::facts_of(device);
  py::dict dict;
  dict["name"] = cuda::name_of(device);
  dict["capability"] = py::make_tuple(facts.major, facts.minor);
  dict["processors"] = facts.processors;
  dict["shared_bytes"] = facts.shared_bytes;
  dict["free_bytes"] = facts.free_bytes;
  dict["total_bytes"] = facts.total_bytes;
  return dict;
}

cuda::HostLists lists_in(Array<std::int32_t>& indices, Array<float>& similarities) {
  return {indices.shape(1), indices.mutable_data(), similarities.mutable_data()};
}

// `device` is where the rows lie, or the first that they are sent to; `devices`, how many they are sent to.
cuda::SearchOptions options_of(int device, int devices, bool plain, std::int64_t most_bytes) {
  cuda::SearchOptions options;
  options.device = device;
  options.devices = devices;
  options.plain = plain;
  options.most_bytes = most_bytes;
  return options;
}

py::dict as_dict(const cuda::KnnCounts& counts) {
  py::dict found;
  found["blocks"] = counts.blocks;
  found["searched_again"] = counts.searched_again;
  return found;
}

py::dict knn(const Array<float>& rows, const std::optional<Array<float>>& reference,
             const std::optional<Array<std::int32_t>>& excluded, Array<std::int32_t>& indices,
             Array<float>& similarities, int devices, bool plain, std::int64_t most_bytes, const py::object& progress) {
  const MatrixView others = reference ? view_rows(*reference, reference->shape(1)) : MatrixView{};
  cuda::KnnTask task;
  task.rows = view_rows(rows, rows.shape(1));
  task.reference = reference ? &others : nullptr;
  task.excluded = excluded ? excluded->data() : nullptr;
  task.lists = lists_in(indices, similarities);
  const cuda::SearchOptions options = options_of(0, devices, plain, most_bytes);
  cuda::KnnCounts counts;
  run_interruptibly(progress, [&](Watch& watch) { cuda::knn(task, options, counts, watch); });
  return as_dict(counts);
}

py::object similar_pairs(const Array<float>& rows, const std::optional<Array<float>>& reference, double threshold,
                         std::int64_t most, int devices, bool plain, std::int64_t most_bytes,
                         const py::object& progress) {
  const MatrixView view = view_rows(rows, rows.shape(1));
  const MatrixView others = reference ? view_rows(*reference, reference->shape(1)) : MatrixView{};
  const cuda::SearchOptions options = options_of(0, devices, plain, most_bytes);
  SimilarPairs pairs;
  run_interruptibly(progress, [&](Watch& watch) {
    pairs = cuda::similar_pairs(view, reference ? &others : nullptr, threshold, most, options, watch);
  });
  return as_tuple(std::move(pairs));
}

// The log, or rows whose lists are too short for it, and the number of rounds.
py::tuple removal(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                  const Array<float>& similarities, const Array<std::int32_t>& longer_rows,
                  const Array<std::int64_t>& longer_indptr, const Array<std::int32_t>& longer_indices,
                  const Array<float>& longer_similarities, const Array<std::int32_t>& removable,
                  const Array<std::int32_t>& priority, const Array<std::int64_t>& weights, std::int64_t n_remove,
                  int device, const py::object& progress) {
  const NeighborGraph graph = view_graph(indptr, indices, similarities);
  const cuda::LongerLists longer{longer_rows.size(), longer_rows.data(), longer_indptr.data(), longer_indices.data(),
                                 longer_similarities.data()};
  const std::int32_t* const can_go = removable.data();
  const std::int32_t* const rank = priority.data();
  const std::int64_t* const weight = weights.data();
  cuda::RemovalByRounds log;
  run_interruptibly(progress, [&](Watch& watch) {
    log = cuda::removal(graph, longer, can_go, rank, weight, n_remove, device, watch);
  });
  const std::int64_t rounds = log.rounds;
  if (!log.worn.empty()) return py::make_tuple(moved(std::move(log.worn)), rounds);
  return py::make_tuple(as_dict(std::move(log)), rounds);
}

// (picked, gains, rounds).
py::tuple insertion(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                    const Array<float>& similarities, const Array<std::int64_t>& one_way_indptr,
                    const Array<std::int32_t>& one_way_rows, const Array<float>& one_way_similarities,
                    const Array<std::int64_t>& weights, std::int64_t n_pick, int device, const py::object& progress) {
  const NeighborGraph graph = view_graph(indptr, indices, similarities);
  const cuda::OneWayEdges one_way{one_way_indptr.data(), one_way_rows.data(), one_way_similarities.data()};
  const std::int64_t* const weight = weights.data();
  cuda::InsertionByRounds log;
  run_interruptibly(progress,
                    [&](Watch& watch) { log = cuda::insertion(graph, one_way, weight, n_pick, device, watch); });
  return py::make_tuple(moved(std::move(log.picked)), moved(std::move(log.gains)), log.rounds);
}

// An allocator in Python: take(bytes) returns an address or raises MemoryError, give(address) takes it back, and room()
// says how many bytes there are. It is asked by threads that do not hold the GIL.
class PythonMemory : public cuda::Memory {
 public:
  explicit PythonMemory(py::object owner) : owner_(std::move(owner)) {}
  ~PythonMemory() override {
    const py::gil_scoped_acquire acquire;
    owner_.release().dec_ref();
  }
  void* take(std::int64_t bytes) override {
    return reinterpret_cast<void*>(ask<std::uintptr_t>([&] { return owner_.attr("take")(bytes); }));
  }
  void give(void* data) noexcept override {
    const py::gil_scoped_acquire acquire;
    try {
      owner_.attr("give")(reinterpret_cast<std::uintptr_t>(data));
    } catch (py::error_already_set& error) {
      error.discard_as_unraisable("pyredund's release of GPU memory");
    } catch (...) {  // nothing may leave a destructor
    }
  }
  std::int64_t room() override {
    return ask<std::int64_t>([&] { return owner_.attr("room")(); });
  }

 private:
  // What Python answers; its exceptions are translated before the GIL is given up.
  template <typename T, typename Question>
  static T ask(const Question& question) {
    const py::gil_scoped_acquire acquire;
    try {
      return question().template cast<T>();
    } catch (py::error_already_set& error) {
      if (error.matches(PyExc_MemoryError)) throw cuda::OutOfMemory(py::str(error.value()).cast<std::string>());
      throw cuda::CudaError(error.what());
    }
  }

  py::object owner_;
};

// Embeddings at an address on a device; strides count elements, `stream` is a cudaStream_t, and `memory` None or an
// allocator.
std::unique_ptr<cuda::DeviceUnits> unit_rows(std::uintptr_t address, int element, std::int64_t rows, std::int64_t dim,
                                             std::int64_t row_stride, std::int64_t column_stride, int device,
                                             std::uintptr_t stream, const py::object& memory) {
  const cuda::DeviceInput input{reinterpret_cast<const void*>(address),
                                static_cast<cuda::Element>(element),
                                rows,
                                dim,
                                row_stride,
                                column_stride};
  const std::shared_ptr<cuda::Memory> allocator = memory.is_none() ? nullptr : std::make_shared<PythonMemory>(memory);
  std::unique_ptr<cuda::DeviceUnits> units;
  run_interruptibly(py::none(), [&](Watch&) {
    units = std::make_unique<cuda::DeviceUnits>(input, device, reinterpret_cast<cudaStream_t>(stream), allocator);
  });
  return units;
}

py::dict knn_of_units(const cuda::DeviceUnits& units, Array<std::int32_t>& indices, Array<float>& similarities,
                      bool plain, std::int64_t most_bytes, const py::object& progress) {
  const cuda::HostLists lists = lists_in(indices, similarities);
  const cuda::SearchOptions options = options_of(units.device(), 1, plain, most_bytes);
  cuda::KnnCounts counts;
  run_interruptibly(progress, [&](Watch& watch) { cuda::knn_of_units(units, lists, options, counts, watch); });
  return as_dict(counts);
}

py::object similar_pairs_of_units(const cuda::DeviceUnits& units, double threshold, std::int64_t most, bool plain,
                                  std::int64_t most_bytes, const py::object& progress) {
  const cuda::SearchOptions options = options_of(units.device(), 1, plain, most_bytes);
  SimilarPairs pairs;
  run_interruptibly(
      progress, [&](Watch& watch) { pairs = cuda::similar_pairs_of_units(units, threshold, most, options, watch); });
  return as_tuple(std::move(pairs));
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
  module.def("device_names", &cuda::device_names, arg("most"));
  module.def("device_facts", &device_facts, arg("device"));
  module.def("device_of", &cuda::device_of, arg("address"));
  py::class_<cuda::DeviceUnits>(module, "UnitRows", py::module_local())  // tests load another _cuda beside this
      .def_property_readonly("n_bad", &cuda::DeviceUnits::n_bad)
      .def_property_readonly("n_distinct", [](const cuda::DeviceUnits& units) { return units.rows().rows; })
      .def_property_readonly("class_of", [](const cuda::DeviceUnits& units) { return as_array(units.class_of()); })
      .def("knn", &knn_of_units, arg("indices").noconvert(), arg("similarities").noconvert(), arg("plain"),
           arg("most_bytes"), arg("progress"))
      .def("similar_pairs", &similar_pairs_of_units, arg("threshold"), arg("most"), arg("plain"), arg("most_bytes"),
           arg("progress"));
  module.def("removal", &removal, arg("indptr").noconvert(), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("longer_rows").noconvert(), arg("longer_indptr").noconvert(),
             arg("longer_indices").noconvert(), arg("longer_similarities").noconvert(), arg("removable").noconvert(),
             arg("priority").noconvert(), arg("weights").noconvert(), arg("n_remove"), arg("device"), arg("progress"));
  module.def("insertion", &insertion, arg("indptr").noconvert(), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("one_way_indptr").noconvert(), arg("one_way_rows").noconvert(),
             arg("one_way_similarities").noconvert(), arg("weights").noconvert(), arg("n_pick"), arg("device"),
             arg("progress"));
  module.def("similar_pairs", &similar_pairs, arg("rows").noconvert(), arg("reference"), arg("threshold"), arg("most"),
             arg("devices"), arg("plain"), arg("most_bytes"), arg("progress"));
  module.def("unit_rows", &unit_rows, arg("address"), arg("element"), arg("rows"), arg("dim"), arg("row_stride"),
             arg("column_stride"), arg("device"), arg("stream"), arg("memory"));
  module.def("knn", &knn, arg("rows").noconvert(), arg("reference"), arg("excluded"), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("devices"), arg("plain"), arg("most_bytes"), arg("progress"));
}
