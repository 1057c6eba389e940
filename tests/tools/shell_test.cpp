// The program in its surroundings: one's own library, missing data, shells, its version.
#include "program.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace ridge::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// An environment variable, for as long as a test needs it.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() {
    if (before_) {
      ::setenv(name_, before_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> before_;
};

// $XDG_CONFIG_HOME with a chip and a scenario of one's own.
class Own : public testing::Test {
 protected:
  Own() {
    fs::create_directories(home_ / "ridge/chips");
    fs::create_directories(home_ / "ridge/scenarios");
    fs::copy_file(source_path("hwmodels/data/chips/h800.json"), chip_,
                  fs::copy_options::overwrite_existing);
    std::ofstream(home_ / "ridge/scenarios/my-costs.json")
        << R"({"kind": "cost", "title": "Mine", "models": ["step-3"], "chips": ["my-chip"],
            "context_tokens": [8192]})";
  }
  ~Own() override { fs::remove_all(home_); }

  const fs::path home_ = fs::path(testing::TempDir()) / ("ridge-own-" + std::to_string(::getpid()));
  const fs::path chip_ = home_ / "ridge/chips/my-chip.json";
  const Variable config_{"XDG_CONFIG_HOME", home_.string()};
};

TEST_F(Own, PartsAreFoundByNameAndCostWhatTheSamePartCosts) {
  const Outcome mine = ridge({"cost", "--model", "step-3", "--chip", "my-chip", "--format", "csv"});
  const Outcome path =
      ridge({"cost", "--model", "step-3", "--chip", chip_.string(), "--format", "csv"});
  EXPECT_EQ(mine.status, 0) << mine.err;
  EXPECT_EQ(mine.out, path.out);
  EXPECT_EQ(ridge({"cost", "my-costs"}).status, 0) << ridge({"cost", "my-costs"}).err;
}

TEST_F(Own, ListSaysWhereEachComesFrom) {
  const Outcome chips = ridge({"list", "chips"});
  EXPECT_THAT(chips.out, testing::ContainsRegex("\nmy-chip +" + chip_.parent_path().string()));
  EXPECT_THAT(chips.out, testing::ContainsRegex("\nh800 +Ridge "));
  EXPECT_THAT(ridge({"list", "scenarios"}).out, HasSubstr("my-costs"));
  // Without any of one's own the column would say the same in each row.
  EXPECT_THAT(ridge({"list", "models"}).out, Not(HasSubstr("Ridge")));
}

TEST(Data, ThatIsNotThereIsAnErrorThatSaysSo) {
  const Variable data("RIDGE_DATA", "/no/such/folder");
  for (const std::vector<std::string>& question :
       std::vector<std::vector<std::string>>{{"cost"},
                                             {"list", "models"},
                                             {"simulate", "x"},
                                             {"reproduce", "x"},

                                             {"show", "x"},
                                             {"cost", "--help"}}) {
    const Outcome run = ridge(question);
    EXPECT_EQ(run.status, 2) << question.front();
    EXPECT_THAT(run.err, HasSubstr("/no/such/folder")) << question.front();
  }
  // What needs no data does without.
  EXPECT_EQ(ridge({"--version"}).status, 0);
  EXPECT_EQ(ridge({"--help"}).status, 0);
  EXPECT_EQ(ridge({"schema", "chip"}).status, 0);
}

TEST(Version, VerboseNamesTheBuildTheDataAndEveryCalibration) {
  const Outcome run = ridge({"--version", "--verbose"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("\ncommit "), HasSubstr("\nbuild "), HasSubstr("\ndata "),
                             HasSubstr("calibration  a100: ")));
  EXPECT_THAT(ridge({"--version"}).out, testing::MatchesRegex("ridge [0-9.]+\n"));
  EXPECT_EQ(ridge({"--verbose", "cost"}).status, 2);
}

TEST(Schema, PrintsTheSchemaOfAKindOfFile) {
  const Outcome run = ridge({"schema", "chip"});
  EXPECT_TRUE(json::parse(run.out).contains("$schema"));
  const Outcome unknown = ridge({"schema", "chp"});
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean \"chip\"?"));
}

// Names of the commands, as help lists them.
std::set<std::string> commands() {
  std::set<std::string> names;
  std::istringstream help(ridge({"--help"}).out);
  bool listed = false;
  for (std::string line; std::getline(help, line);) {
    if (line == "Subcommands:") {
      listed = true;
    } else if (line.empty()) {
      listed = false;
    } else if (listed && line.size() > 2 && line[2] != ' ') {
      names.insert(line.substr(2, line.find(' ', 2) - 2));
    }
  }
  return names;
}

TEST(Completion, EveryShellAndTheManualKnowEveryCommand) {
  ASSERT_GE(commands().size(), 14U);
  for (const std::vector<std::string>& question : std::vector<std::vector<std::string>>{
           {"completion", "bash"}, {"completion", "zsh"}, {"completion", "fish"}, {"manual"}}) {
    const Outcome run = ridge(question);
    EXPECT_EQ(run.status, 0) << run.err;
    for (const std::string& command : commands()) EXPECT_THAT(run.out, HasSubstr(command));
    EXPECT_THAT(run.out, HasSubstr(question.front() == "manual" ? "\\-\\-samples" : "samples"));
  }
}

// What bash offers after `words`, the last of which is being written.
std::string offered(const std::string& words) {
  const fs::path script =
      fs::path(testing::TempDir()) / ("ridge-completion-" + std::to_string(::getpid()));
  std::ofstream(script) << "ridge() { '" RIDGE_PROGRAM "' \"$@\"; }\n"
                        << "source <(ridge completion bash)\n"
                        << "compopt() { :; }\n"  // only within a completion
                        << "COMP_WORDS=(" << words << ")\n"
                        << "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
                        << "_ridge; echo \"${COMPREPLY[@]}\"\n";
  const fs::path out = script.string() + ".out";
  const int status =
      std::system(("bash '" + script.string() + "' >'" + out.string() + "' 2>&1").c_str());
  EXPECT_EQ(status, 0);
  std::ostringstream text;
  text << std::ifstream(out).rdbuf();
  fs::remove(script);
  fs::remove(out);
  return text.str();
}

TEST(Completion, BashOffersCommandsOptionsChoicesAndNames) {
  EXPECT_EQ(offered("ridge sim"), "simulate\n");
  EXPECT_EQ(offered("ridge cost --cont"), "--context\n");
  EXPECT_EQ(offered("ridge cost --format j"), "json\n");
  EXPECT_EQ(offered("ridge cost --chip h80"), "h800\n");
  EXPECT_EQ(offered("ridge cost --chip a100,h80"), "a100,h800\n");
  EXPECT_EQ(offered("ridge list cal"), "calibrations\n");
  EXPECT_EQ(offered("ridge simulate step3-4"), "step3-4a2f-8k-fp8\n");
  EXPECT_EQ(offered("ridge show step-3."), "step-3.5-flash\n");
}

TEST(Completion, FishOffersWhatBashOffers) {
  if (run("which", {"fish"}).status != 0) GTEST_SKIP() << "no fish on this machine";
  const Outcome asked = run(
      "fish", {"--no-config", "-c",
               "function ridge; '" RIDGE_PROGRAM "' $argv; end; ridge completion fish | source; "
               "for words in 'sim' 'cost --cont' 'cost --format j' 'cost --chip h80' 'list cal' "
               "'simulate step3-4' 'show step-3.'; complete -C \"ridge $words\"; end"});
  std::string words;
  std::istringstream lines(asked.out);
  for (std::string line; std::getline(lines, line);) words += line.substr(0, line.find('\t')) + " ";
  EXPECT_EQ(words, "simulate --context json h800 calibrations step3-4a2f-8k-fp8 step-3.5-flash ");
}

TEST(Completion, ZshReadsItsScript) {
  if (run("which", {"zsh"}).status != 0) GTEST_SKIP() << "no zsh on this machine";
  const TemporaryFile script("_ridge", ridge({"completion", "zsh"}).out);
  const Outcome read = run("zsh", {"-n", script.path()});
  EXPECT_EQ(read.status, 0) << read.err;
}

TEST(Manual, IsSetWithoutAWarning) {
  if (run("which", {"man"}).status != 0) GTEST_SKIP() << "no man on this machine";
  const TemporaryFile page("ridge.1", ridge({"manual"}).out);
  const Outcome set = run("man", {"--warnings", "-l", page.path()});
  EXPECT_EQ(set.err, "");
  EXPECT_THAT(set.out, HasSubstr("What a deployment delivers"));
}

}  // namespace
}  // namespace ridge::test
