// What commands write as JSON: each answer follows its schema, and the same question gives the same
// bytes.
#include "few_served.hpp"
#include "json_schema.hpp"
#include "program.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using Arguments = std::vector<std::string>;

struct Answer {
  const char* name;  // for the test
  const char* schema;
  Arguments command;
};

// Of each kind of answer, with all that it may leave out or leave open.
const std::vector<Answer> kAnswers = {
    {"Cost", "cost-answer", {"cost"}},
    {"CostWithoutPrices", "cost-answer", {"cost", "--chip", "mi300x,tpu-v7"}},
    {"Simulation", "simulate-answer", {"simulate", "step3-2a2f-4k-fp8", "--samples", "2"}},
    {"SimulationWithoutDraws",
     "simulate-answer",
     {"simulate", "step3-2a2f-4k-fp8", "--samples", "0"}},
    {"SimulationOfArrivals", "simulate-answer", {"simulate", "trace-replay"}},
    {"Comparison",
     "compare-answer",
     {"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--compare", "step3-2a2f-4k-fp8"}},
    {"ComparisonWithOneThatIsNotSplit",
     "compare-answer",
     {"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--compare", "deepseek-v3-ep128-4k"}},
    {"Explanation", "explain-answer", {"explain", "step3-2a2f-4k-fp8"}},
    {"RateSearch", "rate-answer", {"simulate", "trace-replay", "--largest-rate"}},
    {"Sweep", "sweep-answer", {"sweep", "sweep-afd-micro-batches"}},
    {"SweepWithReferences", "sweep-answer", {"sweep", "sweep-mfa-heads"}},
    {"Plan",
     "plan-answer",
     {"plan", "--model", "step-3", "--chip", "h800", "--gpus", "16", "--tpot-ms", "25", "--samples",
      "4", "--top", "2", "--front"}},
    {"PlanThatNothingMeets",
     "plan-answer",
     {"plan", "--model", "step-3", "--chip", "h800", "--gpus", "16", "--tpot-ms", "1"}},
    {"Reproduction", "reproduce-answer", {"reproduce", "step3"}},
    {"Ledger", "ledger-answer", {"reproduce", "step3", "--measured", "--samples", "2"}},
    {"LedgerOfServing",
     "ledger-answer",
     {"reproduce", "--serving", few_served(), "--samples", "0"}},
    {"LedgerOfKernels",
     "kernels-answer",
     {"reproduce", "--kernels", source_path("kernels/measurements/h200-peers.json").string(),
      "--calibration", "h200"}},
    {"Fit", "fit-answer", {"fit", "--chip", "h800,h20,tpu-v7"}},
    {"Sparsity", "sparsity-answer", {"sparsity", "--chip", "h800,h20,tpu-v7"}},
    {"Support", "support-answer", {"support", "step-3", "--chip", "h800,tpu-v7,mi300x"}},
    {"Model", "model-answer", {"show", "step-3"}},
    {"ModelWithLinearAttention", "model-answer", {"show", "qwen3-next-80b-a3b"}},
    {"Chip", "chip-answer", {"show", "h800"}},
    {"Calibration", "calibration", {"show", "calibrated:h800"}},
    {"Check", "check-answer", {"check", source_path("models/data/step-3.json").string()}},
    {"Models", "list-answer", {"list", "models"}},
    {"Figures", "list-answer", {"list", "figures"}},
};

std::string written(Arguments command) {
  command.insert(command.end(), {"--format", "json"});
  const Outcome outcome = ridge(command);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return outcome.out;
}

class EveryAnswer : public testing::TestWithParam<Answer> {};

TEST_P(EveryAnswer, FollowsItsSchema) {
  const JsonSchema schema(GetParam().schema);
  const json answer = json::parse(written(GetParam().command));
  EXPECT_EQ(schema.violations(answer), "");
  // Which says what there is, not only what there may be.
  for (const auto& item : answer.items()) {
    if (item.key() == "$schema") continue;
    json without = answer;
    without.erase(item.key());
    json renamed = without;
    renamed[item.key() + "_"] = item.value();
    EXPECT_NE(schema.violations(renamed), "") << item.key();
  }
}

INSTANTIATE_TEST_SUITE_P(Of, EveryAnswer, testing::ValuesIn(kAnswers),
                         [](const auto& instance) { return instance.param.name; });

TEST(Answers, AreTheSameBytesTheSecondTimeOnAnyNumberOfThreads) {
  const Arguments simulation = {"simulate", "step3-2a2f-4k-fp8", "--samples", "2"};
  EXPECT_EQ(written(simulation), written(simulation));
  EXPECT_EQ(ridge(simulation).out, ridge(simulation).out);
  const auto on = [](Arguments command, const char* threads) {
    command.insert(command.end(), {"--threads", threads});
    return written(command);
  };
  const Arguments sweep = {"sweep", "sweep-afd-micro-batches"};
  EXPECT_EQ(on(sweep, "1"), on(sweep, "3"));
  const Arguments plan = {"plan", "--model",   "step-3", "--chip",    "h800", "--gpus",
                          "16",   "--tpot-ms", "25",     "--samples", "4"};
  EXPECT_EQ(on(plan, "1"), on(plan, "3"));
  EXPECT_EQ(ridge(plan).out, ridge(plan).out);
}

TEST(Answers, AllSayTheVersionOfTheirSchemaFirst) {
  for (const char* command : {"cost", "fit", "sparsity"}) {
    EXPECT_THAT(written({command}), testing::StartsWith("{\n  \"schema_version\": 1,\n"));
  }
  EXPECT_THAT(written({"sweep", "sweep-afd-micro-batches"}),
              testing::StartsWith("{\n  \"schema_version\": 1,\n"));
}

TEST(Answers, OfEveryKindThatThereIsAreHeldAgainstTheirSchema) {
  std::set<std::string> held;
  for (const Answer& answer : kAnswers) held.insert(answer.schema);
  int there = 0;
  for (const auto& path : source_files("docs/schema", {".json"})) {
    const std::string file = path.filename().string();
    const auto end = file.find("-answer.schema.json");
    if (end == std::string::npos) continue;
    EXPECT_TRUE(held.contains(file.substr(0, end) + "-answer")) << file;
    ++there;
  }
  EXPECT_EQ(there, static_cast<int>(held.size()) - 1);  // a calibration is a file
}

// Another command that learns to write JSON is missed here.
TEST(Answers, OfEveryCommandWithJsonAreHeldAgainstTheirSchema) {
  // What a merge answers are the bytes of a sweep (Shards.AreMergedToTheBytesOfOneRun).
  std::set<std::string> held = {"merge"};
  for (const Answer& answer : kAnswers) held.insert(answer.command.front());
  std::istringstream help(ridge({"--help"}).out);
  std::string line;
  while (std::getline(help, line) && line != "Subcommands:") continue;
  std::set<std::string> with_json;
  while (std::getline(help, line) && !line.empty()) {
    std::string command;
    std::istringstream(line) >> command;
    const bool has_kinds = command == "list";
    const Arguments asked =
        has_kinds ? Arguments{command, "models", "--help"} : Arguments{command, "--help"};
    if (ridge(asked).out.find("--format") != std::string::npos) with_json.insert(command);
  }
  EXPECT_EQ(with_json, held);
}

TEST(Answers, OfACheckTellEveryMistakeInParts) {
  const TemporaryFile chip("chip.json", R"({"matrix_rate": 3})");
  const Outcome outcome = ridge({"check", chip.path(), "--format", "json"});
  EXPECT_EQ(outcome.status, 2);
  const json answer = json::parse(outcome.out);
  EXPECT_EQ(JsonSchema("check-answer").violations(answer), "");
  const json& file = answer.at("files").at(0);
  EXPECT_EQ(file.at("kind"), "chip");
  EXPECT_FALSE(file.at("ok").get<bool>());
  EXPECT_GT(file.at("mistakes").size(), 1U);
  for (const json& mistake : file.at("mistakes")) {
    EXPECT_EQ(mistake.at("file"), chip.path());
    EXPECT_THAT(outcome.err, HasSubstr(mistake.at("message").get<std::string>()));
  }
  EXPECT_THAT(file.at("mistakes").dump(), HasSubstr("\"/matrix_rate\""));
}

TEST(Answers, HaveTheirSchemasPrinted) {
  const Outcome outcome = ridge({"schema", "simulate-answer"});
  EXPECT_EQ(outcome.out, source_text("docs/schema/simulate-answer.schema.json"));
  const Outcome page = ridge({"schema", "simulate-answer", "--page"});
  EXPECT_EQ(page.status, 2);
  EXPECT_THAT(page.err, HasSubstr("expected a kind of file"));
}

}  // namespace
}  // namespace ridge::test
