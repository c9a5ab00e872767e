#include <pybind11/stl.h>

#include <optional>
#include <vector>

#include "core.hpp"
#include "cpu/cell_caps.hpp"
#include "cpu/instruction_set.hpp"
#include "cpu/knn_graph.hpp"
#include "cpu/locality_order.hpp"
#include "cpu/orthonormal_rows.hpp"
#include "cpu/sketch.hpp"
#include "interruptible.hpp"
#include "scratch_space.hpp"
#include "sketch_view.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

constexpr std::int64_t kBriefProducts = std::int64_t{1} << 25;  // of coordinates, 1 ms or less

Array<std::int32_t> locality_order(const Array<float>& rows, std::int64_t leaf, int n_threads, const std::string& isa) {
  const MatrixView view = view_rows(rows, rows.shape(1));
  std::vector<std::int32_t> order;
  const cpu::Kernels& kernels = cpu::kernels_for(isa);
  run_interruptibly(py::none(),
                    [&](Watch& watch) { order = cpu::locality_order(kernels, view, leaf, n_threads, watch); });
  return as_array(order);
}

// Row p becomes what was row order[p], or the other way round.
void arrange_rows(Array<float>& rows, const Array<std::int32_t>& order, bool back, int n_threads) {
  float* const data = rows.mutable_data();
  const std::int64_t n = rows.shape(0), stride = rows.shape(1);
  const std::int32_t* const places = order.data();
  if (ScratchFile* const file = ScratchFile::at(data)) {
    if (back) return file->restore();
    const std::int64_t row_bytes = stride * static_cast<std::int64_t>(sizeof(float));
    return run_interruptibly(py::none(), [&](Watch& watch) { file->arrange(places, n, row_bytes, watch); });
  }
  const py::gil_scoped_release release;  // not interruptible: rows must not be left half way
  cpu::arrange_rows(data, n, stride, places, back, n_threads);
}

// out = rows * directions^T
void products(const Array<float>& rows, const Array<float>& directions, Array<float>& out, int n_threads,
              const std::string& isa) {
  const MatrixView view = view_rows(rows, rows.shape(1)), onto = view_rows(directions, directions.shape(1));
  float* const result = out.mutable_data();
  const cpu::Kernels& kernels = cpu::kernels_for(isa);
  const auto compute = [&](Watch& watch) { cpu::products(kernels, view, onto, result, n_threads, watch); };
  if (view.rows * onto.rows * onto.stride < kBriefProducts) return run_briefly(compute);
  run_interruptibly(py::none(), compute);
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

// (centres, cosines) of the cells.
py::tuple cell_caps(const Array<float>& short_rows, int n_threads, const std::string& isa) {
  const MatrixView view = view_rows(short_rows, short_rows.shape(1));
  const cpu::Kernels& kernels = cpu::kernels_for(isa);
  const std::int64_t n_cells = (view.rows + kernels.panel_width - 1) / kernels.panel_width;
  Array<float> centres({n_cells, view.stride}), cosines(n_cells);
  float *const centre = centres.mutable_data(), *const cosine = cosines.mutable_data();
  run_interruptibly(py::none(), [&](Watch& watch) { cpu::cell_caps(kernels, view, centre, cosine, n_threads, watch); });
  return py::make_tuple(centres, cosines);
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

std::int64_t orthonormal_rows(Array<double>& rows, Array<bool>& depends) {
  double* const data = rows.mutable_data();
  bool* const marks = depends.mutable_data();
  const std::int64_t count = rows.shape(0), dim = rows.shape(1);
  const py::gil_scoped_release release;
  return cpu::orthonormal_rows(data, count, dim, marks);
}

py::dict knn_graph(const Array<float>& rows, std::int64_t dim, const py::object& sketch,
                   const std::optional<Array<float>>& floors, Array<std::int32_t>& indices, Array<float>& similarities,
                   int n_threads, const std::string& isa, std::int64_t block, const py::object& progress,
                   std::int64_t spare_bytes) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block, spare_bytes};
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
               const py::object& progress, std::int64_t spare_bytes) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block, spare_bytes};
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
  module.def(
      "has_narrow_sums", [](const std::string& isa) { return cpu::kernels_for(isa).bytes.narrow_sums; }, arg("isa"));
  module.def("panel_width", [](const std::string& isa) { return cpu::kernels_for(isa).panel_width; }, arg("isa"));
  module.def("locality_order", &locality_order, arg("rows").noconvert(), arg("leaf"), arg("n_threads"), arg("isa"));
  module.def("arrange_rows", &arrange_rows, arg("rows").noconvert(), arg("order").noconvert(), arg("back"),
             arg("n_threads"));
  module.def("products", &products, arg("rows").noconvert(), arg("directions").noconvert(), arg("out").noconvert(),
             arg("n_threads"), arg("isa"));
  module.def("cell_caps", &cell_caps, arg("short_rows").noconvert(), arg("n_threads"), arg("isa"));
  module.def("short_rows", &short_rows, arg("rows").noconvert(), arg("directions").noconvert(), arg("norm_slack"),
             arg("out").noconvert(), arg("n_threads"), arg("isa"));
  module.def("orthonormal_rows", &orthonormal_rows, arg("rows").noconvert(), arg("depends").noconvert());
  module.def("fill_sketch", &fill_sketch, arg("rows").noconvert(), arg("sketch"), arg("directions").noconvert(),
             arg("norm_slack"), arg("rotation").noconvert(), arg("error_slack"), arg("n_threads"), arg("isa"));
  module.def("knn_graph", &knn_graph, arg("rows").noconvert(), arg("dim"), arg("sketch"), arg("floors"),
             arg("indices").noconvert(), arg("similarities").noconvert(), arg("n_threads"), arg("isa"), arg("block"),
             arg("progress"), arg("spare_bytes") = cpu::kSpareBytes);
  module.def("knn_query", &knn_query, arg("queries").noconvert(), arg("reference").noconvert(), arg("dim"),
             arg("excluded"), arg("indices").noconvert(), arg("similarities").noconvert(), arg("n_threads"), arg("isa"),
             arg("block"), arg("progress"), arg("spare_bytes") = cpu::kSpareBytes);
}

}  // namespace pyredund
