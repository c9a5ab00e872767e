#include "core.hpp"
#include "cpu/instruction_set.hpp"
#include "cpu/refine.hpp"
#include "interruptible.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

std::int64_t refine(const Array<float>& rows, std::int64_t dim, const Array<std::int64_t>& indptr,
                    const Array<std::int32_t>& indices, const Array<float>& similarities,
                    const Array<std::int32_t>& class_of, const Array<std::int32_t>& member_ptr,
                    const Array<std::int32_t>& members, const Array<std::uint8_t>& must_keep,
                    const Array<std::int64_t>& weights, Array<std::uint8_t>& kept, const std::string& isa,
                    const py::object& progress) {
  const cpu::Kernels& kernels = cpu::kernels_for(isa);
  const MatrixView view = view_rows(rows, dim);
  const NeighborGraph graph = view_graph(indptr, indices, similarities);
  const cpu::KeptRows state{class_of.size(),  class_of.data(), member_ptr.data(),  members.data(),
                            must_keep.data(), weights.data(),  kept.mutable_data()};
  std::int64_t n_exchanged = 0;
  run_interruptibly(progress, [&](Watch& watch) { n_exchanged = cpu::refine(kernels, view, graph, state, watch); });
  return n_exchanged;
}

}  // namespace

void bind_refine(py::module_& module) {
  using py::arg;
  module.def("refine", &refine, arg("rows").noconvert(), arg("dim"), arg("indptr").noconvert(),
             arg("indices").noconvert(), arg("similarities").noconvert(), arg("class_of").noconvert(),
             arg("member_ptr").noconvert(), arg("members").noconvert(), arg("must_keep").noconvert(),
             arg("weights").noconvert(), arg("kept").noconvert(), arg("isa"), arg("progress"));
}

}  // namespace pyredund
