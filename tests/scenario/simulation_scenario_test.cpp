// Simulate scenarios: what is shipped, what is refused and how, and the two trace formats.
#include "ridge/scenario/simulation_scenario.hpp"

#include "json_schema.hpp"
#include "mutation.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/keys.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::scenario {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

json shipped(const std::string& name) {
  return json::parse(test::source_text("scenarios/" + name + ".json"));
}

// Self-contained: no path that counts from a folder.
json afd() {
  return shipped("step3-2a2f-4k-fp8");
}

// What the reader says, or nothing.
std::string complaint(const json& document) {
  const test::TemporaryFile file("scenario.json", document.dump());
  try {
    (void)load_simulation(file.path());
  } catch (const UserError& e) {
    return e.what();
  }
  return {};
}

SimulationScenario with_trace(const std::string& text, json workload = {{"kind", "trace"}}) {
  json document = afd();
  const test::TemporaryFile trace("trace", text);
  workload["file"] = trace.path();
  document["workload"] = std::move(workload);
  document["measurement"] = {{"warmup_s", 0}, {"duration_s", 1}};
  const test::TemporaryFile file("scenario.json", document.dump());
  return load_simulation(file.path());
}

TEST(SimulateScenario, EveryShippedOneLoadsAndFollowsTheSchema) {
  const test::JsonSchema schema("simulate-scenario");
  int scenarios = 0;
  for (const auto& path : test::source_files("scenarios", {".json"})) {
    if (path.parent_path() != test::source_path("scenarios")) continue;
    const json document =
        json::parse(test::source_text("scenarios/" + path.filename().string()), nullptr, false);
    if (!document.is_object() || document.value("kind", "") != "simulate") continue;
    EXPECT_EQ(schema.violations(document), "") << path;
    EXPECT_NO_THROW((void)load_simulation(path.string())) << path;
    EXPECT_EQ(document.value("$schema", ""), "../docs/schema/simulate-scenario.schema.json")
        << path;
    ++scenarios;
  }
  EXPECT_GE(scenarios, 10);
}

// Names of models, chips and calibrations, the parts of models and chips, sums over several keys
// and files are for the reader alone.
bool beyond_a_schema(const std::string& mistake) {
  return mistake.starts_with("/model ") || mistake.find("/chip becomes") != std::string::npos ||
         mistake.find("/kernel_model becomes") != std::string::npos;
}

void expect_agreement(const json& document) {
  const test::JsonSchema schema("simulate-scenario");
  ASSERT_EQ(schema.violations(document), "");
  int refused = 0;
  for (const auto& [mistake, changed] : test::mutations(document)) {
    const std::string words = complaint(changed);
    if (!schema.accepts(changed)) {
      EXPECT_NE(words, "") << mistake << "\n" << schema.violations(changed);
      ++refused;
    } else if (!beyond_a_schema(mistake)) {
      // Numbers that do not fit each other (GPUs and ranks, say) are each in order.
      const bool relation = words.find("do not divide") != std::string::npos ||
                            words.find("must be") != std::string::npos ||
                            words.find("multiples of each other") != std::string::npos;
      EXPECT_TRUE(words.empty() || relation) << mistake << "\n" << words;
    }
  }
  EXPECT_GT(refused, 200);
}

TEST(SimulateScenario, TheSchemaAndTheReaderRefuseTheSameMistakes) {
  json document = afd();
  // Reads faster than a calibration, hundreds of times.
  for (auto& pool : document["deployment"]["pools"]) pool["kernel_model"] = "theoretical";
  expect_agreement(document);
}

TEST(SimulateScenario, AKernelIsChosenByNameWhereSeveralWereMeasured) {
  json document = afd();
  json& pool = document["deployment"]["pools"]["attention"];
  pool["kernel_model"] = "calibrated:h800";
  const auto attention_us = [&] {
    const test::TemporaryFile file("scenario.json", document.dump());
    const SimulationScenario scenario = load_simulation(file.path());
    const models::Operator op{.name = "attention",
                              .shape = models::DecodeAttention{.sequences = 64,
                                                               .context = 8192,
                                                               .query_heads = 16,
                                                               .kv_heads = 1,
                                                               .qk_dim = 128,
                                                               .v_dim = 128,
                                                               .cache_values_per_token = 256}};
    return scenario.input.deployment.pools.front().kernels->time(op).time.value() * 1e6;
  };
  const double usual = attention_us();
  pool["prefer_kernels"] = {"sglang:fa3"};
  EXPECT_NE(attention_us(), usual);

  pool["prefer_kernels"] = {"sglang:fa4"};
  EXPECT_THAT(
      complaint(document),
      HasSubstr("/deployment/pools/attention/prefer_kernels: the calibration \"h800\" has no "
                "curve of a kernel \"sglang:fa4\""));
  EXPECT_THAT(complaint(document), HasSubstr("did you mean \"sglang:fa3\"?"));
  pool["prefer_kernels"] = json::array();
  EXPECT_THAT(complaint(document), HasSubstr("expected the name of at least one kernel"));
  pool["prefer_kernels"] = {"sglang:fa3"};
  pool["kernel_model"] = "theoretical";
  EXPECT_THAT(complaint(document), HasSubstr("\"theoretical\" knows of none"));
  pool["kernel_model"] = "calibrated:h8000";
  EXPECT_THAT(complaint(document), HasSubstr("/deployment/pools/attention/kernel_model"));
}

// An H800 has 132 multiprocessors, 989 TFLOP/s and 3.35 TB/s.
TEST(SimulateScenario, UnitsThatCommunicateComputeNothing) {
  json document = afd();
  document["deployment"]["pools"]["ffn"]["communication_units"] = 33;
  const test::TemporaryFile file("scenario.json", document.dump());
  const SimulationScenario scenario = load_simulation(file.path());
  const auto& pools = scenario.input.deployment.pools;
  const hw::ChipSpec& left = pools.back().kernels->chip();
  EXPECT_EQ(left.compute_units.value, 99);
  constexpr auto kBf16 = static_cast<std::size_t>(models::Precision::bf16);
  EXPECT_NEAR(left.matrix_rate[kBf16].value->value(), 0.75 * 989e12, 1e6);
  EXPECT_NEAR(left.memory_bandwidth.value->value(), 3.35e12, 1e6);
  EXPECT_EQ(pools.front().kernels->chip().compute_units.value, 132);
  // What no implementation beats has them all.
  EXPECT_NEAR(pools.back().whole_chip().matrix_rate[kBf16].value->value(), 989e12, 1e6);
}

TEST(SimulateScenario, OtherKernelsThatNothingAsksForAreWarnedOf) {
  // Step-3: no latent attention, and experts on the second pool alone.
  json document = afd();
  json& pools = document["deployment"]["pools"];
  for (const char* pool : {"attention", "ffn"}) {
    pools[pool]["chip"] = "h100";
    pools[pool]["kernel_model"] = "calibrated:h100";
  }
  const auto warnings = [&](const char* pool, const std::vector<std::string>& families) {
    json asked = document;
    asked["deployment"]["pools"][pool]["other_kernels"] = families;
    const test::TemporaryFile file("scenario.json", asked.dump());
    return load_simulation(file.path()).warnings;
  };
  EXPECT_THAT(warnings("attention", {"decode_attention"}), testing::IsEmpty());
  EXPECT_THAT(warnings("ffn", {"moe_layer"}), testing::IsEmpty());
  EXPECT_THAT(warnings("attention", {"decode_attention", "latent_attention"}),
              testing::ElementsAre(testing::EndsWith(
                  "scenario.json: /deployment/pools/attention/other_kernels: no layer of the "
                  "model asks these GPUs for latent_attention: without effect")));
  EXPECT_THAT(warnings("ffn", {"moe_layer", "decode_attention"}),
              testing::ElementsAre(HasSubstr("asks these GPUs for decode_attention")));
  EXPECT_THAT(warnings("attention", {"moe_layer"}), testing::SizeIs(1));
  // Which exchanges there are, layers do not tell.
  EXPECT_THAT(warnings("ffn", {"expert_dispatch"}), testing::IsEmpty());
}

TEST(SimulateScenario, TheSchemaKnowsEveryOptionalKey) {
  json document = afd();
  document["deployment"]["replicas"] = 2;
  document["deployment"]["step_overhead_us"] = 100;
  document["deployment"]["gathering"] = "per_message";
  document["deployment"]["drafting"] = {{"tokens", 0}, {"acceptance", 0.7}};
  document["deployment"]["pools"]["ffn"]["redundant_experts"] = 2;
  document["deployment"]["pools"]["attention"]["price_USD_per_hour"] = 2;
  document["deployment"]["pools"]["attention"]["nic_bandwidth_GBps"] = 50;
  document["network"]["fabric"] = {
      {"nodes_per_leaf", 2}, {"spines", 2}, {"oversubscription", 1}, {"hop_latency_us", 1}};
  document["workload"] = {
      {"kind", "poisson"},
      {"requests_per_s", 10},
      {"context",
       {{"kind", "lognormal"},
        {"median_tokens", 1000},
        {"sigma", 1},
        {"min_tokens", 10},
        {"max_tokens", 8000}}},
      {"output", {{"kind", "uniform"}, {"min_tokens", 10}, {"max_tokens", 20}}}};
  document["admission"] = {{"routing", "least_load"},
                           {"max_requests_per_gpu", 100},
                           {"page_tokens", 16},
                           {"memory_utilization", 0.8}};
  document["noise"] = {
      {"kernel_jitter", 0.1},
      {"network_jitter", 0.1},
      {"slow_gpus", {{{"pool", "attention"}, {"instance", 1}, {"gpu", 7}, {"factor", 1.5}}}},
      {"slow_links", {{{"pool", "ffn"}, {"instance", 1}, {"factor", 2}}}},
      {"experts", {{"popularity", "power_law"}, {"exponent", 1}}}};
  document["measurement"] = {{"warmup_s", 1}, {"duration_s", 10}};
  EXPECT_EQ(complaint(document), "");
  EXPECT_EQ(test::JsonSchema("simulate-scenario").violations(document), "");
}

TEST(SimulateScenario, AMistakeNamesFilePlaceAndWhatWasExpected) {
  json document = afd();
  document["deployment"]["pools"]["ffn"]["chip"] = "h80";
  EXPECT_THAT(complaint(document),
              AllOf(HasSubstr("scenario.json: /deployment/pools/ffn/chip: "),
                    HasSubstr("got \"h80\""), HasSubstr("did you mean \"h800\"?")));
  document = afd();
  document["deployment"]["strategy"] = "adf";
  EXPECT_THAT(complaint(document),
              AllOf(HasSubstr("/deployment/strategy: "), HasSubstr("did you mean \"afd\"?")));
  document = afd();
  document["workload"]["requests_per_gpu"] = 0;
  EXPECT_THAT(complaint(document),
              AllOf(HasSubstr("/workload/requests_per_gpu: expected"), HasSubstr("got 0")));
  document = afd();
  document["deployment"]["pools"]["ffn"]["ffn_expert_parallel"] = 4;
  EXPECT_THAT(complaint(document),
              AllOf(HasSubstr("/deployment: "), HasSubstr("(8 x 4) must be its 16 GPUs")));
}

TEST(SimulateScenario, EveryMistakeIsToldAtOnce) {
  json document = afd();
  document["title"] = 1;
  document["deployment"]["micro_batches"] = 0;
  document["network"]["efficiency"] = 1.5;
  document["color"] = "blue";
  EXPECT_THAT(complaint(document),
              AllOf(HasSubstr("/title"), HasSubstr("/deployment/micro_batches"),
                    HasSubstr("/network/efficiency"), HasSubstr("\"color\"")));
}

TEST(SimulateScenario, DisturbancesMustHitSomethingThatExists) {
  json document = afd();
  document["noise"] = {
      {"slow_gpus", {{{"pool", "ffn"}, {"instance", 2}, {"gpu", 0}, {"factor", 2}}}}};
  EXPECT_THAT(complaint(document), HasSubstr("/noise/slow_gpus/0/instance"));
  document["noise"] = {
      {"slow_gpus", {{{"pool", "decode"}, {"instance", 0}, {"gpu", 0}, {"factor", 2}}}}};
  EXPECT_THAT(complaint(document), HasSubstr("/noise/slow_gpus/0/pool"));
  document["noise"] = {{"experts", {{"popularity", "shares"}, {"shares", {1, 2}}}}};
  EXPECT_THAT(complaint(document), HasSubstr("one share for each of the 48 experts"));
  document["noise"]["experts"]["shares"] = std::vector<int>(48, 0);
  EXPECT_THAT(complaint(document), HasSubstr("at least one share above 0"));
}

TEST(SimulateScenario, ExpertSharesMayComeFromAFile) {
  std::vector<double> shares(48, 1.0);
  shares[7] = 5.0;
  const test::TemporaryFile good("shares.json", json(shares).dump());
  json document = afd();
  document["noise"] = {{"experts", {{"popularity", "shares"}, {"shares", good.path()}}}};
  const test::TemporaryFile file("scenario.json", document.dump());
  EXPECT_EQ(load_simulation(file.path()).input.noise.experts.shares, shares);
  EXPECT_EQ(test::JsonSchema("simulate-scenario").violations(document), "");
  shares.pop_back();
  const test::TemporaryFile bad("shares.json", json(shares).dump());
  document["noise"]["experts"]["shares"] = bad.path();
  EXPECT_THAT(complaint(document), HasSubstr("one share for each of the 48 experts"));
  document["noise"]["experts"]["shares"] = "nowhere.json";
  EXPECT_THAT(complaint(document), HasSubstr("/noise/experts/shares"));
}

TEST(SimulateScenario, ANodeHasAtLeastOneGpu) {
  json document = afd();
  document["deployment"]["pools"]["ffn"]["gpus_per_node"] = 0;
  EXPECT_THAT(complaint(document), HasSubstr("/deployment/pools/ffn/gpus_per_node"));
}

// What a trace's file gives for these lines.
RequestTrace traced(const std::string& text, Trace how = {}) {
  const test::TemporaryFile file("trace", text);
  return read_trace(file.path(), how);
}

std::string refused(const std::string& text, const Trace& how = {}) {
  try {
    (void)traced(text, how);
  } catch (const UserError& e) {
    return e.what();
  }
  return {};
}

constexpr const char* kAzure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";

// Prefill makes the first token, so that one less is decoded.
TEST(RequestTrace, CsvLinesAreRequestsFromTheFirstOn) {
  const auto trace = with_trace(std::string(kAzure) +
                                "2025-01-01 23:59:59.5000000,100,10\r\n"
                                "2025-01-02 00:00:00.2500000,200,20\n"
                                "2025-01-02 00:00:01.0000000,300,0\n"
                                "2025-01-02 00:00:02.0000000,400,40\n")
                         .input.workload.trace;
  ASSERT_EQ(trace.size(), 3U);
  EXPECT_EQ(trace[0].arrival, Seconds{0.0});
  EXPECT_NEAR(trace[1].arrival.value(), 0.75, 1e-6);
  EXPECT_NEAR(trace[2].arrival.value(), 2.5, 1e-6);
  EXPECT_EQ(trace[1].context_tokens, 200);
  EXPECT_EQ(trace[2].output_tokens, 39);
}

TEST(RequestTrace, JsonLinesAreRequestsInMilliseconds) {
  const auto trace =
      with_trace(
          "{\"timestamp\": 500, \"input_length\": 100, \"output_length\": 10}\n"
          "{\"timestamp\": 2500, \"input_length\": 7, \"output_length\": 3, \"hash_ids\": [1]}\n",
          {{"kind", "trace"}, {"rate_scale", 4}})
          .input.workload.trace;
  ASSERT_EQ(trace.size(), 2U);
  EXPECT_DOUBLE_EQ(trace[1].arrival.value(), 0.5);
  EXPECT_EQ(trace[1].context_tokens, 7);
  EXPECT_EQ(trace[1].output_tokens, 2);
}

TEST(RequestTrace, DatesMayHaveAZoneAndAT) {
  for (const char* second : {"2024-05-10T00:00:01Z", "2024-05-10 00:00:01+00:00",
                             "2024-05-10T02:00:01.0+02:00", "2024-05-09 23:30:01-00:30"}) {
    const auto trace =
        traced(kAzure + std::string("2024-05-10 00:00:00+00:00,1,2\n") + second + ",1,2\n");
    EXPECT_EQ(trace.requests.at(1).arrival, Seconds{1.0}) << second;
  }
}

TEST(RequestTrace, CellsMayBeQuotedBehindAByteOrderMarkAndInAnyOrder) {
  const auto trace = traced(
      "\xEF\xBB\xBF\"ContextTokens\",\"Other\",\"GeneratedTokens\",\"TIMESTAMP\"\r\n"
      "\"4808\",\"a, b\",\"10\",\"2023-11-16 18:17:03.9\"\r\n");
  ASSERT_EQ(trace.requests.size(), 1U);
  EXPECT_EQ(trace.requests[0].context_tokens, 4808);
  EXPECT_EQ(trace.requests[0].output_tokens, 9);
}

TEST(RequestTrace, BurstGptAndVidurCountInSeconds) {
  const auto burst = traced(
      "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
      "5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,1087,230,1317,API log\n");
  EXPECT_EQ(burst.requests.at(1).arrival, Seconds{40.0});
  EXPECT_EQ(burst.requests.at(1).context_tokens, 1087);
  EXPECT_EQ(burst.requests.at(1).output_tokens, 229);
  const auto vidur =
      traced("arrived_at,num_prefill_tokens,num_decode_tokens\n0.25,512,64\n0.75,100,2\n");
  EXPECT_EQ(vidur.requests.at(1).arrival, Seconds{0.5});
  EXPECT_EQ(vidur.requests.at(0).output_tokens, 63);
}

TEST(RequestTrace, WhatIsLeftOutIsCountedAndSaid) {
  const auto trace = traced(kAzure + std::string("2023-11-16 18:17:03.97,4808,0\n"
                                                 "2023-11-16 18:17:04.00,100,1\n"
                                                 "2023-11-16 18:17:04.03,0,8\n"
                                                 "2023-11-16 18:17:04.97,10,8\n"));
  ASSERT_EQ(trace.requests.size(), 1U);
  EXPECT_NEAR(trace.requests[0].arrival.value(), 1.0, 1e-6) << "from the first line on";
  ASSERT_EQ(trace.notes.size(), 1U);
  EXPECT_THAT(trace.notes.front(),
              AllOf(HasSubstr("3 of 4 requests are left out"),
                    HasSubstr("2 end with the token that prefill makes, or before it"),
                    HasSubstr("1 have no context")));
  EXPECT_THAT(refused(kAzure + std::string("2023-11-16 18:17:03.97,4808,0\n")),
              HasSubstr("none is left"));
}

TEST(RequestTrace, UnsortedLinesAreSortedOnlyWhenAsked) {
  const std::string lines =
      "{\"timestamp\": 3000, \"input_length\": 1000, \"output_length\": 5}\n"
      "{\"timestamp\": 0, \"input_length\": 20, \"output_length\": 8}\n";
  EXPECT_THAT(refused(lines), AllOf(HasSubstr("line 2: expected arrivals in order of time"),
                                    HasSubstr("\"sort_by_arrival\": true")));
  const auto trace = traced(lines, {.sort = true});
  EXPECT_EQ(trace.requests.at(0).context_tokens, 20);
  EXPECT_EQ(trace.requests.at(1).arrival, Seconds{3.0});
}

TEST(RequestTrace, SecondsThatLookLikeMillisecondsAreAskedAbout) {
  const std::string lines =
      "{\"timestamp\": 0.0, \"input_length\": 10, \"output_length\": 5}\n"
      "{\"timestamp\": 0.2, \"input_length\": 20, \"output_length\": 8}\n"
      "{\"timestamp\": 0.4, \"input_length\": 15, \"output_length\": 6}\n";
  EXPECT_THAT(refused(lines), AllOf(HasSubstr("5000 requests a second"),
                                    HasSubstr("\"timestamp_unit\": \"s\" or \"ms\"")));
  EXPECT_NEAR(traced(lines, {.timestamp_unit = TimestampUnit::s}).requests.at(2).arrival.value(),
              0.4, 1e-12);
  EXPECT_NEAR(traced(lines, {.timestamp_unit = TimestampUnit::ms}).requests.at(2).arrival.value(),
              0.4e-3, 1e-12);
  EXPECT_THAT(refused(kAzure + std::string("2023-11-16 18:17:03.97,4808,3\n"),
                      {.timestamp_unit = TimestampUnit::s}),
              HasSubstr("its timestamps are dates"));
}

TEST(RequestTrace, StopsAtTheMaximum) {
  EXPECT_EQ(with_trace("{\"timestamp\": 0, \"input_length\": 1, \"output_length\": 2}\n"
                       "{\"timestamp\": 1, \"input_length\": 1, \"output_length\": 2}\n",
                       {{"kind", "trace"}, {"max_requests", 1}})
                .input.workload.trace.size(),
            1U);
}

TEST(RequestTrace, ABadLineIsToldByItsNumber) {
  const std::string header = kAzure;
  const std::string good = "2025-01-01 00:00:01.0,1,2\n";
  EXPECT_THAT(refused(header + good + "2025-01-01 00:00:02.0,1\n"),
              AllOf(HasSubstr("line 3"), HasSubstr("3 columns")));
  EXPECT_THAT(refused(header + "yesterday,1,1\n"), HasSubstr("line 2: expected a date and time"));
  EXPECT_THAT(refused(header + "2025-13-41 25:61:61,1,1\n"), HasSubstr("line 2"));
  EXPECT_THAT(refused(header + "2025-01-01 00:00:01 or so,1,1\n"), HasSubstr("line 2"));
  EXPECT_THAT(refused(header + good + "2025-01-01 00:00:02.0,-1,1\n"), HasSubstr("line 3"));
  EXPECT_THAT(refused(header + good + "2025-01-01 00:00:00.0,1,2\n"),
              HasSubstr("line 3: expected arrivals in order of time"));
  EXPECT_THAT(refused("{\"timestamp\": 0, \"input_length\": 1}\n"), HasSubstr("line 1"));
  EXPECT_THAT(refused("{\"timestamp\": 0, \"input_length\": 1, \"output_length\": -4}\n"),
              HasSubstr("line 1"));
  EXPECT_THAT(refused("{\"timestamp\": 0,\n"), HasSubstr("line 1"));
  EXPECT_THAT(refused("a,b,c\n"), HasSubstr("expected a trace"));
  EXPECT_THAT(refused(""), HasSubstr("expected a trace"));
  EXPECT_THAT(refused(header), HasSubstr("holds no request"));
  EXPECT_THAT(refused(header + "2025-01-01 00:00:01.0,5000000000000,1\n"), HasSubstr("line 2"));
  EXPECT_THAT(refused("{\"timestamp\": 0, \"input_length\": 1, \"output_length\": 5000000000}\n"),
              HasSubstr("line 1"));
}

// The mistake stands in the trace, and the scenario names it.
TEST(RequestTrace, AMistakeIsToldAtTheKeyThatNamesTheFile) {
  try {
    (void)with_trace("a,b,c\n");
    FAIL();
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), HasSubstr("/workload/file: "));
  }
}

// Nothing that a file says is lost, and nothing is added.
TEST(SimulateScenario, EveryShippedOneIsWrittenAsItStands) {
  int scenarios = 0;
  for (const auto& path : test::source_files("scenarios", {".json"})) {
    if (path.parent_path() != test::source_path("scenarios")) continue;
    json document = json::parse(test::source_text("scenarios/" + path.filename().string()));
    if (document.value("kind", "") != "simulate") continue;
    document.erase("$schema");
    document.erase("comment");
    if (!document["model"].is_string()) continue;  // models are read only
    const LocatedScenario located = read_scenario(path.string());
    const json written = json::parse(json_text(located.scenario));
    // Keys may say what they would say anyway; what is written says it without them.
    for (const json& step : json::diff(written, document)) {
      EXPECT_EQ(step.at("op"), "add") << path << "\n" << step;
    }
    const test::TemporaryFile copy("copy.json", written.dump());
    EXPECT_EQ(json_text(read_scenario(copy.path()).scenario), json_text(located.scenario)) << path;
    ++scenarios;
  }
  EXPECT_GE(scenarios, 10);
}

}  // namespace
}  // namespace ridge::scenario
