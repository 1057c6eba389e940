// Work that takes a while, called from Python: the interpreter is free meanwhile, Ctrl-C ends the
// work, and progress is told on the thread that asked.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <pybind11/pybind11.h>

namespace ridge::python {

namespace py = pybind11;

// What the work may look at and write to, from any thread.
struct Watch {
  std::atomic<bool> stop{false};
  std::atomic<double> share{0.0};  // of the work that is done
};

// What work(watch) returns. `progress` is None or is called with the share done. What it raises,
// and KeyboardInterrupt, ends the work and is raised here.
template <typename Work>
auto watched(const py::object& progress, Work&& work) {
  using Result = decltype(work(std::declval<Watch&>()));
  constexpr std::chrono::milliseconds kBetweenLooks(50);
  Watch watch;
  std::optional<Result> result;
  std::exception_ptr failure;  // of the work
  std::exception_ptr raised;   // by Python
  bool done = false;
  std::mutex mutex;
  std::condition_variable finished;
  const auto look = [&](double share) {
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (!progress.is_none()) progress(share);
  };
  {
    const py::gil_scoped_release others_may_run;
    std::jthread worker([&] {
      try {
        result.emplace(work(watch));
      } catch (...) {
        failure = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      done = true;
      finished.notify_one();
    });
    std::unique_lock lock(mutex);
    while (!finished.wait_for(lock, kBetweenLooks, [&] { return done; })) {
      if (raised) continue;  // nothing but the end is waited for
      lock.unlock();
      {
        const py::gil_scoped_acquire ours;
        try {
          look(watch.share);
        } catch (...) {
          raised = std::current_exception();
          watch.stop = true;
        }
      }
      lock.lock();
    }
  }
  if (raised) std::rethrow_exception(raised);
  if (failure) std::rethrow_exception(failure);
  look(1.0);
  return std::move(*result);
}

}  // namespace ridge::python
