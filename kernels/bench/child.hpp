#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <sys/types.h>

namespace ridge::kernels::bench {

/// This program once more, as a process of its own: it may hang or die without harm to this one. It
/// dies with this one.
class Child {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum class Event {
    kLine,     ///< A line came.
    kEnd,      ///< The child closed its end: it has finished, or died.
    kTimeout,  ///< The deadline passed.
    kStop,     ///< This process was asked to stop (stop_requested).
  };
  /// Where the child writes lines for this process; its standard output and error are this one's.
  static constexpr int kReportDescriptor = 3;

  /// Starts the child with the arguments and writes `input` to its standard input. Throws
  /// std::runtime_error if it cannot be started.
  Child(const std::vector<std::string>& arguments, const std::string& input);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  Event read_line(std::string& line, Time deadline);
  /// Kills the child if it still runs, and says how it ended: "", if it returned 0.
  std::string finish();

 private:
  pid_t pid_ = -1;
  int report_ = -1;
  std::string pending_;
};

/// From now on SIGTERM and SIGINT only set what stop_requested() returns.
void catch_stop_signals();
bool stop_requested();

}  // namespace ridge::kernels::bench
