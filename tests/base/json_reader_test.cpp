// Each mistake is told with file, pointer, what was expected and what was found; reading goes on.
#include "ridge/base/json.hpp"

#include <array>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// What is said while `read` looks at the object in `text`.
template <typename Read>
std::vector<std::string> problems(const std::string& text, Read&& read) {
  const JsonDocument document = JsonDocument::parse(text, "x.json");
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  {
    JsonObject object(JsonNode(document.json(), context));
    read(object);
  }
  return diagnostics.errors();
}

TEST(JsonObject, AWrongTypeIsToldWithWhatWasFound) {
  std::string text;
  bool flag = false;
  double number = 0;
  std::int64_t whole = 0;
  EXPECT_THAT(problems(R"({"a": 1, "b": "yes", "c": [], "d": 1.5})",
                       [&](JsonObject& o) {
                         o.required("a", text);
                         o.required("b", flag);
                         o.required("c", number);
                         o.required("d", whole);
                       }),
              ElementsAre("x.json: /a: expected a string, got 1",
                          "x.json: /b: expected true or false, got \"yes\"",
                          "x.json: /c: expected a number, got an array",
                          "x.json: /d: expected a whole number, got 1.5"));
}

TEST(JsonObject, AMissingKeyIsNamedWithItsUnit) {
  double number = 0;
  Seconds latency;
  EXPECT_THAT(problems("{}",
                       [&](JsonObject& o) {
                         o.required("layers", number);
                         o.required("latency_us", latency);
                         o.optional("comment", number);
                       }),
              ElementsAre("x.json: missing key \"layers\"",
                          "x.json: missing key \"latency_us\" (in microseconds)"));
}

TEST(JsonObject, AnUnknownKeyIsAnErrorWithTheNearestKnownOne) {
  double number = 0;
  EXPECT_THAT(
      problems(R"({"hiden": 1, "zzz": 2})", [&](JsonObject& o) { o.optional("hidden", number); }),
      ElementsAre("x.json: unknown key \"hiden\"; did you mean \"hidden\"?",
                  "x.json: unknown key \"zzz\""));
}

TEST(JsonObject, AnotherUnitInTheKeyIsToldAsThat) {
  BytesPerSecond bandwidth;
  EXPECT_THAT(
      problems(R"({"memory_bandwidth_GBps": 3350})",
               [&](JsonObject& o) { o.optional("memory_bandwidth_TBps", bandwidth); }),
      ElementsAre("x.json: unknown key \"memory_bandwidth_GBps\"; the unit is part of the key: "
                  "\"memory_bandwidth_TBps\""));
}

TEST(JsonObject, NumbersOutOfRangeAreToldWithTheRange) {
  double number = 0;
  std::int64_t whole = 0;
  Seconds time;
  EXPECT_THAT(problems(R"({"a": -1, "b": 0, "c": 1e18, "t_us": -3, "d": 70000})",
                       [&](JsonObject& o) {
                         o.required("a", number, at_least(0));
                         o.required("b", number, positive());
                         o.required("c", whole);
                         o.required("t_us", time);
                         o.required("d", whole, between(1, 65536));
                       }),
              ElementsAre("x.json: /a: expected a number of at least 0, got -1",
                          "x.json: /b: expected a number above 0, got 0",
                          "x.json: /c: expected a whole number, got 1e+18",
                          "x.json: /t_us: expected a number of microseconds above 0, got -3",
                          "x.json: /d: expected a whole number from 1 to 65536, got 70000"));
}

TEST(JsonObject, AFailedReadLeavesTheValueAlone) {
  double number = 7;
  std::int64_t whole = 7;
  (void)problems(R"({"a": "x", "b": 1.5})", [&](JsonObject& o) {
    EXPECT_FALSE(o.required("a", number));
    EXPECT_FALSE(o.required("b", whole));
  });
  EXPECT_EQ(number, 7);
  EXPECT_EQ(whole, 7);
}

TEST(JsonObject, QuantitiesAreReadInTheUnitOfTheirKey) {
  Seconds time;
  BytesPerSecond bandwidth;
  UsdPerSecond price;
  EXPECT_THAT(problems(R"({"latency_us": 20, "nic_Gbps": 400, "rate_USD_per_hour": 3600})",
                       [&](JsonObject& o) {
                         o.required("latency_us", time);
                         o.required("nic_Gbps", bandwidth);
                         o.required("rate_USD_per_hour", price);
                       }),
              IsEmpty());
  EXPECT_DOUBLE_EQ(time.value(), 20e-6);
  EXPECT_DOUBLE_EQ(bandwidth.value(), 50e9);
  EXPECT_DOUBLE_EQ(price.value(), 1.0);
}

TEST(JsonObject, AWholeNumberMayBeWrittenAsOneWithAPoint) {
  std::int64_t whole = 0;
  EXPECT_THAT(problems(R"({"a": 7168.0})", [&](JsonObject& o) { o.required("a", whole); }),
              IsEmpty());
  EXPECT_EQ(whole, 7168);
}

TEST(JsonObject, AChoiceOffersTheNearestName) {
  enum class Kind { chunked, sliding };
  constexpr std::array<Named<Kind>, 2> kNames = {
      {{"chunked", Kind::chunked}, {"sliding", Kind::sliding}}};
  Kind kind = Kind::chunked;
  const std::span<const Named<Kind>> names(kNames);
  EXPECT_THAT(problems(R"({"a": "slidng"})", [&](JsonObject& o) { o.required("a", kind, names); }),
              ElementsAre("x.json: /a: expected one of chunked, sliding, got \"slidng\"; did you "
                          "mean \"sliding\"?"));
  EXPECT_THAT(problems(R"({"a": "sliding"})", [&](JsonObject& o) { o.required("a", kind, names); }),
              IsEmpty());
  EXPECT_EQ(kind, Kind::sliding);
}

TEST(JsonObject, SomethingElseThanAnObjectIsOneProblemAndNotOnePerKey) {
  double number = 0;
  EXPECT_THAT(problems("[1]",
                       [&](JsonObject& o) {
                         o.required("a", number);
                         o.required("b", number);
                       }),
              ElementsAre("x.json: expected an object, got an array"));
}

TEST(JsonNode, PointersEscapeTheirTokens) {
  double number = 0;
  EXPECT_THAT(problems(R"({"a/b~c": "x"})", [&](JsonObject& o) { o.required("a/b~c", number); }),
              ElementsAre("x.json: /a~1b~0c: expected a number, got \"x\""));
}

TEST(JsonNode, LongValuesAreCutInMessages) {
  double number = 0;
  const auto told = problems("{\"a\": \"" + std::string(5000, 'x') + "\"}",
                             [&](JsonObject& o) { o.required("a", number); });
  ASSERT_EQ(told.size(), 1U);
  EXPECT_LT(told.front().size(), 120U);
}

TEST(JsonNode, ADocumentMadeFromAnotherTellsThePointersOfThatOne) {
  const JsonDocument made = JsonDocument::parse(R"({"hidden": "wide"})", "config.json");
  Diagnostics diagnostics;
  const std::map<std::string, std::string> origins = {{"/hidden", "/text_config/hidden_size"}};
  const JsonContext context{.file = made.name(), .diagnostics = &diagnostics, .origins = &origins};
  double number = 0;
  JsonNode(made.json(), context).child("hidden").read(number);
  EXPECT_THAT(
      diagnostics.errors(),
      ElementsAre("config.json: /text_config/hidden_size: expected a number, got \"wide\""));
}

TEST(Diagnostics, TellsTheFirstHundredProblemsAndCountsTheRest) {
  Diagnostics diagnostics;
  for (int i = 0; i < 250; ++i) diagnostics.error("x.json", "/a", "wrong");
  EXPECT_EQ(diagnostics.errors().size(), 100U);
  try {
    diagnostics.throw_if_errors();
    FAIL();
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), testing::EndsWith("\nand 150 more problems"));
  }
}

}  // namespace
}  // namespace ridge
