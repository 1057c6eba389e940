#include "bench/child.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ridge::kernels::bench {
namespace {

volatile std::sig_atomic_t stop_signal = 0;

void note_stop(int signal) {
  stop_signal = signal;
}

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = note_stop;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  // A child that died before it read its input shows as such, not as the end of this process.
  std::signal(SIGPIPE, SIG_IGN);
}

bool stop_requested() {
  return stop_signal != 0;
}

Child::Child(const std::vector<std::string>& arguments, const std::string& input) {
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
    fail("cannot make a pipe");
  }
  std::vector<char*> argv = {const_cast<char*>("ridge-bench")};
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  std::fflush(stdout);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
      _exit(127);  // The parent died before the line above.
    }
    // Both pipes may lie on the descriptors that they are moved to, and dup2 of a descriptor onto
    // itself would leave it to be closed by exec: first out of the way.
    const int from = fcntl(in[0], F_DUPFD_CLOEXEC, 16);
    const int to = fcntl(out[1], F_DUPFD_CLOEXEC, 16);
    dup2(from, STDIN_FILENO);
    dup2(to, kReportDescriptor);
    std::signal(SIGPIPE, SIG_DFL);
    execv("/proc/self/exe", argv.data());
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  report_ = out[0];
  if (pid_ < 0) {
    close(in[1]);
    fail("cannot start a worker");
  }
  std::size_t written = 0;
  while (written < input.size()) {
    const ssize_t count = write(in[1], input.data() + written, input.size() - written);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      break;  // It died: read_line tells.
    }
    written += static_cast<std::size_t>(count);
  }
  close(in[1]);
}

Child::~Child() {
  finish();
  close(report_);
}

Child::Event Child::read_line(std::string& line, Time deadline) {
  for (;;) {
    const std::size_t end = pending_.find('\n');
    if (end != std::string::npos) {
      line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return Event::kLine;
    }
    if (stop_requested()) {
      return Event::kStop;
    }
    using std::chrono::milliseconds;
    const auto left =
        std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return Event::kTimeout;
    }
    // In slices, so that a signal between the look above and the wait below is not missed for long.
    pollfd wait = {report_, POLLIN, 0};
    const int ready = poll(&wait, 1, static_cast<int>(std::min<long long>(left.count(), 200)));
    if (ready <= 0) {
      continue;
    }
    char buffer[4096];
    const ssize_t count = read(report_, buffer, sizeof(buffer));
    if (count > 0) {
      pending_.append(buffer, static_cast<std::size_t>(count));
    } else if (count == 0 || errno != EINTR) {
      return Event::kEnd;
    }
  }
}

std::string Child::finish() {
  if (pid_ < 0) {
    return "";
  }
  // One that has closed its report is about to end by itself: let it say how.
  int status = 0;
  pid_t ended = 0;
  for (int i = 0; i < 100 && ended == 0; ++i) {
    ended = waitpid(pid_, &status, WNOHANG);
    pollfd wait = {report_, POLLIN, 0};
    if (ended == 0 && (poll(&wait, 1, 0) == 0 || (wait.revents & POLLHUP) == 0)) {
      break;
    }
    if (ended == 0) {
      usleep(10000);
    }
  }
  if (ended == 0) {
    kill(pid_, SIGKILL);
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) {
    return std::string("died of ") + strsignal(WTERMSIG(status));
  }
  return WEXITSTATUS(status) == 0 ? "" : "exited with " + std::to_string(WEXITSTATUS(status));
}

}  // namespace ridge::kernels::bench
