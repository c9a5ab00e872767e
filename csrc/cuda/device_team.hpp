#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>

#include "thread_team.hpp"
#include "watch.hpp"

namespace pyredund::cuda {

// Runs body(device, job) for each of these jobs, a thread for each of the first `n_devices` devices; a device takes the
// next job when it has done one. Where the system refuses a thread, its device's share goes to the others. The first
// exception stops the others and is thrown again here: what these then throw is not the reason.
template <typename Body>
void run_on_devices(int n_devices, std::int64_t n_jobs, Watch& watch, const Body& body) {
  std::atomic<std::int64_t> next{0};
  std::mutex mutex;
  std::exception_ptr first_error;
  run_team(n_devices, [&](int device) {
    try {
      for (std::int64_t job = next++; job < n_jobs; job = next++) body(device, job);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!first_error) first_error = std::current_exception();
      watch.stop = true;
    }
  });
  if (first_error) std::rethrow_exception(first_error);
}

}  // namespace pyredund::cuda
