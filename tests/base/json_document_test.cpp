// What is no JSON, or no JSON that we care to read, is refused with its place.
#include "ridge/base/json.hpp"
#include "temporary_folder.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string refusal(const std::string& text, JsonLimits limits = {}) {
  try {
    (void)JsonDocument::parse(text, "x.json", limits);
  } catch (const UserError& e) {
    return e.what();
  }
  ADD_FAILURE() << "parsed";
  return {};
}

TEST(JsonDocument, TruncatedTextIsRefusedWithLineAndColumn) {
  const auto message = refusal("{\n  \"a\": [1, 2");
  EXPECT_THAT(message, StartsWith("x.json: not valid JSON: "));
  EXPECT_THAT(message, HasSubstr("line 2"));
}

TEST(JsonDocument, AnEmptyFileIsRefused) {
  EXPECT_THAT(refusal(""), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal(" \n\t"), HasSubstr("not valid JSON"));
}

TEST(JsonDocument, TrailingTextIsRefused) {
  EXPECT_THAT(refusal("{} {}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"a\": 1,}"), HasSubstr("not valid JSON"));
}

TEST(JsonDocument, NotANumberAndNumbersBeyondDoublesAreRefused) {
  EXPECT_THAT(refusal("{\"a\": NaN}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"a\": Infinity}"), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal("{\"a\": 1e999}"), HasSubstr("1e999"));
  EXPECT_THAT(refusal("{\"a\": -1e999}"), HasSubstr("-1e999"));
}

TEST(JsonDocument, AKeyGivenTwiceIsRefusedAndNamed) {
  EXPECT_EQ(refusal(R"({"a": 1, "b": {"c": 1, "c": 2}, "a": 3})"),
            "x.json: key \"c\" is given twice in one object\n"
            "x.json: key \"a\" is given twice in one object");
  EXPECT_NO_THROW((void)JsonDocument::parse(R"({"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]})", "x"));
}

TEST(JsonDocument, DeepNestingIsRefusedBeforeItCostsAnything) {
  EXPECT_EQ(refusal(std::string(1000000, '[')), "x.json: nested more than 64 levels deep");
  const std::string deep = std::string(64, '[') + std::string(64, ']');
  EXPECT_NO_THROW((void)JsonDocument::parse(deep, "x.json"));
  EXPECT_THAT(refusal("[" + deep + "]"), HasSubstr("64 levels"));
}

TEST(JsonDocument, InvalidUtf8IsRefused) {
  EXPECT_THAT(refusal("{\"a\": \"\xff\xfe\"}"), HasSubstr("not valid JSON"));
}

TEST(JsonDocument, AByteOrderMarkIsNoMistake) {
  EXPECT_EQ(JsonDocument::parse("\xEF\xBB\xBF{\"a\": 1}", "x.json").json().at("a"), 1);
}

TEST(JsonDocument, MoreThanTheLimitIsRefused) {
  EXPECT_EQ(refusal("\"" + std::string(std::size_t{1} << 20U, 'x') + "\"",
                    {.max_bytes = std::size_t{1} << 20U}),
            "x.json: expected at most 1 MiB of JSON, got more");
}

TEST(JsonDocument, ReadsAFileUnderItsOwnName) {
  const TemporaryFolder folder;
  const auto path = folder.put("a.json", "[1]");
  const auto document = JsonDocument::read(path);
  EXPECT_EQ(document.name(), path.string());
  EXPECT_EQ(document.json().size(), 1U);
}

}  // namespace
}  // namespace ridge
