#pragma once

#include <cstddef>
#include <functional>

#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>

namespace ridge::emulated {

/// A stack that runs one job after another and can be left in the middle of one.
class Fiber {
 public:
  /// What `suspend` throws when the fiber is destroyed; a job may not hold it back.
  struct Abandoned {};

  Fiber();
  /// Unwinds a job that has not finished.
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Begins a job, which stays its owner's: runs it until it suspends itself or ends. True when it
  /// has ended.
  bool start(const std::function<void()>& job);
  /// Goes on with a suspended job.
  bool resume();
  /// From within the job: back to whoever started or resumed it.
  void suspend();

 private:
  using Context = boost::context::fiber;
  Context loop(Context&& caller);
  void switch_to_caller();

  // What AddressSanitizer wants to know of a change of stacks; set while `context_` is made.
  const void* stack_bottom_ = nullptr;
  std::size_t stack_bytes_ = 0;
  const void* caller_bottom_ = nullptr;
  std::size_t caller_bytes_ = 0;

  const std::function<void()>* job_ = nullptr;
  bool finished_ = true;
  bool abandoned_ = false;
  Context context_;
  Context caller_;
};

}  // namespace ridge::emulated
