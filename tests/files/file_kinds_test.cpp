#include "ridge/files/file_kinds.hpp"

#include "json_schema.hpp"
#include "mutation.hpp"
#include "ridge/base/error.hpp"
#include "ridge/files/answer_schemas.hpp"
#include "ridge/scenario/cost_scenario.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::files {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

json parsed(std::string_view relative) {
  return json::parse(test::source_text(relative));
}

FileCheck check(const json& document) {
  const test::TemporaryFile file("file.json", document.dump());
  return check_file(file.path());
}

TEST(FileKinds, EveryShippedFileOfAKindIsInOrder) {
  for (const auto& [folder, kind] :
       {std::pair{"models/data", "model"}, std::pair{"hwmodels/data/chips", "chip"},
        std::pair{"scenarios/reproduce", "reproduction"},
        std::pair{"scenarios/ranges", "ranges of inputs"},
        std::pair{"hwmodels/data/calibrations", "calibration"},
        std::pair{"kernels/measurements", "measurement"},
        std::pair{"models/data/huggingface/families", "family of Hugging Face configurations"}}) {
    int files = 0;
    for (const auto& path : test::source_files(folder, {".json"})) {
      if (path.parent_path() != test::source_path(folder)) continue;
      const FileCheck result = check_file(path);
      EXPECT_EQ(result.kind, kind) << path;
      EXPECT_THAT(result.problems, SizeIs(0)) << path;
      ++files;
    }
    EXPECT_GT(files, 0) << folder;
  }
}

TEST(FileKinds, ADefaultThatAnAnswerDependsOnIsShown) {
  json scenario = parsed("scenarios/step3-2a2f-4k-fp8.json");
  EXPECT_THAT(check(scenario).defaults, SizeIs(0));
  scenario["network"].erase("model");
  const FileCheck silent = check(scenario);
  EXPECT_THAT(silent.problems, SizeIs(0));
  EXPECT_THAT(silent.defaults, ElementsAre(HasSubstr("/network/model is \"ports\"")));
  scenario["network"]["model"] = "max_min_fair";
  EXPECT_THAT(check(scenario).defaults, SizeIs(0));
  // Over NVLink it is the default too, and no NIC is spoken of.
  json inside = parsed("scenarios/qwen3-235b-afd-nvl72.json");
  inside["network"].erase("model");
  EXPECT_THAT(check(inside).defaults, ElementsAre(::testing::Not(HasSubstr("NIC"))));
  // No messages between pools: nothing depends on it.
  json whole = parsed("scenarios/qwen3-235b-tp8-h20.json");
  whole["network"].erase("model");
  EXPECT_THAT(check(whole).problems, SizeIs(0));
  EXPECT_THAT(check(whole).defaults, SizeIs(0));
}

TEST(FileKinds, AreToldByTheirKeysWhereTheyNameNoSchema) {
  for (const auto& [path, kind] : {std::pair{"models/data/step-3.json", "model"},
                                   std::pair{"hwmodels/data/chips/h800.json", "chip"},
                                   std::pair{"scenarios/cost-comparison.json", "cost scenario"}}) {
    json document = parsed(path);
    document.erase("$schema");
    EXPECT_EQ(check(document).kind, kind);
  }
}

// After a change of a table: for each NAME, ridge schema NAME > docs/schema/NAME.schema.json and
// ridge schema NAME --page > docs/keys/NAME.md.
TEST(FileKinds, TheSchemasAndPagesAreWhatTheTablesOfKeysSay) {
  for (const std::string& name : schema_names()) {
    EXPECT_EQ(test::source_text("docs/schema/" + name + ".schema.json"), schema_text(name)) << name;
    EXPECT_EQ(test::source_text("docs/keys/" + name + ".md"), keys_page(name)) << name;
  }
}

// After a change of an answer: ridge schema NAME > docs/schema/NAME.schema.json.
TEST(Answers, HaveTheSchemasThatTheirKeysSay) {
  for (const std::string& name : answer_names()) {
    EXPECT_EQ(test::source_text("docs/schema/" + name + ".schema.json"), answer_schema(name))
        << name;
  }
}

TEST(FileKinds, AStrangeFileIsRefusedWithWhatWasExpected) {
  const FileCheck result = check({{"color", "blue"}});
  EXPECT_EQ(result.kind, "");
  EXPECT_THAT(result.problems, ElementsAre(HasSubstr("cannot tell what kind of file this is")));
}

TEST(FileKinds, EveryProblemOfAFileIsListed) {
  json document = parsed("models/data/step-3.json");
  document["hidden"] = -1;
  document["vocabulary"] = "many";
  document["color"] = "blue";
  EXPECT_THAT(check(document).problems,
              ElementsAre(HasSubstr("/hidden"), HasSubstr("/vocabulary"), HasSubstr("color")));
}

TEST(FileKinds, FactsOfKernelsAreCheckedLikeAnyFile) {
  json attention = parsed("hwmodels/data/kernels/decode_attention.json");
  EXPECT_THAT(check(attention).problems, SizeIs(0));
  attention["kernels"][0]["tiles"][0]["tile_rows"] = {64, 64};
  attention["kernels"][1]["split"] = "dealed";
  EXPECT_THAT(check(attention).problems,
              ElementsAre(HasSubstr("/kernels/0/tiles/0/tile_rows/1: expected a greater height"),
                          HasSubstr("/kernels/1/split: expected one of balanced")));
  json gates = parsed("hwmodels/data/kernels/measured_experts.json");
  EXPECT_THAT(check(gates).problems, SizeIs(0));
  gates["without_gate"][0]["top_k"] = 0;
  gates.erase("$schema");
  EXPECT_EQ(check(gates).kind, "how layers of experts were measured");
  EXPECT_THAT(check(gates).problems, ElementsAre(HasSubstr("/without_gate/0/top_k")));
  json modules = parsed("hwmodels/data/kernels/measured_modules.json");
  EXPECT_THAT(check(modules).problems, SizeIs(0));
  modules["module_models"][0]["hidden"] = 6144;
  modules["module_models"][3]["attention"]["sparse"]["kv_heads"] = 5;
  modules["without_graph"][0]["kernels"] = json::array();
  modules.erase("$schema");
  EXPECT_EQ(check(modules).kind, "how whole attention modules were measured");
  EXPECT_THAT(
      check(modules).problems,
      ElementsAre(HasSubstr("/module_models/0: expected \"shipped\", or \"hidden\" and"),
                  HasSubstr("/module_models/3/attention/sparse/kv_heads: query_heads (64) is not"),
                  HasSubstr("/without_graph/0/kernels")));
  json tiles = parsed("hwmodels/data/kernels/expert_tiles.json");
  EXPECT_THAT(check(tiles).problems, SizeIs(0));
  tiles["expert_tiles"][0]["rule"][1]["tokens_per_expert"] = 2;
  tiles["expert_tiles"][1]["tuned"][0]["tiles"][1][0] = 0;
  tiles["expert_tiles"][1]["tuned"][1]["tiles"][0] = {0, 64, 64};
  tiles.erase("$schema");
  EXPECT_EQ(check(tiles).kind, "tiles of kernels for layers of experts");
  EXPECT_THAT(check(tiles).problems,
              ElementsAre(HasSubstr("/expert_tiles/0/rule: expected rising tokens_per_expert"),
                          HasSubstr("/expert_tiles/1/tuned/0/tiles/1/0: expected more tokens"),
                          HasSubstr("/expert_tiles/1/tuned/1/tiles/0: expected [from so many")));
  json errors = parsed("hwmodels/data/kernels/transfer_errors.json");
  EXPECT_THAT(check(errors).problems, SizeIs(0));
  errors["transfers"][0]["errors"][0]["family"] = "gem";
  errors.erase("$schema");
  EXPECT_EQ(check(errors).kind, "errors of transfers");
  EXPECT_THAT(check(errors).problems, ElementsAre(HasSubstr("/transfers/0/errors/0/family")));
}

// A mistake inside a family is told where it is, and what is "like" another need not say all.
TEST(FileKinds, AFamilyOfConfigurationsIsCheckedInEveryPart) {
  json family = parsed("models/data/huggingface/families/qwen3.json");
  family.erase("$schema");
  EXPECT_THAT(check(family).problems, SizeIs(0));
  family["layers"]["attention"][1]["where"]["form"] = 3;
  family["defaults"]["head_dim"]["value_"] = 3;
  EXPECT_THAT(
      check(family).problems,
      ElementsAre(HasSubstr("/layers/attention/1/where: unknown key \"form\"; did you mean"),
                  HasSubstr("/defaults/head_dim: unknown key \"value_\"")));
  family = parsed("models/data/huggingface/families/qwen3.json");
  family.erase("like");
  EXPECT_THAT(check(family).problems, ElementsAre(HasSubstr("missing key \"model\""),
                                                  HasSubstr("missing key \"attention\""),
                                                  HasSubstr("missing key \"ffn\"")));
}

TEST(FileKinds, AScenarioIsCheckedWithTheFilesItNames) {
  json document = parsed("scenarios/cost-comparison.json");
  document["chips"] = {"h80"};
  EXPECT_THAT(check(document).problems, ElementsAre(HasSubstr("did you mean \"h800\"?")));
}

TEST(CostScenario, TheSchemaAndTheReaderRefuseTheSameMistakes) {
  const test::JsonSchema schema("cost-scenario");
  const json shipped = parsed("scenarios/cost-comparison.json");
  EXPECT_EQ(schema.violations(shipped), "");
  int invalid = 0;
  for (const auto& [description, document] : test::mutations(shipped)) {
    const test::TemporaryFile file("scenario.json", document.dump());
    bool refused = false;
    try {
      (void)scenario::load_cost_scenario(file.path());
    } catch (const UserError&) {
      refused = true;
    }
    const bool accepted = schema.accepts(document);
    // A model or a chip that stands there itself is described by a schema of its own.
    const bool inside = description.starts_with("/models/") || description.starts_with("/chips/");
    if (inside && accepted) continue;
    EXPECT_EQ(accepted, !refused) << description << "\n" << schema.violations(document);
    if (refused) ++invalid;
  }
  EXPECT_GT(invalid, 80);
}

// What would refuse to run is refused by a check.
TEST(FileKinds, ADeploymentThatDoesNotFitInMemoryIsNotInOrder) {
  json document = parsed("scenarios/step3-2a2f-4k-fp8.json");
  for (json& pool : document["deployment"]["pools"]) pool["kernel_model"] = "theoretical";
  EXPECT_THAT(check(document).problems, SizeIs(0));
  document["workload"]["requests_per_gpu"] = 100000;
  EXPECT_THAT(check(document).problems, SizeIs(testing::Ge(1)));
}

TEST(FileKinds, ASweepOfWhichNoPointCanBeAskedIsNotInOrder) {
  json document = json::parse(R"({
    "kind": "sweep", "title": "a question",
    "base": {"kind": "cost", "model": "qwen3-235b-a22b", "context_tokens": 8192},
    "axes": [{"pointer": "/model/attention/gqa/kv_heads", "values": [4, 5, 6]}],
    "invalid_points": "skip"
  })");
  EXPECT_THAT(check(document).problems, SizeIs(0));
  document["axes"][0]["values"] = {5, 6};
  EXPECT_THAT(check(document).problems,
              testing::Contains(HasSubstr("all 2 points are invalid. The first:")));
}

}  // namespace
}  // namespace ridge::files
