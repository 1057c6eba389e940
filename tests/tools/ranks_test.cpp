// Several processes that answer one sweep, where Ridge is built with MPI.
#include "program.hpp"
#include "small_sweep.hpp"
#include "temporary_file.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Ranks : public testing::Test {
 protected:
  ~Ranks() override { fs::remove(journal_); }
  void SetUp() override {
    if (!RIDGE_HAS_MPI) GTEST_SKIP() << "built without MPI";
  }
  // A minute is for what should take seconds and waits for ever.
  [[nodiscard]] static Outcome mpirun(int ranks, const std::string& command) {
    return run("sh", {"-c", fmt::format("OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
                                        "timeout 120 mpirun --oversubscribe -n {} {}",
                                        ranks, command)});
  }
  [[nodiscard]] std::string sweep_command(const std::string& more = {}) const {
    return fmt::format("{} sweep {} {}", RIDGE_PROGRAM, sweep_.path(), more);
  }
  TemporaryFile sweep_{"sweep.json", kSmallSweep};
  std::string journal_ = sweep_.path() + ".journal";
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
