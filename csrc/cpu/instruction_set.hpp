#pragma once

#include <string>
#include <vector>

#include "cpu/kernels.hpp"

namespace pyredund::cpu {

// The sets that were compiled in and that this processor can run, slowest first.
std::vector<const Kernels*> runnable_kernels();

// `name` is one of these sets' names, or "auto": the fastest set whose tests have passed on a real machine.
const Kernels& kernels_for(const std::string& name);

}  // namespace pyredund::cpu
