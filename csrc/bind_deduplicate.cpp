#include <pybind11/stl.h>

#include <limits>
#include <optional>
#include <utility>

#include "core.hpp"
#include "cpu/deduplicate.hpp"
#include "cpu/instruction_set.hpp"
#include "cpu/radius_graph.hpp"
#include "interruptible.hpp"
#include "sketch_view.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

// (rows, columns, similarities) of all pairs but those of two crowded rows, which are marked.
py::object uncrowded_pairs(const Array<float>& rows, std::int64_t dim, const py::object& sketch, double threshold,
                           std::int32_t most, Array<std::uint8_t>& crowded, int n_threads, const std::string& isa,
                           std::int64_t block, const py::object& progress) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
  const MatrixView view = view_rows(rows, dim);
  const cpu::Sketch coarse = view_sketch(sketch);
  const cpu::Crowding crowding{most, crowded.mutable_data()};
  const std::int64_t any = std::numeric_limits<std::int64_t>::max();
  SimilarPairs pairs;
  run_interruptibly(progress, [&](Watch& watch) {
    pairs = cpu::similar_pairs(plan, view, coarse, threshold, any, watch, &crowding);
  });
  return as_tuple(std::move(pairs));
}

void deduplicate(const Array<float>& rows, std::int64_t dim, const Array<std::int64_t>& indptr,
                 const Array<std::int32_t>& indices, const Array<float>& similarities,
                 const std::optional<Array<std::int32_t>>& first, const std::optional<Array<std::int32_t>>& class_of,
                 const Array<std::uint8_t>& crowded, const Array<std::int32_t>& order, double threshold,
                 Array<std::uint8_t>& fates, int n_threads, const std::string& isa, std::int64_t block,
                 const py::object& progress) {
  const cpu::SearchPlan plan{&cpu::kernels_for(isa), n_threads, block};
  const MatrixView view = view_rows(rows, dim);
  const ClassLists lists{view_graph(indptr, indices, similarities), data_or_null(first), data_or_null(class_of)};
  const std::uint8_t* const crowd = crowded.data();
  const std::int32_t* const visits = order.data();
  std::uint8_t* const out = fates.mutable_data();
  run_interruptibly(progress,
                    [&](Watch& watch) { cpu::deduplicate(plan, view, lists, crowd, visits, threshold, out, watch); });
}

void closest_listed(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                    const Array<float>& similarities, const std::optional<Array<std::int32_t>>& first,
                    const std::optional<Array<std::int32_t>>& class_of, const Array<std::int32_t>& names, bool are_even,
                    Array<std::int32_t>& closest, Array<float>& out) {
  const ClassLists lists{view_graph(indptr, indices, similarities), data_or_null(first), data_or_null(class_of)};
  const std::int64_t n_classes = names.size();
  const std::int32_t* const name = names.data();
  std::int32_t* const found = closest.mutable_data();
  float* const scores = out.mutable_data();
  run_interruptibly(py::none(),
                    [&](Watch& watch) { cpu::closest_listed(lists, n_classes, name, are_even, found, scores, watch); });
}

}  // namespace

void bind_deduplicate(py::module_& module) {
  using py::arg;
  module.def("uncrowded_pairs", &uncrowded_pairs, arg("rows").noconvert(), arg("dim"), arg("sketch"), arg("threshold"),
             arg("most"), arg("crowded").noconvert(), arg("n_threads"), arg("isa"), arg("block"), arg("progress"));
  module.def("deduplicate", &deduplicate, arg("rows").noconvert(), arg("dim"), arg("indptr").noconvert(),
             arg("indices").noconvert(), arg("similarities").noconvert(), arg("first").noconvert(),
             arg("class_of").noconvert(), arg("crowded").noconvert(), arg("order").noconvert(), arg("threshold"),
             arg("fates").noconvert(), arg("n_threads"), arg("isa"), arg("block"), arg("progress"));
  module.def("closest_listed", &closest_listed, arg("indptr").noconvert(), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("first").noconvert(), arg("class_of").noconvert(),
             arg("names").noconvert(), arg("are_even"), arg("closest").noconvert(), arg("out").noconvert());
}

}  // namespace pyredund
