// The shipped model files: their schema, their sources, and the publishers' parameter counts.
#include "identifier.hpp"
#include "json_schema.hpp"
#include "mutation.hpp"
#include "ridge/models/model_spec.hpp"
#include "source_tree.hpp"

#include <map>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

using nlohmann::json;

json shipped(const std::string& name) {
  return json::parse(test::source_text("models/data/" + name + ".json"));
}

// What the reader says of a document.
std::vector<std::string> problems(const json& document) {
  Diagnostics diagnostics;
  const JsonContext context{.file = "model.json", .diagnostics = &diagnostics};
  ModelSpec model;
  read_model(JsonNode(document, context), model);
  return diagnostics.errors();
}

class ShippedModel : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Catalog, ShippedModel, testing::ValuesIn(model_names()),
                         [](const auto& param) { return test::identifier_of(param.param); });

TEST_P(ShippedModel, IsValidByItsSchemaAndItsReader) {
  static const test::JsonSchema schema("model");
  const json document = shipped(GetParam());
  EXPECT_EQ(schema.violations(document), "");
  EXPECT_TRUE(problems(document).empty());
  EXPECT_EQ(document.value("name", ""), GetParam());
  EXPECT_EQ(document.value("$schema", ""), "../../docs/schema/model.schema.json");
}

// Except for what no schema can say: how values relate to each other.
TEST_P(ShippedModel, TheSchemaAndTheReaderRefuseTheSameMistakes) {
  static const test::JsonSchema schema("model");
  int invalid = 0;
  for (const auto& [description, document] : test::mutations(shipped(GetParam()))) {
    const bool violates = !schema.accepts(document);
    const auto errors = problems(document);
    if (violates) {
      ++invalid;
      EXPECT_FALSE(errors.empty()) << description;
    } else if (!errors.empty()) {
      const std::string& error = errors.front();
      const bool relation = error.find("is not a multiple of") != std::string::npos ||
                            error.find("is more than") != std::string::npos ||
                            error.find("there is no \"") != std::string::npos ||
                            error.find("/attention: expected one of") != std::string::npos ||
                            error.find("/ffn: expected one of") != std::string::npos;
      EXPECT_TRUE(relation) << description << "\n" << error;
    }
  }
  EXPECT_GT(invalid, 300);
}

// The longest pointer in "sources" that is a prefix of `pointer` speaks for it.
std::string source_of(const json& sources, const std::string& pointer) {
  std::string best;
  std::string source;
  for (const auto& item : sources.items()) {
    const std::string& prefix = item.key();
    const bool covers = pointer.compare(0, prefix.size(), prefix) == 0 &&
                        (pointer.size() == prefix.size() || pointer[prefix.size()] == '/');
    if (covers && (source.empty() || prefix.size() > best.size())) {
      best = prefix;
      source = item.value().get<std::string>();
    }
  }
  return source;
}

TEST_P(ShippedModel, EveryNumberHasASource) {
  const json document = shipped(GetParam());
  const json flat = document.flatten();
  int numbers = 0;
  for (const auto& item : flat.items()) {
    if (!item.value().is_number()) continue;
    ++numbers;
    EXPECT_GE(source_of(document.at("sources"), item.key()).size(), 8U) << item.key();
  }
  EXPECT_GE(numbers, 8);
  ASSERT_TRUE(document.contains("claims"));
  EXPECT_GE(document["claims"]["source"].get<std::string>().size(), 8U);
}

// A publisher's figure that ours may miss by more than the rule, and why.
struct Exception {
  double tolerance;
  const char* reason;
};

TEST_P(ShippedModel, TotalParametersAreWithinTwoPercentOfThePublishersFigure) {
  static const std::map<std::string, Exception> kExceptions = {
      {"kimi-k2.5", {0.03, "the publisher prints 1T, one digit"}},
      {"kimi-linear-48b-a3b", {0.025, "the publisher prints 48B; its weights are 49.1B"}},
      {"gemma-4-26b-a4b", {0.03, "the name rounds up; its weights are 25.2B"}},
  };
  const ModelSpec model = load_model(GetParam());
  ASSERT_TRUE(model.claims.total_billion.has_value());
  const auto exception = kExceptions.find(GetParam());
  const double tolerance = exception == kExceptions.end() ? 0.02 : exception->second.tolerance;
  EXPECT_NEAR(model.total_parameters() / (*model.claims.total_billion * 1e9), 1.0, tolerance);
}

TEST_P(ShippedModel, ActiveParametersAreWithinFivePercentOfThePublishersFigure) {
  static const std::map<std::string, Exception> kExceptions = {
      {"llama-4-maverick", {0.0501, "the publisher counts the embedding table (17.2B with it)"}},
      {"qwen3-30b-a3b", {0.08, "the publisher counts the embedding table (3.35B with it)"}},
      {"qwen3-next-80b-a3b", {0.19, "the publisher prints 3B, one digit"}},
      {"qwen3.5-122b-a10b", {0.1, "the publisher counts the embedding table (9.8B with it)"}},
      {"glm-4.5-air", {0.07, "the publisher prints 12B, two digits"}},
  };
  const ModelSpec model = load_model(GetParam());
  if (!model.claims.active_billion) {
    for (const FfnBlock& block : model.ffns) {
      EXPECT_EQ(kind_name(block), "dense") << "a sparse model without a claim of its active part";
    }
    return;
  }
  const auto exception = kExceptions.find(GetParam());
  const double tolerance = exception == kExceptions.end() ? 0.05 : exception->second.tolerance;
  EXPECT_NEAR(model.active_parameters() / (*model.claims.active_billion * 1e9), 1.0, tolerance);
}

TEST(ModelCatalog, HoldsAtLeastThirtyFourArchitectures) {
  EXPECT_GE(model_names().size(), 34U);
}

TEST(ModelCatalog, TellsAMistypedNameTheNearestOne) {
  try {
    (void)load_model("step3");
    FAIL() << "an unknown model was loaded";
  } catch (const UserError& e) {
    EXPECT_NE(std::string(e.what()).find("did you mean \"step-3\"?"), std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace ridge::models
