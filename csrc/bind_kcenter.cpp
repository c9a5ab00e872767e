#include <vector>

#include "core.hpp"
#include "cpu/instruction_set.hpp"
#include "cpu/kcenter.hpp"
#include "interruptible.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

// Picks, their similarities when picked, and (indptr, places, similarities) of the closest picks of all rows.
py::tuple kcenter(const Array<float>& rows, std::int64_t dim, const Array<std::int64_t>& weights,
                  const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                  const Array<float>& similarities, const Array<std::int32_t>& forced, std::int64_t n_pick,
                  int n_threads, const std::string& isa, std::int64_t block, const py::object& progress) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
  const MatrixView view = view_rows(rows, dim);
  const NeighborGraph graph = view_graph(indptr, indices, similarities);
  const std::int64_t* const weight = weights.data();
  const std::vector<std::int32_t> first(forced.data(), forced.data() + forced.size());
  cpu::KCenterLog log;
  run_interruptibly(progress,
                    [&](Watch& watch) { log = cpu::kcenter(plan, view, weight, graph, first, n_pick, watch); });
  const cpu::PrefixLog& closest = log.closest;
  return py::make_tuple(
      as_array(log.picked), as_array(log.similarities),
      py::make_tuple(as_array(closest.indptr), as_array(closest.places), as_array(closest.similarities)));
}

}  // namespace

void bind_kcenter(py::module_& module) {
  using py::arg;
  module.def("kcenter", &kcenter, arg("rows").noconvert(), arg("dim"), arg("weights").noconvert(),
             arg("indptr").noconvert(), arg("indices").noconvert(), arg("similarities").noconvert(),
             arg("forced").noconvert(), arg("n_pick"), arg("n_threads"), arg("isa"), arg("block"), arg("progress"));
}

}  // namespace pyredund
