#include "bench/json_writer.hpp"
#include "bench/measurement.hpp"
#include "source_tree.hpp"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

namespace ridge::kernels::bench {
namespace {

using nlohmann::json;

TEST(JsonWriter, WritesWhatAParserReadsBack) {
  for (const int indent : {0, 2}) {
    JsonWriter writer(indent);
    writer.begin_object();
    writer.key("text").value("quote \" backslash \\ newline \n tab \t control \x01 and µ");
    writer.key("integer").value(std::int64_t{-42});
    writer.key("large").value(std::uint64_t{18446744073709551615ull});
    writer.key("flag").value(true);
    writer.key("list").begin_array().value(1).value(2.5).begin_object().end_object().end_array();
    writer.key("empty").begin_array().end_array();
    writer.end_object();
    const json parsed = json::parse(writer.text());
    EXPECT_EQ(parsed["text"], "quote \" backslash \\ newline \n tab \t control \x01 and µ");
    EXPECT_EQ(parsed["integer"], -42);
    EXPECT_EQ(parsed["large"], 18446744073709551615ull);
    EXPECT_EQ(parsed["flag"], true);
    EXPECT_EQ(parsed["list"], json::parse("[1, 2.5, {}]"));
    EXPECT_EQ(parsed["empty"], json::array());
  }
}

TEST(JsonWriter, DoublesReadBackAsTheSameDouble) {
  for (const double x : {0.1, 1.0 / 3, 1e-300, 6.02214076e23, -0.0, 123456789.123456789}) {
    EXPECT_EQ(json::parse(JsonWriter().value(x).text()).get<double>(), x);
  }
}

TEST(JsonWriter, WhatIsNotFiniteBecomesNull) {
  EXPECT_EQ(JsonWriter().value(std::numeric_limits<double>::quiet_NaN()).text(), "null");
  EXPECT_EQ(JsonWriter().value(std::numeric_limits<double>::infinity()).text(), "null");
}

TEST(JsonWriter, RefusesToWriteWhatIsNotJson) {
  EXPECT_THROW(JsonWriter().begin_object().value(1), std::logic_error);
  EXPECT_THROW(JsonWriter().begin_array().key("k"), std::logic_error);
  EXPECT_THROW(JsonWriter().begin_array().end_object(), std::logic_error);
  EXPECT_THROW(JsonWriter().begin_object().key("k").end_object(), std::logic_error);
  EXPECT_THROW(JsonWriter().value(1).value(2), std::logic_error);
  EXPECT_THROW(JsonWriter().begin_array().text(), std::logic_error);
}

Point example_point() {
  return {"ridge",
          {{"batch", std::int64_t{64}}, {"skew", 1.25}, {"kv_dtype", std::string("bf16")}},
          {1e9, 2e6, 3e10}};
}

Header example_header() {
  Header header;
  header.command = "ridge-bench --quick";
  header.date_utc = "2025-01-02T03:04:05Z";
  header.device = {"An \"accelerator\"", "GPU-0", 9,    0,   132, 52428800,
                   85899345920ull,       1980,    2619, 5120};
  header.driver_version = "580";
  header.cuda_runtime_version = "13.0";
  header.cublaslt_version = "130000";
  header.compiler = "nvcc 13.0";
  header.clocks_first = Clocks{1755, 2619};
  header.comparisons = 12;
  header.wrong = {{"rope ridge: a claim [tokens=1]", "error 2 of 1e-3"}};
  header.missing = {{"rope ridge tokens=1", "the kernel is wrong here"}};
  return header;
}

TEST(MeasurementFile, ConformsToItsPublishedSchema) {
  const std::string path = ridge::test::source_path("docs/schema/measurement.schema.json").string();
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  const json schema_document = json::parse(file);
  valijson::Schema schema;
  valijson::SchemaParser().populateSchema(valijson::adapters::NlohmannJsonAdapter(schema_document),
                                          schema);
  const auto conforms = [&](const json& document) {
    valijson::ValidationResults results;
    return valijson::Validator().validate(schema, valijson::adapters::NlohmannJsonAdapter(document),
                                          &results);
  };
  const json good = json::parse(
      measurement_json(example_header(), {point_json("decode_attention", example_point(),
                                                     Timing{51.5, 50.25, 53, 40, {1755, 2619}})}));
  EXPECT_TRUE(conforms(good)) << good.dump(1);

  json without_time = good;
  without_time["points"][0].erase("median_us");
  EXPECT_FALSE(conforms(without_time));
  json negative = good;
  negative["points"][0]["median_us"] = -1;
  EXPECT_FALSE(conforms(negative));
  json stranger = good;
  stranger["points"][0]["seconds"] = 1;
  EXPECT_FALSE(conforms(stranger));
}

TEST(MeasurementFile, KeepsEveryFieldOfAPoint) {
  const json point = json::parse(
      point_json("decode_attention", example_point(), Timing{51.5, 50.25, 53, 40, {1755, 2619}}));
  EXPECT_EQ(point["family"], "decode_attention");
  EXPECT_EQ(point["kernel"], "ridge");
  EXPECT_EQ(point["shape"], json::parse(R"({"batch": 64, "skew": 1.25, "kv_dtype": "bf16"})"));
  EXPECT_EQ(point["bytes_read"], 1e9);
  EXPECT_EQ(point["bytes_written"], 2e6);
  EXPECT_EQ(point["flop"], 3e10);
  EXPECT_EQ(point["median_us"], 51.5);
  EXPECT_EQ(point["p10_us"], 50.25);
  EXPECT_EQ(point["p90_us"], 53);
  EXPECT_EQ(point["samples"], 40);
  EXPECT_EQ(point["sm_MHz"], 1755);
  EXPECT_EQ(point["memory_MHz"], 2619);
}

TEST(MeasurementFile, SaysNullWhereTheClocksAreUnknown) {
  const json document = json::parse(measurement_json(example_header(), {}));
  EXPECT_EQ(document["clocks"]["first"]["sm_MHz"], 1755);
  EXPECT_TRUE(document["clocks"]["last"].is_null());
  EXPECT_FALSE(
      json::parse(point_json("rope", example_point(), Timing{1, 1, 1, 7, {}})).contains("sm_MHz"));
}

TEST(MeasurementFile, SaysWhatIsWrongAndWhatIsMissing) {
  const json document = json::parse(measurement_json(example_header(), {}));
  EXPECT_EQ(document["checks"]["comparisons"], 12);
  EXPECT_EQ(document["checks"]["wrong"][0]["why"], "error 2 of 1e-3");
  EXPECT_EQ(document["not_measured"][0]["what"], "rope ridge tokens=1");
}

class JournalFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              (std::string("ridge_journal_") +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    path_ = folder_ / "m.json.partial";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(JournalFile, ContinuesWhereARunStopped) {
  const Timing timing{51.5, 1.0 / 3, 53, 40, {1755, 2619}};
  {
    Journal journal(path_, "device A");
    EXPECT_EQ(journal.size(), 0u);
    journal.add("one", {1, 1, 1, 7, {}});
    journal.add("two", timing);
  }
  const Journal journal(path_, "device A");
  ASSERT_EQ(journal.size(), 2u);
  EXPECT_EQ(timing_text(*journal.find("two")), timing_text(timing));
  EXPECT_EQ(journal.find("two")->p10_us, 1.0 / 3);
  EXPECT_EQ(journal.find("three"), nullptr);
}

TEST_F(JournalFile, NeverWritesOverThatOfAnotherDevice) {
  Journal(path_, "device A").add("one", {1, 1, 1, 7, {}});
  const Journal other(path_, "device B");
  EXPECT_EQ(other.size(), 0u);
  EXPECT_EQ(other.moved_to(), path_ + ".1");
  Journal(path_, "device C").add("two", {2, 2, 2, 7, {}});
  std::filesystem::rename(path_ + ".1", path_);
  EXPECT_EQ(Journal(path_, "device A").size(), 1u);
}

TEST_F(JournalFile, DropsALineThatWasCutOff) {
  Journal(path_, "device A").add("one", {1, 1, 1, 7, {}});
  std::ofstream(path_, std::ios::app) << "two\t2.0\t2";
  Journal journal(path_, "device A");
  EXPECT_EQ(journal.size(), 1u);
  journal.add("three", {3, 3, 3, 7, {}});
  EXPECT_EQ(Journal(path_, "device A").size(), 2u);
}

TEST_F(JournalFile, IsGoneWhenTheRunIsComplete) {
  Journal journal(path_, "device A");
  journal.add("one", {1, 1, 1, 7, {}});
  journal.remove();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(JournalFile, AFileIsWrittenWholeOrNotAtAll) {
  write_whole(path_, "first");
  EXPECT_THROW(write_whole((folder_ / "no folder" / "m.json").string(), "x"), std::runtime_error);
  write_whole(path_, "second");
  std::ostringstream text;
  text << std::ifstream(path_).rdbuf();
  EXPECT_EQ(text.str(), "second");
  EXPECT_FALSE(std::filesystem::exists(path_ + ".writing"));
}

}  // namespace
}  // namespace ridge::kernels::bench
