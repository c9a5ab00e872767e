// Checks csrc/thread_team.cpp and csrc/cuda/device_team.hpp where the system refuses threads. Prints "right", or what
// differs.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <vector>

#include "cuda/device_team.hpp"
#include "thread_team.hpp"

namespace {

int left = 0;  // threads that the system grants
int refused = 0;

}  // namespace

// In place of the C library's.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                              void* argument) {
  if (left == 0) {
    ++refused;
    return EAGAIN;
  }
  --left;
  static const auto create = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  return create(thread, attributes, start, argument);
}

using namespace pyredund;

int main() {
  for (int granted = 0; granted <= 3; ++granted) {
    left = granted;
    refused = 0;
    std::vector<std::atomic<int>> done(50000);
    run_parts(50000, 4, [&](int, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) ++done[static_cast<std::size_t>(i)];
    });
    for (const auto& times : done) {
      if (times != 1) return std::puts("a row of a part is not done once"), 1;
    }
    if (refused != (granted < 3 ? 1 : 0)) return std::puts("threads are not asked for once"), 1;

    left = granted;
    std::vector<std::atomic<int>> jobs(9);
    Watch watch;
    cuda::run_on_devices(4, 9, watch, [&](int device, std::int64_t job) {
      if (device < 0 || device > granted) throw std::logic_error("a device without a thread");
      ++jobs[static_cast<std::size_t>(job)];
    });
    for (const auto& times : jobs) {
      if (times != 1) return std::puts("a job is not done once"), 1;
    }

    left = granted;
    try {
      cuda::run_on_devices(4, 9, watch, [](int, std::int64_t job) {
        if (job == 4) throw std::runtime_error("job 4");
      });
      return std::puts("an exception is lost"), 1;
    } catch (const std::runtime_error&) {
    }
    if (!watch.stop) return std::puts("the others are not stopped"), 1;
  }
  std::puts("right");
  return 0;
}
