#include "fiber.hpp"

#include <memory>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
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
#else
constexpr std::size_t kStackBytes = 64 << 10;

void announce(void**, const void*, std::size_t) {}
void arrived(void*, const void**, std::size_t*) {}
#endif

/// Tells where the stack lies.
class Stack {
 public:
  explicit Stack(const void** bottom, std::size_t* bytes) : bottom_(bottom), bytes_(bytes) {}
  boost::context::stack_context allocate() {
    const boost::context::stack_context stack = allocator_.allocate();
    *bottom_ = static_cast<const char*>(stack.sp) - stack.size;
    *bytes_ = stack.size;
    return stack;
  }
  void deallocate(boost::context::stack_context& stack) noexcept { allocator_.deallocate(stack); }

 private:
  const void** bottom_;
  std::size_t* bytes_;
  boost::context::protected_fixedsize_stack allocator_{kStackBytes};
};

}  // namespace

Fiber::Fiber()
    : context_(std::allocator_arg, Stack(&stack_bottom_, &stack_bytes_),
               [this](Context&& caller) { return loop(std::move(caller)); }) {}

Fiber::~Fiber() {
  void* fake_stack = nullptr;
  announce(&fake_stack, stack_bottom_, stack_bytes_);
  context_ = Context{};
  arrived(fake_stack, nullptr, nullptr);
}

Fiber::Context Fiber::loop(Context&& caller) {
  arrived(nullptr, &caller_bottom_, &caller_bytes_);
  caller_ = std::move(caller);
  try {
    for (;;) {
      job_();
      finished_ = true;
      leave();
    }
  } catch (const boost::context::detail::forced_unwind&) {
    announce(nullptr, caller_bottom_, caller_bytes_);
    throw;
  }
}

bool Fiber::start(std::function<void()> job) {
  job_ = std::move(job);
  finished_ = false;
  return resume();
}

bool Fiber::resume() {
  void* fake_stack = nullptr;
  announce(&fake_stack, stack_bottom_, stack_bytes_);
  context_ = std::move(context_).resume();
  arrived(fake_stack, nullptr, nullptr);
  return finished_;
}

void Fiber::suspend() {
  leave();
}

void Fiber::leave() {
  struct Arrival {
    Fiber& fiber;
    void* fake_stack = nullptr;
    ~Arrival() { arrived(fake_stack, &fiber.caller_bottom_, &fiber.caller_bytes_); }
  } arrival{*this};
  announce(&arrival.fake_stack, caller_bottom_, caller_bytes_);
  caller_ = std::move(caller_).resume();
}

}  // namespace ridge::emulated
