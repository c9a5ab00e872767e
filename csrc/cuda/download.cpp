#include "cuda/download.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "cuda/device.hpp"
#include "thread_team.hpp"

namespace pyredund::cuda {
namespace {

constexpr std::int64_t kMuch = 64 << 20;  // to pin memory takes time, too
constexpr std::int64_t kPiece = 1 << 20;
constexpr int kCarriers = 4;

class PinnedPiece {
 public:
  PinnedPiece() { PYREDUND_CUDA_CALL(cudaMallocHost(&data_, static_cast<std::size_t>(kPiece))); }
  ~PinnedPiece() { cudaFreeHost(data_); }
  PinnedPiece(const PinnedPiece&) = delete;
  PinnedPiece& operator=(const PinnedPiece&) = delete;
  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

// A thread's two pieces of pinned memory: one is filled while the other is emptied.
class Carrier {
 public:
  explicit Carrier(int device) : stream_(device) {}
  ~Carrier() { cudaStreamSynchronize(stream_.get()); }  // after an error, something may still fill a piece

  void carry(char* host, const char* device, std::int64_t bytes, std::atomic<std::int64_t>& next, const Watch& watch) {
    std::int64_t waiting = -1;
    for (int side = 0;; side = 1 - side) {
      check(watch);
      const std::int64_t at = next.fetch_add(kPiece, std::memory_order_relaxed);
      if (at < bytes) {
        PYREDUND_CUDA_CALL(cudaMemcpyAsync(pieces_[side].data(), device + at, size_at(at, bytes),
                                           cudaMemcpyDeviceToHost, stream_.get()));
        filled_[side].record(stream_.get());
      }
      if (waiting >= 0) {
        filled_[1 - side].wait();
        std::memcpy(host + waiting, pieces_[1 - side].data(), size_at(waiting, bytes));
      }
      if (at >= bytes) return;
      waiting = at;
    }
  }

 private:
  static std::size_t size_at(std::int64_t at, std::int64_t bytes) {
    return static_cast<std::size_t>(std::min(kPiece, bytes - at));
  }

  PinnedPiece pieces_[2];
  Event filled_[2];
  Stream stream_;
};

}  // namespace

void download(void* host, const void* device, std::int64_t bytes, cudaStream_t stream, const Watch& watch) {
  if (bytes < kMuch) return to_host(host, device, bytes, stream);
  const int threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 2, kCarriers);
  PYREDUND_CUDA_CALL(cudaStreamSynchronize(stream));
  int number = 0;
  PYREDUND_CUDA_CALL(cudaGetDevice(&number));
  std::vector<std::unique_ptr<Carrier>> carriers;
  for (int i = 0; i < threads; ++i) carriers.push_back(std::make_unique<Carrier>(number));
  std::atomic<std::int64_t> next{0};
  run_team(threads, [&](int i) {
    const UseDevice use(number);
    carriers[static_cast<std::size_t>(i)]->carry(static_cast<char*>(host), static_cast<const char*>(device), bytes,
                                                 next, watch);
  });
}

}  // namespace pyredund::cuda
