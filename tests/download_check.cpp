// Checks csrc/cuda/download.cpp on the emulated GPU. Prints "right", or what differs.
#include <atomic>
#include <cstdio>
#include <cstring>
#include <vector>

#include "cuda/device.hpp"
#include "cuda/download.hpp"

using namespace pyredund;

int main() {
  const std::int64_t mebi = 1 << 20;
  for (const std::int64_t bytes :
       {std::int64_t{0}, std::int64_t{5}, 63 * mebi, 64 * mebi, 64 * mebi + 1, 70 * mebi - 3}) {
    void* device = nullptr;
    PYREDUND_CUDA_CALL(cudaMalloc(&device, static_cast<std::size_t>(bytes + 1)));
    auto* const there = static_cast<unsigned char*>(device);
    for (std::int64_t i = 0; i < bytes; ++i) there[i] = static_cast<unsigned char>((i * 2654435761) >> 13);
    std::vector<unsigned char> here(static_cast<std::size_t>(bytes + 64), 0xAA);
    Watch watch;
    cuda::download(here.data() + 32, device, bytes, nullptr, watch);
    if (std::memcmp(here.data() + 32, device, static_cast<std::size_t>(bytes)) != 0) {
      std::printf("a copy of %lld bytes differs\n", static_cast<long long>(bytes));
      return 1;
    }
    for (int i = 0; i < 32; ++i) {
      if (here[i] != 0xAA || here[here.size() - 1 - i] != 0xAA) {
        std::printf("what is beside %lld bytes differs\n", static_cast<long long>(bytes));
        return 1;
      }
    }
    watch.stop = true;
    bool stopped = false;
    try {
      cuda::download(here.data() + 32, device, bytes, nullptr, watch);
    } catch (const Interrupted&) {
      stopped = true;
    }
    if (stopped != (bytes >= 64 * mebi)) {
      std::printf("an interrupt of %lld bytes differs\n", static_cast<long long>(bytes));
      return 1;
    }
    PYREDUND_CUDA_CALL(cudaFree(device));
  }
  std::puts("right");
  return 0;
}
