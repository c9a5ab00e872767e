#pragma once

#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>

namespace pyredund::cuda {

// Writes to every page of memory that a result will be copied to, while the device computes it: the system finds a new
// array's pages when they are first written to, which takes twice as long as to copy what comes.
class HostPages {
 public:
  HostPages(void* data, std::int64_t bytes) {
    if (bytes < kWorthwhile) return;
    try {
      thread_ = std::thread([this, data, bytes] {
        for (std::int64_t at = 0; at < bytes && !stop_.load(std::memory_order_relaxed); at += kPage) {
          static_cast<volatile char*>(data)[at] = 0;
        }
      });
    } catch (const std::system_error&) {  // no more threads: pages are found later
    }
  }
  ~HostPages() {
    stop_ = true;
    wait();
  }
  HostPages(const HostPages&) = delete;
  HostPages& operator=(const HostPages&) = delete;
  void wait() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  static constexpr std::int64_t kPage = 4096, kWorthwhile = 1 << 20;

  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace pyredund::cuda
