#pragma once

#include <string>
#include <vector>

#include "cpu/kernels.hpp"

namespace pyredund::cpu {

// The sets that were compiled in and that this processor can run, slowest first.
std::vector<const Kernels*> runnable_kernels();

// `name` is one of these sets' names, or "auto": the last of them.
const Kernels& kernels_for(const std::string& name);

}  // namespace pyredund::cpu
