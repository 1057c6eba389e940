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

  /// Gives it a job, which stays its owner's and begins when it is run.
  void take(const std::function<void()>& job);
  /// Whether it has no job, or has ended it.
  bool finished() const { return finished_; }
  /// From the program's own stack: goes on with the job, until one that ran meanwhile ends or is
  /// suspended for nobody.
  void run();
  /// From within the job: goes on with that of `next`, straight from stack to stack, or, if there
  /// is none, returns to whoever called `run`.
  void suspend(Fiber* next);

 private:
  using Context = boost::context::fiber;
  /// A stack that can be left and gone back to.
  struct Place {
    Context context;  ///< While it is left.
    // What AddressSanitizer wants to know of a change of stacks.
    const void* bottom = nullptr;
    std::size_t bytes = 0;
  };
  static Place& program();  ///< The program's own stack.
  static Place*& left();    ///< The stack that was left last.
  static void go(Place& from, Place& to);
  static void arrive(Context&& context, void* fake_stack);
  Context loop(Context&& context);

  const std::function<void()>* job_ = nullptr;
  bool finished_ = true;
  bool abandoned_ = false;
  Place place_;
};

}  // namespace ridge::emulated
