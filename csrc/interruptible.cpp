#include "interruptible.hpp"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "thread_team.hpp"

namespace pyredund {
namespace py = pybind11;

void run_interruptibly(const py::object& progress, const std::function<void(Watch&)>& compute) {
  Watch watch;
  std::mutex mutex;
  std::condition_variable ended_changed;
  bool ended = false;
  std::exception_ptr error;
  std::optional<py::error_already_set> raised;

  const auto report = [&] {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    const std::int64_t done = watch.done.load(), total = watch.total.load();  // in this order: both may grow meanwhile
    if (!progress.is_none() && total > 0) progress(done, total);
  };
  {
    const py::gil_scoped_release release;  // the computation touches no Python object
    std::thread conductor([&] {
      try {
        run_team(1, [&](int) { compute(watch); });
      } catch (...) {
        error = std::current_exception();
      }
      const std::lock_guard<std::mutex> lock(mutex);
      ended = true;
      ended_changed.notify_one();
    });
    std::unique_lock<std::mutex> lock(mutex);
    while (!ended_changed.wait_for(lock, std::chrono::milliseconds(20), [&] { return ended; })) {
      if (raised) continue;
      lock.unlock();
      {
        const py::gil_scoped_acquire acquire;
        try {
          report();
        } catch (py::error_already_set& exception) {
          raised.emplace(exception);
          watch.stop = true;
        }
      }
      lock.lock();
    }
    lock.unlock();
    conductor.join();
  }
  if (raised) throw *raised;
  if (error) std::rethrow_exception(error);
  report();
}

void run_briefly(const std::function<void(Watch&)>& compute) {
  const py::gil_scoped_release release;
  Watch watch;
  run_team(1, [&](int) { compute(watch); });
}

void give_back_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

}  // namespace pyredund
