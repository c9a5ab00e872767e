#include "cpu/instruction_set.hpp"

#include <stdexcept>

namespace pyredund::cpu {
namespace {

// AVX-512 is compiled but has not been run on a machine that has it: until its tests pass there, it must be
// asked for.
constexpr bool kAvx512Proven = false;

}  // namespace

std::vector<const Kernels*> runnable_kernels() {
  std::vector<const Kernels*> sets{&kKernels_baseline};
#if defined(PYREDUND_X86)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&kKernels_avx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    sets.push_back(&kKernels_avx512);
  }
#endif
  return sets;
}

const Kernels& kernels_for(const std::string& name) {
  const std::vector<const Kernels*> sets = runnable_kernels();
  std::string known = "auto";
  const Kernels* fastest = sets.front();
  for (const Kernels* set : sets) {
    if (set->name == name) return *set;
    if (std::string(set->name) != "avx512" || kAvx512Proven) fastest = set;
    known += std::string(", ") + set->name;
  }
  if (name == "auto") return *fastest;
  throw std::invalid_argument("isa must be one of " + known + " on this machine, got '" + name + "'");
}

}  // namespace pyredund::cpu
