// The program as people run it: names given on the command line.
#include "program.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST(Program, AnUnknownChipNamesTheOptionAndTheNearestChip) {
  for (const char* command : {"cost", "sparsity", "fit"}) {
    const Outcome run = ridge({command, "--chip", "h80"});
    EXPECT_EQ(run.status, 2) << command;
    EXPECT_EQ(run.out, "") << command;
    EXPECT_THAT(run.err, HasSubstr("ridge: --chip: expected the name of an accelerator"))
        << command;
    EXPECT_THAT(run.err, HasSubstr("got \"h80\"; did you mean \"h800\"?")) << command;
  }
}

TEST(Program, AnUnknownModelNamesTheOptionAndTheNearestModel) {
  for (const char* command : {"cost", "sparsity", "fit"}) {
    const Outcome run = ridge({command, "--model", "step3"});
    EXPECT_EQ(run.status, 2) << command;
    EXPECT_THAT(run.err, HasSubstr("ridge: --model: expected the name of a model")) << command;
    EXPECT_THAT(run.err, HasSubstr("did you mean \"step-3\"?")) << command;
  }
}

TEST(Program, EveryUnknownNameIsReportedAtOnce) {
  const Outcome run = ridge({"cost", "--chip", "h80,a80"});
  EXPECT_THAT(run.err, HasSubstr("got \"h80\""));
  EXPECT_THAT(run.err, HasSubstr("got \"a80\""));
}

TEST(Program, ShowTellsModelsFromChips) {
  const json model = json::parse(ridge({"show", "step-3", "--format", "json"}).out);
  EXPECT_EQ(model["kind"], "model");
  EXPECT_EQ(model["effective_rank"], 16384);
  const json chip = json::parse(ridge({"show", "h800", "--format", "json"}).out);
  EXPECT_EQ(chip["kind"], "chip");
  EXPECT_NEAR(chip["ridge_point_FLOP_per_byte"]["fp8"].get<double>(), 591, 0.5);
}

TEST(Program, ShowTakesAPath) {
  const std::string path = source_path("models/data/step-3.json").string();
  EXPECT_EQ(ridge({"show", path}).out, ridge({"show", "step-3"}).out);
}

TEST(Program, ShowOfNeitherAModelNorAChipNamesTheNearest) {
  const Outcome run = ridge({"show", "step4"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.err, HasSubstr("did you mean \"step-3\"?"));
}

TEST(Program, CheckReportsEveryProblemOfEveryFile) {
  json model = json::parse(source_text("models/data/step-3.json"));
  model["hidden"] = 0;
  const TemporaryFile bad_model("model.json", model.dump());
  json chip = json::parse(source_text("hwmodels/data/chips/h800.json"));
  chip.erase("memory_GB");
  const TemporaryFile bad_chip("chip.json", chip.dump());
  const std::string good = source_path("models/data/deepseek-v3.json").string();
  const Outcome run = ridge({"check", bad_model.path(), good, bad_chip.path()});
  EXPECT_EQ(run.status, 2);
  EXPECT_EQ(run.out, good + ": ok (model)\n");
  EXPECT_THAT(run.err, HasSubstr(bad_model.path() + ": /hidden: expected"));
  EXPECT_THAT(run.err, HasSubstr(bad_chip.path() + ": missing key \"memory_GB\""));
}

TEST(Program, CheckOfFilesInOrderSucceeds) {
  const Outcome run = ridge({"check", source_path("scenarios/cost-comparison.json").string(),
                             source_path("scenarios/reproduce/step3.json").string()});
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.err, "");
}

}  // namespace
}  // namespace ridge::test
