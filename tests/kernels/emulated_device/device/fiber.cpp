#include "fiber.hpp"

#include <memory>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace ridge::emulated {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kStackBytes = 512 << 10;  // Instrumented frames are several times larger.

void announce(void** fake_stack, const void* bottom, std::size_t bytes) {
  __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
}
void arrived(void* fake_stack, const void** bottom, std::size_t* bytes) {
  __sanitizer_finish_switch_fiber(fake_stack, bottom, bytes);
}
/// Where a fiber ended, its last frames are still marked, whoever gets the memory next.
void forget_frames(const void* bottom, std::size_t bytes) {
  __asan_unpoison_memory_region(bottom, bytes);
}
#else
constexpr std::size_t kStackBytes = 64 << 10;

void announce(void**, const void*, std::size_t) {}
void arrived(void*, const void**, std::size_t*) {}
void forget_frames(const void*, std::size_t) {}
#endif

/// Tells where the stack lies. Stacks are whole pages, so that the frames of all fibers would meet
/// in the same few sets of the cache: each begins some lines further down than the last.
class Stack {
 public:
  explicit Stack(const void** bottom, std::size_t* bytes) : bottom_(bottom), bytes_(bytes) {
    static std::size_t stacks = 0;
    constexpr std::size_t kStep = 5 * 64;  // About what a suspended thread touches.
    constexpr std::size_t kPage = 4096;
    skipped_ = stacks++ * kStep % kPage;
  }
  boost::context::stack_context allocate() {
    boost::context::stack_context stack = allocator_.allocate();
    stack.sp = static_cast<char*>(stack.sp) - skipped_;
    stack.size -= skipped_;
    *bottom_ = static_cast<const char*>(stack.sp) - stack.size;
    *bytes_ = stack.size;
    forget_frames(*bottom_, *bytes_);
    return stack;
  }
  void deallocate(boost::context::stack_context& stack) noexcept {
    forget_frames(static_cast<const char*>(stack.sp) - stack.size, stack.size);
    stack.sp = static_cast<char*>(stack.sp) + skipped_;
    stack.size += skipped_;
    allocator_.deallocate(stack);
  }

 private:
  std::size_t skipped_;
  const void** bottom_;
  std::size_t* bytes_;
  boost::context::protected_fixedsize_stack allocator_{kStackBytes};
};

}  // namespace

Fiber::Fiber() {
  place_.context = Context(std::allocator_arg, Stack(&place_.bottom, &place_.bytes),
                           [this](Context&& left) { return loop(std::move(left)); });
}

// Boost.Context would unwind a suspended fiber by an exception of its own, thrown before
// AddressSanitizer can be told of the change of stacks.
Fiber::~Fiber() {
  abandoned_ = true;
  if (!finished_) {
    run();
  }
  run();
}

void Fiber::take(const std::function<void()>& job) {
  job_ = &job;
  finished_ = false;
}

void Fiber::run() {
  go(program(), place_);
}

void Fiber::suspend(Fiber* next) {
  go(place_, next == nullptr ? program() : next->place_);
  if (abandoned_) {
    throw Abandoned{};
  }
}

Fiber::Place& Fiber::program() {
  static auto& program = *new Place;  // Fibers that idle until the program ends need it then.
  return program;
}

Fiber::Place*& Fiber::left() {
  static Place* left = nullptr;
  return left;
}

void Fiber::go(Place& from, Place& to) {
  void* fake_stack = nullptr;
  announce(&fake_stack, to.bottom, to.bytes);
  left() = &from;
  arrive(std::move(to.context).resume(), fake_stack);
}

/// Puts away the stack from which this one was reached.
void Fiber::arrive(Context&& context, void* fake_stack) {
  Place& from = *left();
  from.context = std::move(context);
  arrived(fake_stack, &from.bottom, &from.bytes);
}

Fiber::Context Fiber::loop(Context&& context) {
  arrive(std::move(context), nullptr);
  while (!abandoned_) {
    try {
      (*job_)();
    } catch (const Abandoned&) {
    }
    finished_ = true;
    go(place_, program());
  }
  announce(nullptr, program().bottom, program().bytes);
  left() = &place_;
  return std::move(program().context);
}

}  // namespace ridge::emulated
