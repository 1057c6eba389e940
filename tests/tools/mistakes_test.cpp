// What the program says to mistakes: exit status 2, a message that names file, place, expected and
// found, nothing on standard output, and nothing half-written.
#include "program.hpp"
#include "source_tree.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/wait.h>

namespace ridge::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class Mistake : public testing::Test {
 protected:
  Mistake() {
    std::string name = (fs::temp_directory_path() / "ridge-mistake-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~Mistake() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return path(name);
  }

  // A model file after a change that somebody might make by mistake.
  std::string model_after(const std::function<void(json&)>& change) const {
    json model = json::parse(source_text("models/data/step-3.json"));
    change(model);
    return write("my.json", model.dump(1));
  }

  // What `ridge cost` says of a model file; expects that it refuses.
  static std::string refusal(const std::string& model) {
    const Outcome run = ridge({"cost", "--model", model, "--chip", "h800", "--context", "8K"});
    EXPECT_EQ(run.status, 2) << run.err;
    EXPECT_EQ(run.out, "");
    EXPECT_THAT(run.err, HasSubstr("ridge: "));
    return run.err;
  }

  // `ridge ARGUMENTS REDIRECTION`, by the shell.
  [[nodiscard]] Outcome shell(const std::string& arguments) const {
    const std::string command =
        std::string("'") + RIDGE_PROGRAM + "' " + arguments + " 2>'" + path("err") + "'";
    const int status = std::system(command.c_str());
    std::ostringstream err;
    err << std::ifstream(path("err")).rdbuf();
    return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1, .out = {}, .err = err.str()};
  }

  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  fs::path folder_;
};

TEST_F(Mistake, AWrongTypeNamesWhatWasExpectedAndFound) {
  EXPECT_THAT(refusal(model_after([](json& m) { m["hidden"] = "7168"; })),
              HasSubstr("my.json: /hidden: expected a whole number from 1 to 1048576, got "
                        "\"7168\""));
}

TEST_F(Mistake, AWrongUnitNamesTheKeyThatHasTheRightOne) {
  json chip = json::parse(source_text("hwmodels/data/chips/h800.json"));
  chip["memory_bandwidth_GBps"] = chip["memory_bandwidth_TBps"];
  chip.erase("memory_bandwidth_TBps");
  const Outcome run = ridge({"cost", "--chip", write("chip.json", chip.dump())});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, AllOf(HasSubstr("missing key \"memory_bandwidth_TBps\" (in terabytes"),
                             HasSubstr("unknown key \"memory_bandwidth_GBps\"; the unit is part "
                                       "of the key: \"memory_bandwidth_TBps\"")));
}

TEST_F(Mistake, AnUnknownKeyNamesTheNearestOne) {
  EXPECT_THAT(refusal(model_after([](json& m) { m["atention"] = 1; })),
              HasSubstr("unknown key \"atention\"; did you mean \"attention\"?"));
}

TEST_F(Mistake, AMissingFieldIsNamed) {
  EXPECT_THAT(refusal(model_after([](json& m) { m["attention"]["mfa"].erase("head_dim"); })),
              HasSubstr("my.json: /attention/mfa: missing key \"head_dim\""));
}

TEST_F(Mistake, NegativeAndAbsurdNumbersAreRefused) {
  EXPECT_THAT(refusal(model_after([](json& m) { m["vocabulary"] = -5; })),
              HasSubstr("/vocabulary: expected a whole number from 1 to 16777216, got -5"));
  EXPECT_THAT(refusal(model_after([](json& m) { m["attention"]["mfa"]["query_heads"] = 1e15; })),
              HasSubstr("/attention/mfa/query_heads: expected a whole number from 1 to 65536"));
}

TEST_F(Mistake, EveryProblemOfAFileIsToldInOneRun) {
  const std::string told = refusal(model_after([](json& m) {
    m["hidden"] = 0;
    m["tied_embeddings"] = "no";
    m["precision"]["cache"] = "fp7";
  }));
  EXPECT_THAT(told, AllOf(HasSubstr("/hidden: "), HasSubstr("/tied_embeddings: expected true"),
                          HasSubstr("/precision/cache: expected one of fp32, bf16, fp8")));
}

TEST_F(Mistake, TextThatIsNoJsonNamesLineAndColumn) {
  const std::string text = source_text("models/data/step-3.json");
  EXPECT_THAT(refusal(write("cut.json", text.substr(0, text.size() / 2))),
              AllOf(HasSubstr("cut.json: not valid JSON: "), HasSubstr("line ")));
  // Python writes NaN, so a configuration may hold it where nobody looks.
  EXPECT_THAT(refusal(write("nan.json", R"({"hidden": NaN})")),
              HasSubstr("/hidden: expected a whole number from 1 to 1048576, got \"NaN\""));
  EXPECT_THAT(refusal(write("huge.json", R"({"hidden": 1e999})")),
              HasSubstr("huge.json: not valid JSON: "));
  EXPECT_THAT(refusal(write("empty.json", "")), HasSubstr("empty.json: not valid JSON"));
}

TEST_F(Mistake, AKeyGivenTwiceIsNamed) {
  EXPECT_THAT(refusal(write("twice.json", R"({"hidden": 1, "hidden": 2})")),
              HasSubstr("twice.json: key \"hidden\" is given twice"));
}

TEST_F(Mistake, AHundredMegabytesAndDeepNestingAreRefusedAtOnce) {
  EXPECT_THAT(refusal(write("large.json", std::string(std::size_t{100} << 20U, ' '))),
              HasSubstr("large.json: expected a file of at most 16 MiB"));
  EXPECT_THAT(refusal(write("deep.json", std::string(100000, '['))),
              HasSubstr("deep.json: nested more than 64 levels deep"));
}

TEST_F(Mistake, ADirectoryOrAMissingFileIsNamed) {
  fs::create_directory(path("folder.json"));
  EXPECT_THAT(refusal(path("folder.json")),
              HasSubstr("folder.json/config.json: cannot read"));  // a checkpoint's folder
  EXPECT_THAT(refusal(path("nowhere.json")),
              HasSubstr("nowhere.json: cannot read: No such file or directory"));
}

TEST_F(Mistake, AWrongOptionShowsTheRightOnes) {
  for (const auto& [arguments, told] :
       {std::pair{"cost --format xml", "--format"}, std::pair{"cost --context 8Q", "--context"},
        std::pair{"cost --chip h800,,h20", "--chip"}, std::pair{"cost --batch 0", "--batch"},
        std::pair{"sweep x --threads 0", "--threads"}, std::pair{"cots", "cots"}}) {
    const Outcome run = shell(std::string(arguments) + " >/dev/null");
    EXPECT_EQ(run.status, 2) << arguments;
    EXPECT_THAT(run.err, HasSubstr(told)) << arguments;
  }
}

TEST_F(Mistake, AFullDiskIsSaidAndIsNoSuccess) {
  for (const char* command : {"cost", "sweep sweep-mla-heads", "list models"}) {
    const Outcome run = shell(std::string(command) + " >/dev/full");
    EXPECT_EQ(run.status, 2) << command;
    EXPECT_THAT(run.err,
                HasSubstr("ridge: cannot write to standard output: No space left on device"));
  }
  for (const char* command : {"cost", "sweep sweep-mla-heads"}) {
    const Outcome run = shell(std::string(command) + " -o /dev/full");
    EXPECT_EQ(run.status, 2) << command;
    EXPECT_THAT(run.err, HasSubstr("ridge: /dev/full: cannot write: No space left on device"));
  }
}

TEST_F(Mistake, AnUnwritableOutputIsNamed) {
  for (const char* command : {"cost", "sweep sweep-mla-heads"}) {
    const Outcome nowhere = shell(std::string(command) + " -o '" + path("no/folder.csv") + "'");
    EXPECT_EQ(nowhere.status, 2);
    EXPECT_THAT(nowhere.err, HasSubstr("no/folder.csv: cannot write: No such file or directory"));
    const Outcome folder = shell(std::string(command) + " -o '" + path("") + "'");
    EXPECT_EQ(folder.status, 2);
    EXPECT_THAT(folder.err, HasSubstr("cannot write: it is a directory"));
  }
}

TEST_F(Mistake, APictureNeedsTwoObjectivesAndAPlace) {
  json sweep = json::parse(source_text("scenarios/sweep-mla-heads.json"));
  sweep.erase("pareto");
  const std::string scenario = write("sweep.json", sweep.dump());
  const Outcome flat =
      shell("sweep '" + scenario + "' --picture '" + path("p.svg") + "' >/dev/null");
  EXPECT_EQ(flat.status, 2);
  EXPECT_THAT(flat.err, HasSubstr("sweep.json: /pareto: a picture needs two objectives"));
  EXPECT_EQ(files(), (std::vector<std::string>{"err", "sweep.json"}));
  const Outcome nowhere =
      shell("sweep sweep-mla-heads --picture '" + path("no/p.svg") + "' >/dev/null");
  EXPECT_EQ(nowhere.status, 2);
  EXPECT_THAT(nowhere.err, HasSubstr("no/p.svg: cannot write: No such file or directory"));
}

TEST_F(Mistake, LeavesAnEarlierOutputAsItWas) {
  const std::string out = write("out.csv", "precious");
  json sweep = json::parse(source_text("scenarios/sweep-mla-heads.json"));
  sweep["axes"][1]["to"] = 1e6;
  const std::string scenario = write("sweep.json", sweep.dump());
  const Outcome run = shell("sweep '" + scenario + "' -o '" + out + "'");
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("/axes/1: /model/attention/mla/query_heads: expected a whole "
                                 "number from 1 to 65536, got"));
  EXPECT_EQ(files(), (std::vector<std::string>{"err", "out.csv", "sweep.json"}));
  std::ostringstream text;
  text << std::ifstream(out).rdbuf();
  EXPECT_EQ(text.str(), "precious");
}

TEST_F(Mistake, AnInterruptedSweepWritesNothing) {
  json sweep = json::parse(source_text("scenarios/sweep-mla-heads.json"));
  sweep["filters"] = json::array();
  sweep["axes"][1] = {
      {"pointer", "/model/attention/mla/query_heads"}, {"from", 1}, {"to", 4000}, {"step", 1}};
  const std::string scenario = write("sweep.json", sweep.dump());
  const std::string command = "timeout --signal=INT 0.5 '" + std::string(RIDGE_PROGRAM) +
                              "' sweep '" + scenario + "' --threads 2 -o '" + path("out.csv") +
                              "' 2>'" + path("err") + "'";
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 124) << "the sweep was over before the interrupt";
  std::ostringstream err;
  err << std::ifstream(path("err")).rdbuf();
  EXPECT_EQ(err.str(), "ridge: interrupted\n");
  EXPECT_EQ(files(), (std::vector<std::string>{"err", "sweep.json"}));
}

TEST_F(Mistake, AnOptionThatCannotBeHeededIsTold) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> wrong = {
      {{"cost", "--batch", "nan"}, "--batch: expected a number from 1 to 1000000000, got \"nan\""},
      {{"cost", "--batch", "inf"}, "--batch: expected a number from 1 to 1000000000, got \"inf\""},
      {{"fit", "--weights-share", "nan"}, "--weights-share: expected a number"},
      {{"fit", "--stages", "2.5"}, "--stages: expected a whole number from 1 to 64, got \"2.5\""},
      {{"simulate", "x", "--seed", "-1"}, "--seed: expected a whole number from 0 on, got \"-1\""},
      {{"simulate", "x", "--picture", "p.gif"},
       "--picture: expected a name that ends in .svg or .png"},
      {{"reproduce", "step3", "--page", "p.md"},
       "--page goes with --measured, --serving or --kernels"},
      {{"reproduce", "step3", "--samples", "3"}, "--samples goes with --measured or --serving"},
      {{"reproduce", "--serving", "m.csv", "--measured"},
       "--measured goes with the name of a report"},
      {{"sweep", "sweep-mfa-heads", "--fixed", "inputs"},
       "--fixed goes with a sweep of simulations or plans"},
      {{"sweep", "sweep-afd-ratio", "--fixed", "inputs"}, "--fixed goes with draws, and "},
      {{"reproduce", "afd-or-ep"}, "expected ridge reproduce afd-or-ep --measured"},
      {{"reproduce", "serving"}, "expected ridge reproduce serving --measured"},
      {{"cost", "--model", ""}, "--model: expected a name, got an empty one"},
      {{"cost", "--chip", ""}, "--chip: expected a name, got an empty one"},
  };
  for (const auto& [arguments, words] : wrong) {
    const Outcome run = ridge(arguments);
    EXPECT_EQ(run.status, 2) << words;
    EXPECT_EQ(run.out, "");
    EXPECT_THAT(run.err, HasSubstr(words));
  }
}

// Every command that runs a deployment says so alike.
TEST_F(Mistake, WhatDoesNotFitInMemoryIsToldAtItsKeyWithTheMostThatDoes) {
  json scenario = json::parse(source_text("scenarios/step3-2a2f-4k-fp8.json"));
  scenario["workload"]["requests_per_gpu"] = 100000;
  const std::string file = write("big.json", scenario.dump());
  for (const char* command : {"simulate", "explain"}) {
    const Outcome run = ridge({command, file});
    EXPECT_EQ(run.status, 2);
    EXPECT_THAT(run.err, AllOf(HasSubstr("big.json: /workload/requests_per_gpu: the requests of a "
                                         "GPU need 12.8 TB of KV"),
                               HasSubstr("at most 500 fit")));
  }
}

// Of two scenarios one may draw what the other knows nothing of.
TEST_F(Mistake, AFixedInputOfEitherComparedScenarioIsNone) {
  json scenario = json::parse(source_text("scenarios/qwen3-235b-tp8-h20.json"));
  scenario["ranges"] = "ours.json";
  const json ours = {{"kind", "ranges"},
                     {"inputs",
                      {{{"name", "our gap"},
                        {"of", "step_overhead_us"},
                        {"engine", "ours"},
                        {"kernels", {"sglang:*"}},
                        {"low", 1},
                        {"high", 2},
                        {"source", "here"}}}}};
  write("ours.json", ours.dump());
  const std::string own = write("own.json", scenario.dump());
  scenario.erase("ranges");
  const std::string other = write("other.json", scenario.dump());
  const std::vector<std::string> how = {"--samples", "2", "--fixed", "our gap"};
  for (const auto& [first, second] : {std::pair(own, other), std::pair(other, own)}) {
    std::vector<std::string> arguments = {"simulate", first, "--compare", second};
    arguments.insert(arguments.end(), how.begin(), how.end());
    const Outcome run = ridge(arguments);
    EXPECT_EQ(run.status, 0) << run.err;
    EXPECT_THAT(run.err, HasSubstr("ridge: warning: other: \"our gap\" is not drawn here"));
    EXPECT_THAT(run.err, Not(HasSubstr("own: \"our gap\"")));
  }
  std::vector<std::string> arguments = {"simulate", other};
  arguments.insert(arguments.end(), how.begin(), how.end());
  const Outcome run = ridge(arguments);
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("nothing that is drawn is named \"our gap\"; there are\n"));
}

TEST_F(Mistake, InRangesOfOnesOwnAreFoundByCheckAlone) {
  const json ours = {{"kind", "ranges"},
                     {"inputs",
                      {{{"name", "ours"},
                        {"of", "expert_popularity"},
                        {"low", 1},
                        {"high", 2},
                        {"source", "here"}}}}};
  const Outcome run = ridge({"check", write("ours.json", ours.dump())});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err,
              HasSubstr("ours.json: /inputs/0/name: \"expert_popularity\" has a range that "
                        "ships, \"popularity of experts\": expected that name"));
  json scenario = json::parse(source_text("scenarios/qwen3-235b-tp8-h20.json"));
  scenario["ranges"] = "ours.json";
  EXPECT_THAT(ridge({"check", write("scenario.json", scenario.dump())}).err,
              HasSubstr("scenario.json: /ranges: "));
}

TEST_F(Mistake, AMissingDataFolderIsToldWithTheWayOn) {
  ASSERT_EQ(::setenv("RIDGE_DATA", path("nowhere").c_str(), 1), 0);
  const Outcome run = shell("list models");
  ::unsetenv("RIDGE_DATA");
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, AllOf(HasSubstr("cannot read the folder of shipped data"),
                             HasSubstr("set RIDGE_DATA")));
}

TEST_F(Mistake, InShippedRangesIsOfNoScenarioThatDoesNotAskForThem) {
  // One's own of that name, so that the name tells of two.
  fs::create_directories(path("ridge/scenarios/ranges"));
  write("ridge/scenarios/ranges/inputs.json", "{}");
  json scenario = json::parse(source_text("scenarios/step3-2a2f-4k-fp8.json"));
  const std::string without = write("without.json", scenario.dump());
  scenario["ranges"] = {{"inputs", json::array()}};
  const std::string with = write("with.json", scenario.dump());
  ASSERT_EQ(::setenv("XDG_CONFIG_HOME", path("").c_str(), 1), 0);
  const Outcome quiet = shell("simulate '" + without + "' --samples 0 > '" + path("out") + "'");
  const Outcome told = shell("simulate '" + with + "' --samples 0");
  ::unsetenv("XDG_CONFIG_HOME");
  EXPECT_EQ(quiet.status, 0) << quiet.err;
  EXPECT_EQ(told.status, 2);
  EXPECT_THAT(told.err, AllOf(HasSubstr("\"inputs\" is the name of ranges"),
                              testing::Not(HasSubstr("/ranges:"))));
}

TEST_F(Mistake, WhatStandsOnStandardInputIsReadOnceHoweverOftenItIsAskedFor) {
  const std::string model = model_after([](json&) {});
  EXPECT_EQ(shell("show - < '" + model + "' > '" + path("card") + "'").status, 0);
  EXPECT_EQ(shell("check - < '" + model + "' > '" + path("card") + "'").status, 0);
  const Outcome run = shell("check - < '" + write("bad.json", "{}") + "'");
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("ridge: -: cannot tell what kind of file this is"));
}

}  // namespace
}  // namespace ridge::test
