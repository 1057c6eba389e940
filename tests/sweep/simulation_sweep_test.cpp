// Sweeps whose points are simulated deployments: each point is what `ridge simulate` says of it.
#include "json_schema.hpp"
#include "ridge/answer/simulation_report.hpp"
#include "ridge/base/catalog.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/scenario/simulation_scenario.hpp"
#include "ridge/sweep/sweep.hpp"
#include "ridge/sweep/sweep_output.hpp"
#include "temporary_file.hpp"

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kShipped = "step3-2a2f-4k-fp8";
constexpr const char* kAttentionChip = "/scenario/deployment/pools/attention/chip";

json shipped_scenario(const std::string& name = kShipped) {
  return JsonDocument::read(scenario::scenario_path(name)).json();
}

// Two attention and two FFN instances with roofline kernels and some noise, over a few steps.
json small_scenario() {
  json scenario = shipped_scenario();
  for (json& pool : scenario["deployment"]["pools"]) pool["kernel_model"] = "theoretical";
  scenario["noise"] = {{"kernel_jitter", 0.05}, {"network_jitter", 0.1}};
  scenario["measurement"] = {{"warmup_steps", 1}, {"steps", 2}};
  scenario["workload"]["requests_per_gpu"] = 48;
  return scenario;
}

json simulation_sweep(const json& scenario, const json& axes) {
  return {{"kind", "sweep"},
          {"title", "t"},
          {"base", {{"kind", "simulate"}, {"scenario", scenario}}},
          {"axes", axes}};
}

SweepResult run(const json& sweep, unsigned threads = 1, const std::string& file = "x.json") {
  return run_sweep(read_sweep(JsonDocument(file, sweep)), {.threads = threads});
}

json written(const SweepResult& result) {
  std::string text;
  write_sweep(result, view::OutputFormat::json, {}, [&](std::string_view piece) { text += piece; });
  return json::parse(text);
}

std::string refusal_of(const json& sweep) {
  try {
    (void)run(sweep);
  } catch (const UserError& e) {
    return e.what();
  }
  return "no error";
}

// What `ridge simulate --format json` says of a scenario that has these values in it.
json simulated(json scenario, const std::vector<std::pair<std::string, json>>& values = {}) {
  for (const auto& [pointer, value] : values) scenario[json::json_pointer(pointer)] = value;
  Diagnostics diagnostics;
  const JsonContext context{.file = "x.json", .diagnostics = &diagnostics};
  scenario::LocatedScenario located{.file = "x.json", .pointer = {}, .scenario = {}};
  read_keys(JsonNode(scenario, context), located.scenario);
  diagnostics.throw_if_errors();
  scenario::Library library;
  return json::parse(
      render(answer::simulate(scenario::resolve(located, library)), view::OutputFormat::json));
}

void expect_row_is(const json& row, const json& alone) {
  EXPECT_EQ(row["tpot_ms"], alone["tpot_ms"]["mean"]);
  EXPECT_EQ(row["tpot_p50_ms"], alone["tpot_ms"]["p50"]);
  EXPECT_EQ(row["tpot_p95_ms"], alone["tpot_ms"]["p95"]);
  EXPECT_EQ(row["tpot_p99_ms"], alone["tpot_ms"]["p99"]);
  for (const char* key : {"tokens_per_s", "tokens_per_s_per_gpu", "tokens_per_s_per_user",
                          "usd_per_Mtok", "gpus", "events"}) {
    EXPECT_EQ(row[key], alone[key]) << key;
  }
  EXPECT_EQ(row["requests"], alone["requests"]["mean_in_decode"]);
  EXPECT_EQ(row["floor_ms"], alone["floor_ms"]["theory"]);
  EXPECT_EQ(row["kv_peak"], alone["kv"]["peak"]);
  EXPECT_EQ(row["warnings"], alone["warnings"].size());
  EXPECT_DOUBLE_EQ(row["attention_busy"], alone["pools"].front()["busy"]);
  EXPECT_DOUBLE_EQ(row["ffn_busy"], alone["pools"].back()["busy"]);
}

TEST(SimulationSweep, APointIsWhatSimulateSaysOfIt) {
  const json scenario = small_scenario();
  const json rows = written(run(simulation_sweep(
      scenario, json::parse(R"([{"pointer": "/scenario/deployment/micro_batches", "values": [2, 3]},
                   {"pointer": "/scenario/workload/requests_per_gpu", "values": [24, 48]},
                   {"pointer": "/scenario/workload/context/tokens", "values": [4096, 5000]},
                   {"pointer": "/scenario/noise/kernel_jitter", "values": [0, 0.2]},
                   {"pointer": "/scenario/deployment/pools/attention/chip",
                    "values": ["h800", "h20"]}])"))))["rows"];
  ASSERT_EQ(rows.size(), 32U);
  for (const json& row : rows) {
    expect_row_is(row, simulated(scenario, {{"/deployment/micro_batches", row["micro_batches"]},
                                            {"/workload/requests_per_gpu", row["requests_per_gpu"]},
                                            {"/workload/context/tokens", row["context/tokens"]},
                                            {"/noise/kernel_jitter", row["kernel_jitter"]},
                                            {"/deployment/pools/attention/chip", row["chip"]}}));
  }
}

TEST(SimulationSweep, OnePoolIsTheAttentionsAndTheFfns) {
  json scenario = shipped_scenario("deepseek-v3-ep128-4k");
  scenario["measurement"] = {{"warmup_steps", 1}, {"steps", 2}};
  const json rows = written(run(
      simulation_sweep(scenario, json::parse(R"([{"pointer": "/scenario/workload/requests_per_gpu",
                                 "values": [32]}])"))))["rows"];
  ASSERT_EQ(rows.size(), 1U);
  expect_row_is(rows[0], simulated(scenario, {{"/workload/requests_per_gpu", 32}}));
  EXPECT_EQ(rows[0]["attention_busy"], rows[0]["ffn_busy"]);
}

TEST(SimulationSweep, ANumberInsideAChipReachesItsKernels) {
  const json scenario = small_scenario();
  const std::string pointer = fmt::format("{}/memory_bandwidth_TBps/value", kAttentionChip);
  const json rows = written(
      run(simulation_sweep(scenario, {{{"pointer", pointer}, {"values", {1, 2}}}})))["rows"];
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_GT(rows[0]["tpot_ms"], rows[1]["tpot_ms"]);
  for (const json& row : rows) {
    json chip = hw::chip_document("h800").json();
    chip["memory_bandwidth_TBps"]["value"] = row["memory_bandwidth_TBps"];
    expect_row_is(row, simulated(scenario, {{"/deployment/pools/attention/chip", chip}}));
  }
}

TEST(SimulationSweep, ANumberInsideACalibratedChipMovesItsCurves) {
  json scenario = shipped_scenario();
  scenario["measurement"] = {{"warmup_steps", 1}, {"steps", 2}};
  const std::string pointer = fmt::format("{}/memory_bandwidth_TBps/value", kAttentionChip);
  const json result =
      written(run(simulation_sweep(scenario, {{{"pointer", pointer}, {"values", {3.35, 4.02}}}})));
  ASSERT_EQ(result["rows"].size(), 2U);
  expect_row_is(result["rows"][0], simulated(scenario));
  EXPECT_LT(result["rows"][1]["tpot_ms"], result["rows"][0]["tpot_ms"]);
  EXPECT_THAT(result["provenance"], HasSubstr("partly transferred"));
}

TEST(SimulationSweep, ANamedScenarioIsTheOneInPlace) {
  const json axes =
      json::parse(R"([{"pointer": "/scenario/deployment/micro_batches", "values": [2, 3]},
                      {"pointer": "/scenario/measurement/steps", "values": [2]},
                      {"pointer": "/scenario/deployment/pools/ffn/chip/nic_bandwidth_GBps/value",
                       "values": [25, 50]}])");
  const json named = written(run(simulation_sweep(kShipped, axes)));
  ASSERT_EQ(named["rows"].size(), 4U);
  EXPECT_EQ(named["rows"], written(run(simulation_sweep(shipped_scenario(), axes)))["rows"]);
  EXPECT_NE(named["rows"][0]["tpot_ms"], named["rows"][1]["tpot_ms"]);
  EXPECT_THAT(named["provenance"], HasSubstr("simulated; kernel times: calibrated:h800"));
}

TEST(SimulationSweep, FilesNamedByAScenarioAreFoundFromItsOwnFolder) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(testing::TempDir()) / "ridge_simulation_sweep";
  fs::create_directories(folder / "deployments");
  fs::create_directories(folder / "sweeps");
  const auto write = [&](const std::string& name, const std::string& text) {
    write_file((folder / "deployments" / name).string(), text);
  };
  write("chip.json", hw::chip_document("h800").json().dump());
  write("kernels.json",
        JsonDocument::read(data_root() / "hwmodels/data/calibrations/h800.json").json().dump());
  write("trace.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00.0,512,40\n"
        "2023-11-16 18:00:01.0,700,60\n");
  json scenario = shipped_scenario();
  for (json& pool : scenario["deployment"]["pools"]) {
    pool["chip"] = "./chip.json";
    pool["kernel_model"] = "calibrated:./kernels.json";
  }
  scenario["workload"] = {{"kind", "trace"}, {"file", "trace.csv"}};
  std::vector<double> shares(48, 1.0);
  shares[0] = 20.0;
  write("shares.json", json(shares).dump());
  scenario["noise"]["experts"] = {{"popularity", "shares"}, {"shares", "shares.json"}};
  scenario["measurement"] = {{"warmup_s", 0}, {"duration_s", 4}};
  write("scenario.json", scenario.dump());
  const json rows =
      written(run(simulation_sweep("../deployments/scenario.json",
                                   json::parse(R"([{"pointer": "/scenario/deployment/micro_batches",
                                    "values": [1, 3]}])")),
                  1, (folder / "sweeps" / "sweep.json").string()))["rows"];
  const auto alone =
      answer::simulate(scenario::load_simulation((folder / "deployments/scenario.json").string()));
  fs::remove_all(folder);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0]["floor_ms"], nullptr) << "known for a closed loop only";
  ASSERT_GT(alone.result.tokens, 0U);
  expect_row_is(rows[1], json::parse(render(alone, view::OutputFormat::json)));
}

// Calibrated, and without a gap between steps of its own: that is drawn.
json drawn_scenario() {
  json scenario = shipped_scenario("deepseek-v3-ep128-4k");
  scenario["measurement"] = {{"warmup_steps", 1}, {"steps", 2}};
  scenario["deployment"].erase("step_overhead_us");
  return scenario;
}

TEST(SimulationSweep, IntervalsAreThoseOfSimulateAndDrawFromRangesThatAnAxisMoves) {
  const json own = {{"kind", "ranges"},
                    {"inputs",
                     {{{"name", "gap between steps"},
                       {"of", "step_overhead_us"},
                       {"low", 0},
                       {"high", 1},
                       {"source", "a test"}}}}};
  const test::TemporaryFile file("ours.json", own.dump());
  json scenario = drawn_scenario();
  for (const json& ranges : {own, json(file.path())}) {
    scenario["ranges"] = ranges;  // as they stand, or the path of a file
    json sweep = simulation_sweep(scenario, json::parse(R"([
        {"pointer": "/scenario/ranges/inputs/0/high", "values": [1, 50000]}])"));
    sweep["base"]["samples"] = 5;
    sweep["columns"] = {"tpot_ms", "tpot_low_ms", "tpot_high_ms", "uncertainty_samples"};
    const json answer = written(run(sweep));
    const json& rows = answer["rows"];
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(answer["notes"].dump().find("an axis moves ranges"), std::string::npos);
    EXPECT_EQ(rows[0]["tpot_ms"], rows[1]["tpot_ms"]);
    EXPECT_EQ(rows[0]["uncertainty_samples"], 5);
    // A gap of up to 50 ms, drawn evenly.
    EXPECT_GT(rows[1]["tpot_high_ms"].get<double>(), rows[0]["tpot_high_ms"].get<double>() + 10.0);

    scenario["ranges"] = own;
    Diagnostics diagnostics;
    const JsonContext context{.file = "x.json", .diagnostics = &diagnostics};
    scenario::LocatedScenario located{.file = "x.json", .pointer = {}, .scenario = {}};
    read_keys(JsonNode(scenario, context), located.scenario);
    scenario::Library library;
    const json alone =
        json::parse(render(answer::answer(located, library, {}, 5), view::OutputFormat::json));
    EXPECT_EQ(rows[0]["tpot_low_ms"], alone["uncertainty"]["tpot_ms"][0]);
    EXPECT_EQ(rows[0]["tpot_high_ms"], alone["uncertainty"]["tpot_ms"][1]);
  }
}

TEST(SimulationSweep, AFixedInputIsNotDrawnAtAnyPoint) {
  const auto highest = [](const json& fixed, int samples = 20) {
    json sweep = simulation_sweep(drawn_scenario(), json::parse(R"([
        {"pointer": "/scenario/measurement/steps", "values": [2]}])"));
    if (samples > 0) sweep["base"]["samples"] = samples;
    sweep["base"]["fixed"] = fixed;
    sweep["columns"] = {"tpot_ms", "tpot_high_ms"};
    if (samples == 0) sweep["columns"] = {"tpot_ms"};
    const json row = written(run(sweep))["rows"][0];
    return samples == 0 ? 0.0 : row["tpot_high_ms"].get<double>() - row["tpot_ms"].get<double>();
  };
  const double all = highest(json::array());
  // A gap of up to 2 ms, once a step.
  const double without = highest({"gap between steps"});
  EXPECT_LT(without, all - 0.2);
  EXPECT_LT(highest({"inputs"}), without + 1e-9);
  for (const auto& [fixed, samples] : {std::pair<json, int>{{"no gap"}, 5}, {{"inputs"}, 0}}) {
    try {
      (void)highest(fixed, samples);
      ADD_FAILURE() << fixed;
    } catch (const UserError& e) {
      EXPECT_THAT(e.what(), HasSubstr("/base/fixed"));
      EXPECT_THAT(e.what(), HasSubstr(samples == 0 ? "of no effect without \"samples\""
                                                   : "nothing that is drawn is named \"no gap\""));
    }
  }
}

TEST(SimulationSweep, RangesThatNothingIsDrawnFromAreToldAndIntervalsNeedSamples) {
  json scenario = drawn_scenario();
  scenario["ranges"] = {{"kind", "ranges"},
                        {"inputs",
                         {{{"name", "gap between steps"},
                           {"of", "step_overhead_us"},
                           {"low", 0},
                           {"high", 1},
                           {"source", "a test"}}}}};
  json sweep = simulation_sweep(scenario, json::parse(R"([
      {"pointer": "/scenario/ranges/inputs/0/high", "values": [1, 5]}])"));
  sweep["columns"] = {"tpot_ms"};
  EXPECT_THAT(written(run(sweep))["notes"].dump(), HasSubstr("an axis moves ranges"));
  sweep["columns"] = {"tpot_low_ms"};
  EXPECT_THAT(refusal_of(sweep), HasSubstr("column \"tpot_low_ms\" needs \"samples\" in the base"));
}

TEST(SimulationSweep, OfTheoryThereAreNoIntervalsAndANoteSaysSo) {
  json scenario = drawn_scenario();
  json sweep = simulation_sweep(scenario, json::parse(R"([
      {"pointer": "/scenario/workload/requests_per_gpu", "values": [32]}])"));
  sweep["base"]["samples"] = 2;
  sweep["columns"] = {"tpot_ms", "tpot_low_ms"};
  EXPECT_THAT(written(run(sweep))["notes"].dump(), ::testing::Not(HasSubstr("no intervals")));
  sweep["base"]["scenario"]["deployment"]["pools"]["gpus"]["kernel_model"] = "theoretical";
  const json answer = written(run(sweep));
  EXPECT_TRUE(answer["rows"][0]["tpot_low_ms"].is_null());
  EXPECT_THAT(answer["notes"].dump(), HasSubstr("no intervals: kernel times are theory"));
}

TEST(SimulationSweep, TheAnswerIsTheSameForAnyNumberOfThreads) {
  const json sweep = simulation_sweep(
      small_scenario(),
      json::parse(R"([{"pointer": "/scenario/deployment/micro_batches", "values": [1, 2, 3, 4]},
                      {"pointer": "/scenario/workload/requests_per_gpu", "values": [12, 24]}])"));
  const json one = written(run(sweep, 1));
  EXPECT_EQ(one["rows"].size(), 8U);
  EXPECT_EQ(one, written(run(sweep, 2)));
  EXPECT_EQ(one, written(run(sweep, 7)));
}

TEST(SimulationSweep, RequestsThatDoNotFitInMemoryAreAnInvalidPoint) {
  json sweep = simulation_sweep(small_scenario(),
                                json::parse(R"([{"pointer": "/scenario/workload/requests_per_gpu",
                                         "values": [24, 2400]}])"));
  EXPECT_THAT(refusal_of(sweep),
              testing::AllOf(HasSubstr("1 of 2 points are invalid"),
                             HasSubstr("/scenario/workload/requests_per_gpu = 2400: "
                                       "/workload/requests_per_gpu: the requests of a "
                                       "GPU need")));
  sweep["invalid_points"] = "skip";
  const auto result = run(sweep);
  EXPECT_EQ(result.invalid(), 1U);
  const json rows = written(result)["rows"];
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["requests_per_gpu"], 24);
}

TEST(SimulationSweep, ADeploymentThatItsStrategyCannotRunIsAnInvalidPoint) {
  // The scenario as it stands cannot run either; an axis may mend it.
  json scenario = small_scenario();
  scenario["deployment"]["pools"]["ffn"]["ffn_expert_parallel"] = 3;
  json sweep = simulation_sweep(
      scenario, json::parse(R"([{"pointer": "/scenario/deployment/pools/ffn/ffn_expert_parallel",
                                 "values": [3, 2]}])"));
  EXPECT_THAT(refusal_of(sweep),
              testing::AllOf(HasSubstr("1 of 2 points are invalid"),
                             HasSubstr("ffn_expert_parallel = 3: /deployment: ")));
  sweep["invalid_points"] = "skip";
  const json rows = written(run(sweep))["rows"];
  ASSERT_EQ(rows.size(), 1U);
  expect_row_is(rows[0], simulated(scenario, {{"/deployment/pools/ffn/ffn_expert_parallel", 2}}));
}

TEST(SimulationSweep, AValueThatNoScenarioTakesEndsTheSweep) {
  for (const char* policy : {"error", "skip"}) {
    json sweep = simulation_sweep(
        small_scenario(),
        json::parse(R"([{"pointer": "/scenario/deployment/micro_batches", "values": [1, 0.5]}])"));
    sweep["invalid_points"] = policy;
    EXPECT_THAT(refusal_of(sweep), HasSubstr("x.json: /base/scenario/deployment/micro_batches: "
                                             "expected a whole number from 1 to 64, got 0.5"));
  }
  EXPECT_THAT(
      refusal_of(simulation_sweep(
          "no-such-deployment", json::parse(R"([{"pointer": "/scenario/seed", "values": [1]}])"))),
      testing::AllOf(HasSubstr("/base/scenario"), HasSubstr("no-such-deployment")));
}

TEST(SimulationSweep, AReferenceIsAnotherDeployment) {
  json sweep =
      simulation_sweep(kShipped, json::parse(R"([{"pointer": "/scenario/deployment/micro_batches",
                                                   "values": [2, 3]}])"));
  sweep["references"] = {"step3-3a2f-4k-bf16"};
  sweep["pareto"] = {{"minimize", {"tpot_ms"}}, {"maximize", {"tokens_per_s_per_gpu"}}};
  const json result = written(run(sweep));
  ASSERT_EQ(result["rows"].size(), 2U);
  ASSERT_EQ(result["references"].size(), 1U);
  EXPECT_EQ(result["references"][0]["reference"], "step3-3a2f-4k-bf16");
  expect_row_is(result["references"][0], simulated(shipped_scenario("step3-3a2f-4k-bf16")));
}

TEST(SimulationSweep, WithoutAPriceThereIsNoCostAndANoteSaysSo) {
  json scenario = small_scenario();
  json chip = hw::chip_document("h800").json();
  chip["prices"] = json::array();
  scenario["deployment"]["pools"]["ffn"]["chip"] = chip;
  const auto result = run(simulation_sweep(
      scenario, json::parse(R"([{"pointer": "/scenario/deployment/micro_batches", "values": [2]},
                                {"pointer": "/scenario/measurement/steps", "values": [2]}])")));
  EXPECT_THAT(result.notes(), ElementsAre("h800: no cost: price unknown"));
  EXPECT_EQ(written(result)["rows"][0]["usd_per_Mtok"], nullptr);
}

TEST(SimulationSweep, TheShippedSweepsAreValidAndRun) {
  static const test::JsonSchema schema("sweep-scenario");
  for (const char* name : {"sweep-afd-micro-batches", "sweep-afd-ratio"}) {
    SweepScenario scenario = load_sweep(name);
    EXPECT_EQ(schema.violations(scenario.document.json()), "") << name;
    for (Axis& axis : scenario.axes) {
      axis.length = std::min<std::size_t>(axis.length, 2);
      axis.values.resize(axis.length * axis.pointers.size());
    }
    const auto result = run_sweep(std::move(scenario), {.threads = 1});
    EXPECT_GT(result.kept(), 0U) << name;
    EXPECT_EQ(result.invalid(), 0U) << name;
  }
}

}  // namespace
}  // namespace ridge::sweep
