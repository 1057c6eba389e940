#pragma once

#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace ridge::emulated {

/// A kernel did something that the hardware forbids, or that it answers with garbage or a hang.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws a DeviceError with a printf-formatted message.
[[noreturn]] [[gnu::format(printf, 1, 2)]] inline void fail(const char* format, ...) {
  char text[2048];
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  throw DeviceError(text);
}

}  // namespace ridge::emulated
