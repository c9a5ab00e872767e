#include <optional>
#include <utility>

#include "core.hpp"
#include "cpu/instruction_set.hpp"
#include "cpu/radius_graph.hpp"
#include "interruptible.hpp"
#include "sketch_view.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

py::object similar_pairs(const Array<float>& rows, std::int64_t dim, const py::object& sketch,
                         const std::optional<Array<float>>& reference, double threshold, std::int64_t most,
                         int n_threads, const std::string& isa, std::int64_t block, const py::object& progress) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
  const MatrixView view = view_rows(rows, dim);
  const cpu::Sketch coarse = view_sketch(sketch);
  SimilarPairs pairs;
  if (reference) {
    const MatrixView others = view_rows(*reference, dim);
    run_interruptibly(progress,
                      [&](Watch& watch) { pairs = cpu::similar_pairs(plan, view, others, threshold, most, watch); });
  } else {
    run_interruptibly(progress,
                      [&](Watch& watch) { pairs = cpu::similar_pairs(plan, view, coarse, threshold, most, watch); });
  }
  return as_tuple(std::move(pairs));
}

void lists_of_pairs(const Array<std::int32_t>& rows, const Array<std::int32_t>& columns,
                    const Array<float>& similarities, bool symmetric, Array<std::int64_t>& indptr,
                    Array<std::int32_t>& indices, Array<float>& out) {
  std::int64_t* const starts = indptr.mutable_data();
  std::int32_t* const ids = indices.mutable_data();
  float* const scores = out.mutable_data();
  const std::int64_t n_rows = indptr.shape(0) - 1, n_pairs = rows.shape(0);
  const std::int32_t* const from = rows.data();
  const std::int32_t* const to = columns.data();
  const float* const score = similarities.data();
  run_interruptibly(py::none(), [&](Watch& watch) {
    cpu::lists_of_pairs(from, to, score, n_pairs, symmetric, n_rows, starts, ids, scores, watch);
  });
}

}  // namespace

void bind_radius_graph(py::module_& module) {
  using py::arg;
  module.def("similar_pairs", &similar_pairs, arg("rows").noconvert(), arg("dim"), arg("sketch"), arg("reference"),
             arg("threshold"), arg("most"), arg("n_threads"), arg("isa"), arg("block"), arg("progress"));
  module.def("lists_of_pairs", &lists_of_pairs, arg("rows").noconvert(), arg("columns").noconvert(),
             arg("similarities").noconvert(), arg("symmetric"), arg("indptr").noconvert(), arg("indices").noconvert(),
             arg("out").noconvert());
}

}  // namespace pyredund
