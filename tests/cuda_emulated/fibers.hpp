#pragma once

// The threads of a block as fibers of one thread: each runs until it waits for the others. A wait that cannot end, as
// where some threads pass a barrier that others do not, is reported instead of hanging.
#include <setjmp.h>
#include <ucontext.h>

#include <array>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

struct ThreadIndex {
  unsigned x;
};
inline thread_local ThreadIndex threadIdx;

namespace emulated {

constexpr int kSharedBytes = 232448;  // of one block, as on sm_90
constexpr int kWarp = 32;
constexpr std::size_t kStackBytes = 64 << 10;
constexpr std::size_t kSlotBytes = 64;

// Counts those who have come; the last lets all go.
struct Barrier {
  unsigned arrived = 0, generation = 0;
};

struct Fiber {
  jmp_buf at;
  ucontext_t first;
  bool started = false, done = false;
  const Barrier* waits = nullptr;
  unsigned waits_since = 0;
  unsigned exchanges = 0;
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<char> stacks;
  std::vector<Barrier> warps;
  std::vector<std::array<std::array<std::array<unsigned char, kSlotBytes>, kWarp>, 2>> slots;  // of each warp
  Barrier barrier;
  unsigned current = 0, live = 0;
  jmp_buf scheduler;
  std::function<void()> thread;
  std::string failure = "no failure";
  alignas(128) unsigned char shared[kSharedBytes];
};

// A thread's block, which another thread has when this one has ended: a block's stacks take megabytes.
class Lease {
 public:
  Lease() {
    const std::lock_guard<std::mutex> lock(mutex());
    if (free().empty()) {
      block_ = new Block;
    } else {
      block_ = free().back();
      free().pop_back();
    }
  }
  ~Lease() {
    const std::lock_guard<std::mutex> lock(mutex());
    free().push_back(block_);
  }
  Block& block() const { return *block_; }

 private:
  static std::mutex& mutex() {
    static std::mutex* const one = new std::mutex;  // as long as the process, in which threads may end after main
    return *one;
  }
  static std::vector<Block*>& free() {
    static auto* const all = new std::vector<Block*>;
    return *all;
  }

  Block* block_;
};

inline Block& block() {
  thread_local const Lease mine;
  return mine.block();
}

inline std::string& failure() { return block().failure; }

// Noinline: the compiler must not keep thread_local addresses or registers across a switch.
__attribute__((noinline)) inline void pause_until(const Barrier& barrier) {
  Block& b = block();
  Fiber& fiber = b.fibers[b.current];
  fiber.waits = &barrier;
  fiber.waits_since = barrier.generation;
  if (_setjmp(fiber.at) == 0) _longjmp(b.scheduler, 1);
}

inline void arrive(Barrier& barrier, unsigned expected) {
  if (++barrier.arrived == expected) {
    barrier.arrived = 0;
    ++barrier.generation;
  } else {
    pause_until(barrier);
  }
}

inline void wait_for_block() { arrive(block().barrier, block().live); }

template <typename T>
std::array<T, kWarp> exchange(const T& value) {
  static_assert(sizeof(T) <= kSlotBytes, "wider than a slot");
  Block& b = block();
  const unsigned warp = b.current / kWarp;
  auto& slots = b.slots[warp][b.fibers[b.current].exchanges++ % 2];  // nobody can be two exchanges ahead
  std::memcpy(slots[b.current % kWarp].data(), &value, sizeof value);
  arrive(b.warps[warp], kWarp);
  std::array<T, kWarp> all;
  for (int lane = 0; lane < kWarp; ++lane) std::memcpy(&all[lane], slots[lane].data(), sizeof(T));
  return all;
}

inline void enter() {
  Block& b = block();
  b.thread();
  b.fibers[b.current].done = true;
  --b.live;
  if (b.live > 0 && b.barrier.arrived == b.live) {  // those who wait need not wait for one who has gone
    b.barrier.arrived = 0;
    ++b.barrier.generation;
  }
  _longjmp(b.scheduler, 1);
}

__attribute__((noinline)) inline void resume(unsigned index) {
  Block& b = block();
  b.current = index;
  threadIdx.x = index;
  Fiber& fiber = b.fibers[index];
  fiber.waits = nullptr;
  if (_setjmp(b.scheduler) != 0) return;
  if (fiber.started) _longjmp(fiber.at, 1);
  fiber.started = true;
  getcontext(&fiber.first);
  fiber.first.uc_stack.ss_sp = b.stacks.data() + index * kStackBytes;
  fiber.first.uc_stack.ss_size = kStackBytes;
  fiber.first.uc_link = nullptr;
  makecontext(&fiber.first, &enter, 0);
  setcontext(&fiber.first);
}

// False, with failure() set, if its threads wait for each other in vain.
inline bool run_block(unsigned threads, std::size_t shared_bytes, const std::function<void()>& thread) {
  Block& b = block();
  b.fibers.assign(threads, {});
  b.stacks.resize(threads * kStackBytes);
  b.warps.assign(threads / kWarp, {});
  b.slots.resize(threads / kWarp);
  b.barrier = {};
  b.live = threads;
  b.thread = thread;
  std::memset(b.shared, 0xFF, shared_bytes);
  while (b.live > 0) {
    bool any = false;
    for (unsigned i = 0; i < threads; ++i) {
      const Fiber& fiber = b.fibers[i];
      if (fiber.done || (fiber.waits != nullptr && fiber.waits->generation == fiber.waits_since)) continue;
      resume(i);
      any = true;
    }
    if (!any) {
      b.failure = "threads of a block wait for each other in vain";
      return false;
    }
  }
  return true;
}

}  // namespace emulated
