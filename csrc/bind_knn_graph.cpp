#include <pybind11/stl.h>

#include <optional>

#include "core.hpp"
#include "cpu/instruction_set.hpp"
#include "cpu/knn_graph.hpp"
#include "interruptible.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

template <typename T>
Array<T> part_of(const py::tuple& parts, std::size_t index) {
  if (!py::isinstance<Array<T>>(parts[index])) throw py::type_error("part " + std::to_string(index) + " of the sketch");
  return parts[index].cast<Array<T>>();  // no copy, and the tuple keeps it alive
}

// `sketch` is None or the tuple (rows, columns, always, scale, margin, slack, bounds or None) of sketch.hpp.
cpu::Sketch view_sketch(const py::object& sketch) {
  if (sketch.is_none()) return {};
  const auto parts = sketch.cast<py::tuple>();
  cpu::Sketch view;
  view.rows = part_of<std::uint8_t>(parts, 0).data();
  view.dim = part_of<std::uint8_t>(parts, 0).shape(1);
  view.columns = part_of<std::int8_t>(parts, 1).data();
  view.always = part_of<std::uint8_t>(parts, 2).data();
  view.scale = parts[3].cast<double>();
  view.margin = parts[4].cast<double>();
  view.slack = parts[5].cast<double>();
  if (!parts[6].is_none()) view.bounds = view_rows(part_of<float>(parts, 6), part_of<float>(parts, 6).shape(1));
  return view;
}

void knn_graph(const Array<float>& rows, std::int64_t dim, const py::object& sketch,
               const std::optional<Array<float>>& floors, Array<std::int32_t>& indices, Array<float>& similarities,
               int n_threads, const std::string& isa, std::int64_t block, const py::object& progress) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
  const MatrixView view = view_rows(rows, dim);
  const cpu::Sketch coarse = view_sketch(sketch);
  const float* const floor = floors ? floors->data() : nullptr;
  std::int32_t* const ids = indices.mutable_data();
  float* const scores = similarities.mutable_data();
  const std::int64_t k = indices.shape(1);
  run_interruptibly(progress, [&](Watch& watch) { cpu::knn_graph(plan, view, coarse, floor, k, ids, scores, watch); });
}

void knn_query(const Array<float>& queries, const Array<float>& reference, std::int64_t dim,
               const std::optional<Array<std::int32_t>>& excluded, Array<std::int32_t>& indices,
               Array<float>& similarities, int n_threads, const std::string& isa, std::int64_t block,
               const py::object& progress) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
  const MatrixView view = view_rows(queries, dim), reference_view = view_rows(reference, dim);
  const std::int32_t* const except = excluded ? excluded->data() : nullptr;
  std::int32_t* const ids = indices.mutable_data();
  float* const scores = similarities.mutable_data();
  const std::int64_t k = indices.shape(1);
  run_interruptibly(progress,
                    [&](Watch& watch) { cpu::knn_query(plan, view, reference_view, k, ids, scores, watch, except); });
}

}  // namespace

void bind_knn_graph(py::module_& module) {
  using py::arg;
  module.def(
      "scans_bytes", [](const std::string& isa) { return cpu::kernels_for(isa).bytes.scan_panel != nullptr; },
      arg("isa"));
  module.def("knn_graph", &knn_graph, arg("rows").noconvert(), arg("dim"), arg("sketch"), arg("floors"),
             arg("indices").noconvert(), arg("similarities").noconvert(), arg("n_threads"), arg("isa"), arg("block"),
             arg("progress"));
  module.def("knn_query", &knn_query, arg("queries").noconvert(), arg("reference").noconvert(), arg("dim"),
             arg("excluded"), arg("indices").noconvert(), arg("similarities").noconvert(), arg("n_threads"), arg("isa"),
             arg("block"), arg("progress"));
}

}  // namespace pyredund
