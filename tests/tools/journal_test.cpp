// A sweep that is killed goes on from its journal.
#include "program.hpp"
#include "small_sweep.hpp"
#include "temporary_file.hpp"

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

namespace ridge::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Starts the program, and kills it once the journal has so many lines and some time more has
// passed. Whether it was killed before it was done.
bool killed(const std::vector<std::string>& arguments, const std::string& journal,
            std::size_t at_lines, std::chrono::microseconds later) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) ::dup2(null, fd);
    std::vector<char*> words = {const_cast<char*>(RIDGE_PROGRAM)};
    for (const auto& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execv(RIDGE_PROGRAM, words.data());
    ::_exit(127);
  }
  int status = 0;
  while (lines(journal) < at_lines && ::waitpid(child, &status, WNOHANG) == 0) {
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  std::this_thread::sleep_for(later);
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status);
}

class Killed : public testing::Test {
 protected:
  ~Killed() override { fs::remove(journal_); }
  TemporaryFile sweep_{"sweep.json", kSmallSweep};
  std::string journal_ = sweep_.path() + ".journal";
};

TEST_F(Killed, ASweepGoesOnToTheSameBytesFromTwentyMoments) {
  const Outcome plain = ridge({"sweep", sweep_.path(), "--format", "json"});
  ASSERT_EQ(plain.status, 0) << plain.err;
  const std::vector<std::string> again = {"sweep",     sweep_.path(), "--format",  "json",
                                          "--journal", journal_,      "--threads", "2"};
  std::size_t in_the_middle = 0;
  for (std::size_t moment = 0; moment < 20; ++moment) {
    SCOPED_TRACE(moment);
    fs::remove(journal_);
    // The first kills fall before the journal is made, the others between its lines and on them.
    const std::size_t at = moment * kSmallSweepPoints / 20;
    (void)killed(again, journal_, at, std::chrono::microseconds(moment * 1237 % 4001));
    if (fs::exists(journal_)) {
      const std::size_t done = lines(journal_);
      EXPECT_GE(done, at);
      in_the_middle += done > 1 && done < kSmallSweepPoints + 1 ? 1 : 0;
    }
    const Outcome resumed = ridge(again);
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    EXPECT_EQ(resumed.out, plain.out);
    EXPECT_EQ(lines(journal_), kSmallSweepPoints + 1);
  }
  EXPECT_GE(in_the_middle, 10U);
}

TEST_F(Killed, AgainAndAgainItLosesNothing) {
  const Outcome plain = ridge({"sweep", sweep_.path()});
  const std::vector<std::string> again = {"sweep", sweep_.path(), "--journal", journal_};
  std::size_t had = 0;
  while (had < kSmallSweepPoints) {
    (void)killed(again, journal_, had + 3, std::chrono::microseconds(0));
    ASSERT_GE(lines(journal_), had);
    had = lines(journal_);
  }
  EXPECT_EQ(ridge(again).out, plain.out);
}

TEST(Shards, AreMergedToTheBytesOfOneRun) {
  const TemporaryFile sweep("sweep.json", kSmallSweep);
  const TemporaryFile parts("parts", "");
  const std::string plain = ridge({"sweep", sweep.path()}).out;
  std::vector<std::string> merge = {"merge"};
  for (const char* shard : {"2/3", "1/3", "3/3"}) {
    const std::string journal = parts.path() + "-" + shard[0];
    const Outcome one = ridge({"sweep", sweep.path(), "--shard", shard, "--journal", journal});
    EXPECT_EQ(one.status, 0) << one.err;
    EXPECT_EQ(one.out, "");
    EXPECT_THAT(one.err, HasSubstr("ridge merge puts all of them together"));
    merge.push_back(journal);
  }
  EXPECT_EQ(ridge(merge).out, plain);
  merge.pop_back();
  const Outcome less = ridge(merge);
  EXPECT_EQ(less.status, 2);
  EXPECT_THAT(less.err, HasSubstr("a shard is missing, or has not finished"));
  for (const char* part : {"1", "2", "3"}) fs::remove(parts.path() + "-" + part);
}

TEST(Shards, WithoutAPlaceOrOutOfRangeAreRefused) {
  const TemporaryFile sweep("sweep.json", kSmallSweep);
  EXPECT_THAT(ridge({"sweep", sweep.path(), "--shard", "1/2"}).err, HasSubstr("--journal"));
  for (const char* shard : {"0/2", "3/2", "1", "1/2x", "a/b"}) {
    const Outcome refused =
        ridge({"sweep", sweep.path(), "--journal", sweep.path() + ".j", "--shard", shard});
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.err, HasSubstr("such as 2/8, got")) << shard;
  }
}

}  // namespace
}  // namespace ridge::test
