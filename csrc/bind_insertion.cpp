#include <vector>

#include "core.hpp"
#include "cpu/insertion.hpp"
#include "interruptible.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

py::tuple insertion(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                    const Array<float>& similarities, const Array<std::int64_t>& weights,
                    const Array<std::int32_t>& forced, std::int64_t n_pick, const py::object& progress) {
  const NeighborGraph graph = view_graph(indptr, indices, similarities);
  const std::int64_t* const weight = weights.data();
  const std::vector<std::int32_t> first(forced.data(), forced.data() + forced.size());
  cpu::InsertionLog log;
  run_interruptibly(progress, [&](Watch& watch) { log = cpu::insertion(graph, weight, first, n_pick, watch); });
  return py::make_tuple(as_array(log.picked), as_array(log.gains));
}

}  // namespace

void bind_insertion(py::module_& module) {
  using py::arg;
  module.def("insertion", &insertion, arg("indptr").noconvert(), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("weights").noconvert(), arg("forced").noconvert(), arg("n_pick"),
             arg("progress"));
}

}  // namespace pyredund
