#include <pybind11/stl.h>

#include <optional>
#include <utility>
#include <vector>

#include "core.hpp"
#include "cpu/closest_prefix.hpp"
#include "cpu/insertion.hpp"
#include "cpu/instruction_set.hpp"
#include "cpu/one_way.hpp"
#include "interruptible.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

py::tuple insertion(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                    const Array<float>& similarities, const std::optional<Array<std::int32_t>>& weights,
                    const Array<std::int32_t>& forced, std::int64_t n_pick, int n_threads, const py::object& progress) {
  const NeighborGraph graph = view_graph(indptr, indices, similarities);
  const std::int32_t* const weight = data_or_null(weights);
  const std::vector<std::int32_t> first(forced.data(), forced.data() + forced.size());
  InsertionLog log;
  run_interruptibly(progress, [&](Watch& watch) {
    log = cpu::insertion(graph, weight, first, n_pick, n_threads, watch);
    if (graph.n_rows >= kManyRows) give_back_memory();
  });
  return py::make_tuple(moved(std::move(log.picked)), moved(std::move(log.gains)));
}

// (indptr, rows, similarities) of the edges that have no counterpart.
py::tuple edges_one_way(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                        const Array<float>& similarities, const std::optional<Array<std::int32_t>>& weights,
                        int n_threads) {
  const NeighborGraph graph = view_graph(indptr, indices, similarities);
  cpu::OneWay found;
  std::vector<std::int32_t> rows;
  std::vector<float> scores;
  run_interruptibly(py::none(), [&](Watch& watch) {
    found = cpu::edges_one_way(graph, data_or_null(weights), n_threads, watch);
    const std::int64_t count = found.indptr.back();
    rows.reserve(static_cast<std::size_t>(count));
    scores.reserve(rows.capacity());
    for (std::int64_t e = 0; e < count; ++e) {
      rows.push_back(found.edges[e].row);
      scores.push_back(found.edges[e].similarity);
    }
  });
  return py::make_tuple(moved(std::move(found.indptr)), moved(std::move(rows)), moved(std::move(scores)));
}

py::tuple closest_prefix(const Array<float>& rows, std::int64_t dim, const Array<std::int64_t>& indptr,
                         const Array<std::int32_t>& indices, const Array<float>& similarities,
                         const Array<std::int32_t>& picks, std::int64_t n_forced, const Array<std::int64_t>& tie_order,
                         int n_threads, const std::string& isa, std::int64_t block, const py::object& progress) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
  const MatrixView view = view_rows(rows, dim);
  const NeighborGraph graph = view_graph(indptr, indices, similarities);
  const cpu::PickOrder order{picks.size(), n_forced, picks.data(), tie_order.data()};
  cpu::PrefixLog log;
  run_interruptibly(progress, [&](Watch& watch) { log = cpu::closest_prefix(plan, view, graph, order, watch); });
  return py::make_tuple(as_array(log.indptr), as_array(log.places), as_array(log.similarities));
}

}  // namespace

void bind_insertion(py::module_& module) {
  using py::arg;
  module.def("insertion", &insertion, arg("indptr").noconvert(), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("weights").noconvert(), arg("forced").noconvert(), arg("n_pick"),
             arg("n_threads"), arg("progress"));
  module.def("edges_one_way", &edges_one_way, arg("indptr").noconvert(), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("weights").noconvert(), arg("n_threads"));
  module.def("closest_prefix", &closest_prefix, arg("rows").noconvert(), arg("dim"), arg("indptr").noconvert(),
             arg("indices").noconvert(), arg("similarities").noconvert(), arg("picks").noconvert(), arg("n_forced"),
             arg("tie_order").noconvert(), arg("n_threads"), arg("isa"), arg("block"), arg("progress"));
}

}  // namespace pyredund
