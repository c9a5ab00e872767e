#include <memory>
#include <string>

#include "core.hpp"
#include "cpu/gathered_rows.hpp"
#include "interruptible.hpp"
#include "scratch_space.hpp"

namespace pyredund {
namespace py = pybind11;
namespace {

using Space = std::shared_ptr<ScratchSpace>;

// Zeros in a scratch file that lives as long as the array.
template <typename T>
Array<T> zeros(const Space& space, std::int64_t rows, std::int64_t columns) {
  std::unique_ptr<ScratchFile> file;
  const std::int64_t bytes = rows * columns * static_cast<std::int64_t>(sizeof(T));
  run_interruptibly(py::none(), [&](Watch& watch) { file = std::make_unique<ScratchFile>(space, bytes, watch); });
  T* const data = static_cast<T*>(file->data());
  const py::capsule owner(file.release(), [](void* held) { delete static_cast<ScratchFile*>(held); });
  return Array<T>({rows, columns}, data, owner);
}

void gather_rows(const Array<float>& rows, const Array<std::int32_t>& which, Array<float>& out) {
  const MatrixView view = view_rows(rows, rows.shape(1));
  const std::int32_t* const ids = which.data();
  const std::int64_t count = which.shape(0);
  float* const to = out.mutable_data();
  const auto compute = [&](Watch& watch) { cpu::gather_rows(view, ids, count, to, watch); };
  constexpr std::int64_t kBrief = std::int64_t{1} << 18;  // coordinates in memory
  if (count * view.stride < kBrief && ScratchFile::at(view.data) == nullptr) return run_briefly(compute);
  run_interruptibly(py::none(), compute);
}

}  // namespace

void bind_scratch(py::module_& module) {
  using py::arg;
  py::class_<ScratchSpace, Space>(module, "ScratchSpace")
      .def(py::init<std::string, std::int64_t>(), arg("folder"), arg("resident"))
      .def_property_readonly("folder", &ScratchSpace::folder)
      .def_property_readonly("resident", &ScratchSpace::resident)
      .def("floats", &zeros<float>, arg("rows"), arg("columns"))
      .def("bytes", &zeros<std::uint8_t>, arg("rows"), arg("columns"));
  module.def("gather_rows", &gather_rows, arg("rows").noconvert(), arg("which").noconvert(), arg("out").noconvert());
}

}  // namespace pyredund
