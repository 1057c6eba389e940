#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

// ridge-bench against faults of every kind (faulty_bench/main.cpp): whatever happens to one family
// or point, the others are measured, and what was measured is in the files.

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class FaultyBench : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              (std::string("ridge_bench_") +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  pid_t start(std::vector<std::string> arguments, const std::string& variable = "") {
    arguments.insert(arguments.begin(), RIDGE_FAULTY_BENCH);
    arguments.insert(arguments.end(), {"-o", output()});
    const pid_t pid = fork();
    if (pid == 0) {
      const int log = open((folder_ / "log").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      dup2(log, STDOUT_FILENO);
      dup2(log, STDERR_FILENO);
      if (!variable.empty()) {
        putenv(const_cast<char*>(variable.c_str()));
      }
      std::vector<char*> argv;
      for (std::string& argument : arguments) {
        argv.push_back(argument.data());
      }
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(127);
    }
    return pid;
  }
  /// The exit status, or minus the signal that ended it.
  static int finish(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }
  int run(const std::vector<std::string>& arguments, const std::string& variable = "") {
    return finish(start(arguments, variable));
  }

  std::string output() const { return folder_ / "m.json"; }
  static std::string text_of(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  std::string log() const { return text_of(folder_ / "log"); }
  json document() const { return json::parse(text_of(output())); }

  /// "family kernel i" of every point measured.
  std::set<std::string> measured() const {
    std::set<std::string> names;
    const json whole = document();
    for (const json& point : whole["points"]) {
      names.insert(point["family"].get<std::string>() + " " + point["kernel"].get<std::string>() +
                   " " + std::to_string(point["shape"]["i"].get<int>()));
    }
    return names;
  }
  static std::set<std::string> all_but(const std::string& family, const std::set<int>& left_out) {
    std::set<std::string> names = {family + " library 0"};
    for (int i = 0; i < 4; ++i) {
      if (left_out.count(i) == 0) {
        names.insert(family + " ridge " + std::to_string(i));
      }
    }
    return names;
  }
  /// Waits until the journal of the run has so many lines.
  void wait_for_points(std::size_t lines) const {
    for (int i = 0; i < 600; ++i) {
      const std::string journal = text_of(output() + ".partial");
      if (static_cast<std::size_t>(std::count(journal.begin(), journal.end(), '\n')) > lines) {
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    FAIL() << "no point was measured: " << log();
  }

  fs::path folder_;
};

TEST_F(FaultyBench, MeasuresEverythingOfAGoodFamilyAndLeavesNoJournal) {
  EXPECT_EQ(run({"--family", "good"}), 0) << log();
  EXPECT_EQ(measured(), all_but("good", {}));
  EXPECT_EQ(document()["clocks"]["first"]["sm_MHz"], 1755);
  EXPECT_FALSE(fs::exists(output() + ".partial"));
}

TEST_F(FaultyBench, AnExceptionCostsItsOwnPoint) {
  EXPECT_EQ(run({"--family", "throws"}), 1);
  EXPECT_EQ(measured(), all_but("throws", {1}));
  EXPECT_EQ(document()["not_measured"].size(), 1u);
  EXPECT_EQ(document()["not_measured"][0]["why"], "a library lacks a mode");
}

TEST_F(FaultyBench, AHangCostsItsOwnPointAndItsTimeLimit) {
  EXPECT_EQ(run({"--family", "hangs", "--item-limit", "1"}), 1);
  EXPECT_EQ(measured(), all_but("hangs", {1}));
  EXPECT_NE(document()["not_measured"][0]["why"].get<std::string>().find("no answer within 1 s"),
            std::string::npos);
}

TEST_F(FaultyBench, ADeathCostsItsOwnPoint) {
  EXPECT_EQ(run({"--family", "dies"}), 1);
  EXPECT_EQ(measured(), all_but("dies", {1}));
  EXPECT_EQ(document()["not_measured"][0]["why"], "the worker died of Killed");
  fs::remove(output());
  EXPECT_EQ(run({"--family", "exits", "--fresh"}), 1);
  EXPECT_EQ(document()["not_measured"][0]["why"], "the worker exited with 7");
}

TEST_F(FaultyBench, ABrokenDeviceIsLeftToItsProcess) {
  EXPECT_EQ(run({"--family", "breaks"}), 1);
  EXPECT_EQ(measured(), all_but("breaks", {1}));
  EXPECT_EQ(document()["not_measured"][0]["why"], "an illegal address");
}

TEST_F(FaultyBench, AWrongKernelIsNotTimedWhereItIsWrongAndEverythingElseIs) {
  EXPECT_EQ(run({"--family", "wrong", "--family", "good", "--family", "ceiling"}), 1);
  std::set<std::string> want = all_but("wrong", {0, 1});  // The instance of both is wrong.
  want.merge(all_but("good", {}));
  want.merge(all_but("ceiling", {}));
  EXPECT_EQ(measured(), want);
  EXPECT_EQ(document()["checks"]["comparisons"], 4);
  ASSERT_EQ(document()["checks"]["wrong"].size(), 1u);
  EXPECT_NE(document()["checks"]["wrong"][0]["why"].get<std::string>().find("worst at element 3"),
            std::string::npos);
}

TEST_F(FaultyBench, AHangingComparisonIsAWrongOne) {
  EXPECT_EQ(run({"--check", "--family", "case_hangs", "--item-limit", "1"}), 1);
  EXPECT_NE(log().find("1 of 4 comparisons with the references failed"), std::string::npos)
      << log();
}

TEST_F(FaultyBench, SmokeCasesComeFirstThenCeilingsThenTargetsThenTheGrid) {
  EXPECT_EQ(run({"--family", "wrong", "--family", "good", "--family", "ceiling"}), 1);
  const std::string text = log();
  std::size_t last = 0;
  for (const char* stage :
       {"-- wrong: smoke, 2", "-- ceiling: ceilings, 4", "-- wrong: checks, 2",
        "-- wrong: targets, 1", "-- good: targets, 1", "-- wrong: grid, ", "-- good: grid, 4"}) {
    const std::size_t at = text.find(stage);
    ASSERT_NE(at, std::string::npos) << stage << "\n" << text;
    EXPECT_GE(at, last) << stage;
    last = at;
  }
}

TEST_F(FaultyBench, SmokeIsTheSimplestCaseOfEveryInstance) {
  EXPECT_EQ(run({"--check", "--smoke", "--family", "wrong"}), 0) << log();
  EXPECT_NE(log().find("0 of 2 comparisons with the references failed"), std::string::npos);
}

TEST_F(FaultyBench, ATimeLimitWritesWhatThereIsAndTheNextRunGoesOn) {
  EXPECT_EQ(run({"--family", "good", "--family", "slow", "--time-limit", "1"}), 4) << log();
  const std::size_t first = measured().size();
  EXPECT_GE(first, 1u);
  EXPECT_LT(first, 10u);
  EXPECT_EQ(first + document()["not_measured"].size(), 10u);
  EXPECT_EQ(run({"--family", "good", "--family", "slow"}), 0) << log();
  EXPECT_NE(log().find("continuing an interrupted run: " + std::to_string(first)),
            std::string::npos);
  EXPECT_EQ(measured().size(), 10u);
}

TEST_F(FaultyBench, TerminationWritesWhatThereIs) {
  const pid_t pid = start({"--family", "slow"});
  wait_for_points(1);
  kill(pid, SIGTERM);
  EXPECT_EQ(finish(pid), 4);
  EXPECT_GE(measured().size(), 1u);
  EXPECT_LT(measured().size(), 5u);
}

TEST_F(FaultyBench, KillingLosesNothingThatWasMeasured) {
  const pid_t pid = start({"--family", "good", "--family", "slow"});
  wait_for_points(3);
  kill(pid, SIGKILL);
  EXPECT_EQ(finish(pid), -SIGKILL);
  EXPECT_NO_THROW(document());  // Of the tasks that were complete.
  EXPECT_EQ(run({"--family", "good", "--family", "slow"}), 0);
  EXPECT_NE(log().find("continuing an interrupted run: "), std::string::npos);
  EXPECT_EQ(measured().size(), 10u);
}

TEST_F(FaultyBench, NeverWritesOverAnotherDevicesFiles) {
  const pid_t pid = start({"--family", "slow"}, "FAULTY_UUID=GPU-A");
  wait_for_points(1);
  kill(pid, SIGTERM);
  finish(pid);
  const std::string journal = text_of(output() + ".partial");
  const std::string file = text_of(output());
  EXPECT_EQ(run({"--family", "good"}, "FAULTY_UUID=GPU-B"), 0);
  EXPECT_EQ(text_of(output() + ".partial.1"), journal);
  EXPECT_EQ(text_of(output() + ".1"), file);
  EXPECT_EQ(document()["device"]["uuid"], "GPU-B");
}

TEST_F(FaultyBench, SaysWhenThereIsNoDeviceAndWhenItCannotBeAsked) {
  EXPECT_EQ(run({"--family", "good"}, "FAULTY_DEVICE=absent"), 3);
  EXPECT_NE(log().find("no CUDA device"), std::string::npos);
  EXPECT_EQ(run({"--family", "good"}, "FAULTY_DEVICE=crash"), 1);
  EXPECT_NE(log().find("died of Segmentation fault"), std::string::npos) << log();
  EXPECT_FALSE(fs::exists(output()));
}

TEST_F(FaultyBench, AMistakeOnTheCommandLineIsNamed) {
  EXPECT_EQ(run({"--family", "god"}), 2);
  EXPECT_NE(log().find("there is no family 'god'"), std::string::npos);
  EXPECT_EQ(run({"--only", "no such point"}), 2);
  EXPECT_NE(log().find("nothing to do"), std::string::npos);
}

}  // namespace
