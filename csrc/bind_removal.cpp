#include <pybind11/stl.h>

#include <limits>
#include <optional>
#include <utility>

#include "core.hpp"
#include "cpu/instruction_set.hpp"
#include "cpu/removal.hpp"
#include "interruptible.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

py::dict removal(const Array<float>& rows, std::int64_t dim, const Array<std::int64_t>& indptr,
                 const Array<std::int32_t>& indices, const Array<float>& similarities, bool of_rows,
                 const std::optional<Array<std::int32_t>>& class_of,
                 const std::optional<Array<std::int32_t>>& member_ptr,
                 const std::optional<Array<std::int32_t>>& members, const std::optional<Array<std::int32_t>>& removable,
                 const std::optional<Array<std::int32_t>>& priority, const std::optional<Array<std::int64_t>>& weights,
                 std::int64_t n_remove, int n_threads, const std::string& isa, std::int64_t block,
                 const py::object& progress, std::int64_t room) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
  const MatrixView view = view_rows(rows, dim);
  const NeighborGraph graph = view_graph(indptr, indices, similarities);
  const cpu::RowClasses classes{data_or_null(member_ptr), data_or_null(members),  data_or_null(class_of),
                                data_or_null(removable),  data_or_null(priority), data_or_null(weights)};
  RemovalLog log;
  run_interruptibly(progress, [&](Watch& watch) {
    log = cpu::removal(plan, view, graph, of_rows, classes, n_remove, room, watch);
    if (graph.n_rows >= kManyRows) give_back_memory();
  });
  return as_dict(std::move(log));
}

}  // namespace

void bind_removal(py::module_& module) {
  using py::arg;
  module.def("removal", &removal, arg("rows").noconvert(), arg("dim"), arg("indptr").noconvert(),
             arg("indices").noconvert(), arg("similarities").noconvert(), arg("of_rows"), arg("class_of").noconvert(),
             arg("member_ptr").noconvert(), arg("members").noconvert(), arg("removable").noconvert(),
             arg("priority").noconvert(), arg("weights").noconvert(), arg("n_remove"), arg("n_threads"), arg("isa"),
             arg("block"), arg("progress"), arg("room") = std::numeric_limits<std::int64_t>::max());
}

}  // namespace pyredund
