#include "core.hpp"
#include "cpu/instruction_set.hpp"
#include "cpu/knn_graph.hpp"
#include "interruptible.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

void knn_graph(const Array<float>& rows, std::int64_t dim, Array<std::int32_t>& indices, Array<float>& similarities,
               int n_threads, const std::string& isa, std::int64_t block, const py::object& progress) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
  const MatrixView view = view_rows(rows, dim);
  std::int32_t* const ids = indices.mutable_data();
  float* const scores = similarities.mutable_data();
  const std::int64_t k = indices.shape(1);
  run_interruptibly(progress, [&](Watch& watch) { cpu::knn_graph(plan, view, k, ids, scores, watch); });
}

void knn_query(const Array<float>& queries, const Array<float>& reference, std::int64_t dim,
               Array<std::int32_t>& indices, Array<float>& similarities, int n_threads, const std::string& isa,
               std::int64_t block, const py::object& progress) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
  const MatrixView view = view_rows(queries, dim), reference_view = view_rows(reference, dim);
  std::int32_t* const ids = indices.mutable_data();
  float* const scores = similarities.mutable_data();
  const std::int64_t k = indices.shape(1);
  run_interruptibly(progress, [&](Watch& watch) { cpu::knn_query(plan, view, reference_view, k, ids, scores, watch); });
}

}  // namespace

void bind_knn_graph(py::module_& module) {
  using py::arg;
  module.def("knn_graph", &knn_graph, arg("rows").noconvert(), arg("dim"), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("n_threads"), arg("isa"), arg("block"), arg("progress"));
  module.def("knn_query", &knn_query, arg("queries").noconvert(), arg("reference").noconvert(), arg("dim"),
             arg("indices").noconvert(), arg("similarities").noconvert(), arg("n_threads"), arg("isa"), arg("block"),
             arg("progress"));
}

}  // namespace pyredund
