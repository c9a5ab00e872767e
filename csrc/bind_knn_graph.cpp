#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "core.hpp"
#include "cpu/instruction_set.hpp"
#include "cpu/knn_graph.hpp"
#include "cpu/locality_order.hpp"
#include "cpu/sketch.hpp"
#include "interruptible.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

template <typename T>
Array<T> part_of(const py::tuple& parts, std::size_t index) {
  if (!py::isinstance<Array<T>>(parts[index])) throw py::type_error("part " + std::to_string(index) + " of the sketch");
  return parts[index].cast<Array<T>>();  // no copy, and the tuple keeps it alive
}

// `sketch` is None or the named tuple of _sketch.py: arrays and numbers of sketch.hpp, None where a part is absent.
cpu::Sketch view_sketch(const py::object& sketch) {
  if (sketch.is_none()) return {};
  const auto parts = sketch.cast<py::tuple>();
  cpu::Sketch view;
  if (!parts[0].is_none()) view.order = part_of<std::int32_t>(parts, 0).data();
  view.bytes = part_of<std::uint8_t>(parts, 1).mutable_data();
  view.n_rows = part_of<std::uint8_t>(parts, 1).shape(0);
  view.dim = part_of<std::uint8_t>(parts, 1).shape(1);
  view.errors = part_of<float>(parts, 2).mutable_data();
  view.norms = part_of<float>(parts, 3).mutable_data();
  view.centres = part_of<float>(parts, 4).mutable_data();
  view.z_stride = part_of<float>(parts, 4).shape(1);
  view.scales = part_of<float>(parts, 5).mutable_data();
  view.most_errors = part_of<float>(parts, 6).mutable_data();
  view.block = parts[7].cast<std::int64_t>();
  view.z_dim = parts[8].cast<std::int64_t>();
  view.margin = parts[9].cast<double>();
  if (!parts[10].is_none()) {
    view.bounds = part_of<float>(parts, 10).mutable_data();
    view.bounds_stride = part_of<float>(parts, 10).shape(1);
    view.lengths = parts[11].cast<std::vector<std::int64_t>>();
    view.bounds_slack = parts[12].cast<double>();
  }
  if (!parts[13].is_none()) {
    view.cells = part_of<float>(parts, 13).data();
    view.cells_dim = part_of<float>(parts, 13).shape(1);
    view.cells_slack = parts[14].cast<double>();
  }
  return view;
}

Array<std::int32_t> locality_order(const Array<float>& rows, std::int64_t leaf, int n_threads) {
  const MatrixView view = view_rows(rows, rows.shape(1));
  std::vector<std::int32_t> order;
  run_interruptibly(py::none(), [&](Watch& watch) { order = cpu::locality_order(view, leaf, n_threads, watch); });
  return as_array(order);
}

// Row p becomes what was row order[p], or the other way round.
void arrange_rows(Array<float>& rows, const Array<std::int32_t>& order, bool back) {
  float* const data = rows.mutable_data();
  const std::int64_t n = rows.shape(0), stride = rows.shape(1);
  const std::int32_t* const places = order.data();
  const py::gil_scoped_release release;  // not interruptible: rows must not be left half way
  cpu::arrange_rows(data, n, stride, places, back);
}

// out = rows * directions^T
void products(const Array<float>& rows, const Array<float>& directions, Array<float>& out, int n_threads,
              const std::string& isa) {
  const MatrixView view = view_rows(rows, rows.shape(1)), onto = view_rows(directions, directions.shape(1));
  float* const result = out.mutable_data();
  const cpu::Kernels& kernels = cpu::kernels_for(isa);
  run_interruptibly(py::none(), [&](Watch& watch) { cpu::products(kernels, view, onto, result, n_threads, watch); });
}

void short_rows(const Array<float>& rows, const Array<float>& directions, double norm_slack, Array<float>& out,
                int n_threads, const std::string& isa) {
  const MatrixView view = view_rows(rows, rows.shape(1)), onto = view_rows(directions, directions.shape(1));
  float* const result = out.mutable_data();
  const std::int64_t stride = out.shape(1);
  const cpu::Kernels& kernels = cpu::kernels_for(isa);
  run_interruptibly(py::none(), [&](Watch& watch) {
    cpu::short_rows(kernels, view, onto, norm_slack, stride, result, n_threads, watch);
  });
}

void fill_sketch(const Array<float>& rows, const py::object& sketch, const Array<float>& directions, double norm_slack,
                 const Array<float>& rotation, double error_slack, int n_threads, const std::string& isa) {
  const MatrixView view = view_rows(rows, rows.shape(1));
  const cpu::Sketch filled = view_sketch(sketch);
  const cpu::SketchRecipe recipe{view_rows(directions, directions.shape(1)), norm_slack,
                                 view_rows(rotation, rotation.shape(1)), error_slack};
  const cpu::Kernels& kernels = cpu::kernels_for(isa);
  run_interruptibly(py::none(),
                    [&](Watch& watch) { cpu::fill_sketch(kernels, view, recipe, filled, n_threads, watch); });
}

py::dict knn_graph(const Array<float>& rows, std::int64_t dim, const py::object& sketch,
                   const std::optional<Array<float>>& floors, Array<std::int32_t>& indices, Array<float>& similarities,
                   int n_threads, const std::string& isa, std::int64_t block, const py::object& progress) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
  const MatrixView view = view_rows(rows, dim);
  const cpu::Sketch coarse = view_sketch(sketch);
  const float* const floor = floors ? floors->data() : nullptr;
  std::int32_t* const ids = indices.mutable_data();
  float* const scores = similarities.mutable_data();
  const std::int64_t k = indices.shape(1);
  cpu::SearchCounts counts;
  run_interruptibly(progress,
                    [&](Watch& watch) { cpu::knn_graph(plan, view, coarse, floor, k, ids, scores, counts, watch); });
  py::dict found;
  found["pairs"] = counts.pairs;
  found["near"] = counts.near;
  found["survived_scan"] = counts.survived_scan;
  found["survived_bounds"] = counts.survived_bounds;
  found["scored"] = counts.scored;
  found["tiles"] = counts.tiles;
  found["tiles_apart"] = counts.tiles_apart;
  found["panels"] = counts.panels;
  found["empty_panels"] = counts.empty_panels;
  return found;
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
  module.def("panel_width", [](const std::string& isa) { return cpu::kernels_for(isa).panel_width; }, arg("isa"));
  module.def("locality_order", &locality_order, arg("rows").noconvert(), arg("leaf"), arg("n_threads"));
  module.def("arrange_rows", &arrange_rows, arg("rows").noconvert(), arg("order").noconvert(), arg("back"));
  module.def("products", &products, arg("rows").noconvert(), arg("directions").noconvert(), arg("out").noconvert(),
             arg("n_threads"), arg("isa"));
  module.def("short_rows", &short_rows, arg("rows").noconvert(), arg("directions").noconvert(), arg("norm_slack"),
             arg("out").noconvert(), arg("n_threads"), arg("isa"));
  module.def("fill_sketch", &fill_sketch, arg("rows").noconvert(), arg("sketch"), arg("directions").noconvert(),
             arg("norm_slack"), arg("rotation").noconvert(), arg("error_slack"), arg("n_threads"), arg("isa"));
  module.def("knn_graph", &knn_graph, arg("rows").noconvert(), arg("dim"), arg("sketch"), arg("floors"),
             arg("indices").noconvert(), arg("similarities").noconvert(), arg("n_threads"), arg("isa"), arg("block"),
             arg("progress"));
  module.def("knn_query", &knn_query, arg("queries").noconvert(), arg("reference").noconvert(), arg("dim"),
             arg("excluded"), arg("indices").noconvert(), arg("similarities").noconvert(), arg("n_threads"), arg("isa"),
             arg("block"), arg("progress"));
}

}  // namespace pyredund
