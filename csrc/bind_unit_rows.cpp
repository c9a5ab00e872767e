#include "core.hpp"
#include "cpu/check_lists.hpp"
#include "cpu/identical_rows.hpp"
#include "cpu/instruction_set.hpp"
#include "cpu/tile_scan.hpp"
#include "cpu/unit_rows.hpp"
#include "interruptible.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

template <typename T>
void unit_rows(const Array<T>& embeddings, Array<float>& out, Array<double>& norms, int n_threads,
               const std::string& isa) {
  const T* const data = embeddings.data();
  float* const rows = out.mutable_data();
  double* const norm = norms.mutable_data();
  const cpu::Kernels& kernels = cpu::kernels_for(isa);
  const std::int64_t n = embeddings.shape(0), dim = embeddings.shape(1), stride = out.shape(1);
  run_interruptibly(py::none(),
                    [&](Watch& watch) { cpu::unit_rows(kernels, data, n, dim, stride, rows, norm, n_threads, watch); });
}

std::int64_t collapse_identical_rows(Array<float>& matrix, Array<std::int32_t>& class_of) {
  float* const data = matrix.mutable_data();
  std::int32_t* const classes = class_of.mutable_data();
  const std::int64_t n = matrix.shape(0), stride = matrix.shape(1);
  std::int64_t n_unique = 0;
  run_interruptibly(py::none(),
                    [&](Watch& watch) { n_unique = cpu::collapse_identical_rows(data, n, stride, classes, watch); });
  return n_unique;
}

void member_lists(const Array<std::int32_t>& class_of, Array<std::int32_t>& member_ptr, Array<std::int32_t>& members) {
  const std::int32_t* const classes = class_of.data();
  std::int32_t* const starts = member_ptr.mutable_data();
  std::int32_t* const rows = members.mutable_data();
  const std::int64_t n = class_of.size(), n_classes = member_ptr.size() - 1;
  run_interruptibly(py::none(), [&](Watch&) { cpu::member_lists(classes, n, n_classes, starts, rows); });
}

void expand_identical_rows(const Array<std::int32_t>& distinct_indices, const Array<float>& distinct_similarities,
                           const Array<std::int32_t>& class_of, const Array<std::int32_t>& member_ptr,
                           const Array<std::int32_t>& members, bool self_join, Array<std::int32_t>& indices,
                           Array<float>& similarities) {
  const cpu::DistinctLists lists{distinct_indices.shape(1), distinct_indices.data(), distinct_similarities.data()};
  const cpu::Members view{member_ptr.data(), members.data()};
  const std::int32_t* const classes = class_of.data();
  std::int32_t* const ids = indices.mutable_data();
  float* const scores = similarities.mutable_data();
  const std::int64_t n = indices.shape(0), k = indices.shape(1);
  run_interruptibly(py::none(), [&](Watch& watch) {
    cpu::expand_identical_rows(lists, classes, n, view, self_join, k, ids, scores, watch);
  });
}

void expanded_indptr(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                     const Array<float>& similarities, const Array<std::int32_t>& class_of,
                     const Array<std::int32_t>& member_ptr, const Array<std::int32_t>& members, bool self_join,
                     Array<std::int64_t>& out) {
  const NeighborGraph lists = view_graph(indptr, indices, similarities);
  const cpu::Members view{member_ptr.data(), members.data()};
  const std::int32_t* const classes = class_of.data();
  std::int64_t* const starts = out.mutable_data();
  const std::int64_t n = class_of.shape(0);
  run_interruptibly(py::none(),
                    [&](Watch& watch) { cpu::expanded_indptr(lists, classes, n, view, self_join, starts, watch); });
}

void expand_lists(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                  const Array<float>& similarities, const Array<std::int32_t>& class_of,
                  const Array<std::int32_t>& member_ptr, const Array<std::int32_t>& members, bool self_join,
                  const Array<std::int64_t>& out_indptr, Array<std::int32_t>& out_indices,
                  Array<float>& out_similarities) {
  const NeighborGraph lists = view_graph(indptr, indices, similarities);
  const cpu::Members view{member_ptr.data(), members.data()};
  const std::int32_t* const classes = class_of.data();
  const std::int64_t* const starts = out_indptr.data();
  std::int32_t* const ids = out_indices.mutable_data();
  float* const scores = out_similarities.mutable_data();
  const std::int64_t n = class_of.shape(0);
  run_interruptibly(py::none(), [&](Watch& watch) {
    cpu::expand_lists(lists, classes, n, view, self_join, starts, ids, scores, watch);
  });
}

void check_lists(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices) {
  const NeighborGraph graph{indptr.data(), indices.data(), nullptr, indptr.size() - 1};
  run_interruptibly(py::none(), [&](Watch& watch) { cpu::check_lists(graph, watch); });
}

// (indptr, indices, similarities) of the distinct rows.
py::tuple collapse_lists(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                         const Array<float>& similarities, const Array<std::int32_t>& class_of,
                         const Array<std::int32_t>& member_ptr, const Array<std::int32_t>& members) {
  const NeighborGraph graph = view_graph(indptr, indices, similarities);
  const cpu::Members view{member_ptr.data(), members.data()};
  const std::int32_t* const classes = class_of.data();
  const std::int64_t n_distinct = member_ptr.shape(0) - 1;
  cpu::DistinctGraph found;
  run_interruptibly(py::none(),
                    [&](Watch& watch) { found = cpu::collapse_lists(graph, classes, view, n_distinct, watch); });
  return py::make_tuple(moved(std::move(found.indptr)), moved(std::move(found.indices)),
                        moved(std::move(found.similarities)));
}

// similarities[i] of the rows x[i] and y[i] of two matrices.
void similarities(const Array<float>& rows, const Array<float>& others, Array<float>& out, const std::string& isa) {
  const cpu::Kernels& kernels = cpu::kernels_for(isa);
  const MatrixView x = view_rows(rows, rows.shape(1)), y = view_rows(others, others.shape(1));
  float* const result = out.mutable_data();
  run_interruptibly(py::none(), [&](Watch& watch) {
    for (std::int64_t i = 0; i < x.rows; ++i) {
      if (i % 4096 == 0) check(watch);
      result[i] = cpu::similarity(kernels, x.row(i), y.row(i), x.stride);
    }
  });
}

}  // namespace

void bind_unit_rows(py::module_& module) {
  using py::arg;
  module.def("unit_rows", &unit_rows<float>, arg("embeddings").noconvert(), arg("out").noconvert(),
             arg("norms").noconvert(), arg("n_threads"), arg("isa"));
  module.def("unit_rows", &unit_rows<double>, arg("embeddings").noconvert(), arg("out").noconvert(),
             arg("norms").noconvert(), arg("n_threads"), arg("isa"));
  module.def("collapse_identical_rows", &collapse_identical_rows, arg("matrix").noconvert(),
             arg("class_of").noconvert());
  module.def("member_lists", &member_lists, arg("class_of").noconvert(), arg("member_ptr").noconvert(),
             arg("members").noconvert());
  module.def("expand_identical_rows", &expand_identical_rows, arg("distinct_indices").noconvert(),
             arg("distinct_similarities").noconvert(), arg("class_of").noconvert(), arg("member_ptr").noconvert(),
             arg("members").noconvert(), arg("self_join"), arg("indices").noconvert(), arg("similarities").noconvert());
  module.def("expanded_indptr", &expanded_indptr, arg("indptr").noconvert(), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("class_of").noconvert(), arg("member_ptr").noconvert(),
             arg("members").noconvert(), arg("self_join"), arg("out").noconvert());
  module.def("expand_lists", &expand_lists, arg("indptr").noconvert(), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("class_of").noconvert(), arg("member_ptr").noconvert(),
             arg("members").noconvert(), arg("self_join"), arg("out_indptr").noconvert(),
             arg("out_indices").noconvert(), arg("out_similarities").noconvert());
  module.def("check_lists", &check_lists, arg("indptr").noconvert(), arg("indices").noconvert());
  module.def("collapse_lists", &collapse_lists, arg("indptr").noconvert(), arg("indices").noconvert(),
             arg("similarities").noconvert(), arg("class_of").noconvert(), arg("member_ptr").noconvert(),
             arg("members").noconvert());
  module.def("similarities", &similarities, arg("rows").noconvert(), arg("others").noconvert(), arg("out").noconvert(),
             arg("isa"));
}

}  // namespace pyredund
