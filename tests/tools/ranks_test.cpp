// Several processes that answer one question, where Ridge is built with MPI.
#include "program.hpp"
#include "small_sweep.hpp"
#include "temporary_file.hpp"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ridge::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Of the process with this number; 0 where there is none.
pid_t session_of(const fs::path& process) {
  std::string text;
  std::getline(std::ifstream(process / "stat"), text);
  // "number (name) state parent group session ...", where the name may hold anything.
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(text.substr(name_end + 1));
  std::string state;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  rest >> state >> parent >> group >> session;
  return session;
}

// A command in a session of its own, which holds all that it starts.
class Session {
 public:
  explicit Session(const std::string& command) : leader_(::fork()) {
    if (leader_ != 0) return;
    ::setsid();
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) ::dup2(null, fd);
    ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    ::_exit(127);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { (void)kill(); }

  [[nodiscard]] bool runs() {
    if (leader_ != 0 && ::waitpid(leader_, &status_, WNOHANG) == leader_) leader_ = 0;
    return leader_ != 0;
  }
  // All of it at once, as a machine that fails does. How many processes that were.
  std::size_t kill() {
    if (!runs()) return 0;
    std::vector<pid_t> all;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      if (session_of(entry.path()) == leader_) all.push_back(static_cast<pid_t>(std::stol(name)));
    }
    for (const pid_t process : all) ::kill(process, SIGKILL);
    ::waitpid(leader_, &status_, 0);
    leader_ = 0;
    return all.size();
  }

 private:
  pid_t leader_;
  int status_ = 0;
};

class Ranks : public testing::Test {
 protected:
  ~Ranks() override {
    fs::remove(journal_);
    fs::remove_all(scratch_);
  }
  void SetUp() override {
    if (!RIDGE_HAS_MPI) GTEST_SKIP() << "built without MPI";
    fs::create_directories(scratch_);
  }
  // Two minutes are for what should take seconds and waits for ever. What a killed run leaves of
  // MPI's own goes with the test.
  [[nodiscard]] std::string mpirun_command(int ranks, const std::string& command) const {
    return fmt::format(
        "TMPDIR={0} OMPI_MCA_btl_vader_backing_directory={0} OMPI_ALLOW_RUN_AS_ROOT=1 "
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout --foreground 120 mpirun --oversubscribe -n {1} "
        "{2}",
        scratch_, ranks, command);
  }
  [[nodiscard]] Outcome mpirun(int ranks, const std::string& command) const {
    return run("sh", {"-c", mpirun_command(ranks, command)});
  }
  [[nodiscard]] std::string sweep_command(const std::string& more = {}) const {
    return fmt::format("{} sweep {} {}", RIDGE_PROGRAM, sweep_.path(), more);
  }
  TemporaryFile sweep_{"sweep.json", kSmallSweep};
  std::string journal_ = sweep_.path() + ".journal";
  std::string scratch_ = sweep_.path() + ".mpi";
};

TEST_F(Ranks, AnswerWithTheBytesOfOneProcess) {
  const Outcome alone = ridge({"sweep", sweep_.path()});
  for (const int ranks : {1, 2, 4}) {
    const Outcome together = mpirun(ranks, sweep_command());
    EXPECT_EQ(together.status, 0) << together.err;
    EXPECT_EQ(together.out, alone.out) << ranks;
  }
}

TEST_F(Ranks, ALostOneIsNamedAndLosesNothing) {
  const Outcome alone = ridge({"sweep", sweep_.path()});
  // Rank 1 kills itself once some points are on disk.
  const std::string command = fmt::format(
      "sh -c 'if [ \"$OMPI_COMM_WORLD_RANK\" = 1 ]; then "
      "{0} & p=$!; until [ \"$(cat {1} 2>/dev/null | wc -l)\" -gt 5 ]; do sleep 0.01; done; "
      "kill -9 $p; wait $p; exit 137; else exec {0}; fi'",
      sweep_command("--journal " + journal_), journal_);
  const Outcome lost = mpirun(2, command);
  EXPECT_NE(lost.status, 0);
  EXPECT_THAT(lost.err, HasSubstr("rank 1 (process "));
  EXPECT_THAT(lost.err, HasSubstr("was lost; what is finished is in " + journal_));
  EXPECT_EQ(lost.out, "");
  const Outcome resumed = mpirun(4, sweep_command("--journal " + journal_));
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(resumed.out, alone.out);
}

// Each run goes on from the journal of the one before; one that is done is begun anew.
TEST_F(Ranks, AreKilledAtTwentyMomentsAndGoOnToTheSameBytes) {
  const Outcome alone = ridge({"sweep", sweep_.path()});
  const std::string command = sweep_command("--journal " + journal_);
  std::mt19937 random(20);
  std::size_t had = 0;
  std::size_t in_the_middle = 0;
  const auto finish = [&] {
    const Outcome resumed = mpirun(2, command);
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    EXPECT_EQ(resumed.out, alone.out);
    EXPECT_EQ(lines(journal_), kSmallSweepPoints + 1);
    fs::remove(journal_);
    had = 0;
  };
  for (int moment = 0; moment < 20; ++moment) {
    SCOPED_TRACE(moment);
    // From before its ranks have met to when it has some points more.
    const std::size_t at = had + random() % 6;
    const std::chrono::microseconds later(random() % 20000);
    Session session(mpirun_command(moment % 2 == 0 ? 2 : 4, command));
    while (lines(journal_) < at && session.runs()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::this_thread::sleep_for(later);
    const std::size_t killed = session.kill();
    const std::size_t has = lines(journal_);
    EXPECT_GE(has, had) << "a point was lost";
    had = has;
    in_the_middle += killed > 2 && has > 1 && has < kSmallSweepPoints + 1 ? 1 : 0;
    if (had > kSmallSweepPoints) finish();
  }
  EXPECT_GE(in_the_middle, 10U);
  finish();
}

TEST_F(Ranks, PlanWithTheBytesOfOneProcess) {
  for (const char* how : {"--samples 0 --format json", "--samples 20", "--samples 0 --front"}) {
    const std::string command = fmt::format(
        "{} plan --model llama-3.1-8b --chip h800 --gpus 8 --tpot-ms 20 {}", RIDGE_PROGRAM, how);
    const Outcome alone = run("sh", {"-c", command});
    ASSERT_EQ(alone.status, 0) << alone.err;
    for (const int ranks : {1, 2, 4}) {
      const Outcome together = mpirun(ranks, command);
      EXPECT_EQ(together.status, 0) << together.err;
      EXPECT_EQ(together.out, alone.out) << ranks << " ranks: " << how;
    }
  }
}

TEST_F(Ranks, OneThatAPlanLosesIsNamed) {
  // Rank 1 kills itself once all have met: the search of so many takes seconds.
  const std::string plan = fmt::format(
      "{} plan --model step-3 --chip h800 --gpus 32 --tpot-ms 50 --samples 0", RIDGE_PROGRAM);
  const Outcome lost = mpirun(
      2, fmt::format("sh -c 'if [ \"$OMPI_COMM_WORLD_RANK\" = 1 ]; then {0} & p=$!; sleep 1.5; "
                     "kill -9 $p; wait $p; exit 137; else exec {0}; fi'",
                     plan));
  EXPECT_NE(lost.status, 0);
  EXPECT_THAT(lost.err, HasSubstr("rank 1 (process "));
  EXPECT_THAT(lost.err, HasSubstr("was lost"));
  EXPECT_EQ(lost.out, "");
}

TEST_F(Ranks, AMistakeIsToldOnce) {
  const Outcome refused = mpirun(2, fmt::format("{} sweep no-such-sweep", RIDGE_PROGRAM));
  EXPECT_EQ(refused.status, 2);
  const auto first = refused.err.find("no-such-sweep");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(refused.err.find("ridge: ", first), std::string::npos);
}

TEST(RanksWithoutMpi, AreRefusedRatherThanEachAnsweringAll) {
  if (RIDGE_HAS_MPI) GTEST_SKIP() << "built with MPI";
  const Outcome refused =
      run("env", {"OMPI_COMM_WORLD_SIZE=2", RIDGE_PROGRAM, "sweep", "sweep-mfa-heads"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_THAT(refused.err, HasSubstr("built without MPI"));
}

}  // namespace
}  // namespace ridge::test
