#include <pybind11/stl.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "core.hpp"
#include "cpu/instruction_set.hpp"
#include "interruptible.hpp"
#include "thread_team.hpp"

namespace pyredund {
namespace py = pybind11;

void bind_config(py::module_& module) {
  module.def("isas", [] {
    std::vector<std::string> names;
    for (const cpu::Kernels* kernels : cpu::runnable_kernels()) names.emplace_back(kernels->name);
    return names;
  });
  module.def(
      "chosen_isa", [](const std::string& isa) { return std::string(cpu::kernels_for(isa).name); }, py::arg("isa"));

  // For the test that a worker's exception reaches the caller: no well-behaved input can make a kernel throw.
  module.def(
      "fail_in_worker",
      [](int n_threads, const py::object& progress) {
        run_interruptibly(progress, [&](Watch&) {
          run_team(n_threads, [&](int index) {
            if (index == n_threads - 1) throw std::runtime_error("worker " + std::to_string(index) + " failed");
          });
        });
      },
      py::arg("n_threads"), py::arg("progress"));
}

}  // namespace pyredund
