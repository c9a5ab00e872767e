#include "cpu/instruction_set.hpp"

#include <stdexcept>

namespace pyredund::cpu {
std::vector<const Kernels*> runnable_kernels() {
  std::vector<const Kernels*> sets{&kKernels_baseline};
#if defined(PYREDUND_X86)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&kKernels_avx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    sets.push_back(&kKernels_avx512);
    if (__builtin_cpu_supports("avx512vnni")) sets.push_back(&kKernels_avx512vnni);
  }
#endif
  return sets;
}

const Kernels& kernels_for(const std::string& name) {
  const std::vector<const Kernels*> sets = runnable_kernels();
  if (name == "auto") return *sets.back();
  std::string known = "auto";
  for (const Kernels* set : sets) {
    if (set->name == name) return *set;
    known += std::string(", ") + set->name;
  }
  throw std::invalid_argument("isa must be one of " + known + " on this machine, got '" + name + "'");
}

}  // namespace pyredund::cpu
