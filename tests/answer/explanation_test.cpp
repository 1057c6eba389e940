// What ridge explain says of deployments whose answer can be worked out by hand.
#include "ridge/answer/explanation.hpp"

#include "ridge/hwmodels/kernel_model.hpp"
#include "ridge/scenario/simulation_scenario.hpp"

#include <cmath>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

using decode::Stage;
using testing::HasSubstr;

constexpr double kTenth = 1.0 / kFaster - 1.0;  // of a time, if all of it is a tenth faster
constexpr double kRounding = 1e-6;              // of picoseconds

constexpr const char* kModel = R"({
  "name": "small", "title": "A small model", "hidden": 4096, "vocabulary": 32000,
  "tied_embeddings": false,
  "precision": {"weights": "bf16", "compute": "bf16", "cache": "bf16", "attention_compute": "bf16",
                "activations": "bf16", "wire_dispatch": "bf16", "wire_combine": "bf16"},
  "attention": {"gqa": {"kind": "gqa", "query_heads": 32, "kv_heads": 8, "head_dim": 128}},
  "ffn": {"dense": {"kind": "dense", "intermediate": 12288}},
  "layers": [{"repeat": 4, "pattern": [{"attention": "gqa", "ffn": "dense"}]}],
  "sources": {"": "made up"}})";

scenario::SimulationScenario resolved(const std::string& strategy, const std::string& pools,
                                      int requests, int context) {
  scenario::Library library;
  const std::string links = R"({"overhead_us": 0, "efficiency": 1, "source": "asked")";
  const JsonDocument document =
      JsonDocument::parse(fmt::format(R"({{"kind": "simulate", "title": "asked", "model": {},
          "deployment": {{"strategy": "{}", "micro_batches": 1, "pools": {}}},
          "network": {}, "model": "ports"}}, "scale_up": {}}},
          "workload": {{"kind": "closed_loop", "requests_per_group": {}, "steady": true,
                        "context": {{"kind": "fixed", "tokens": {}}}}},
          "measurement": {{"warmup_steps": 2, "steps": 4}}}})",
                                      kModel, strategy, pools, links, links, requests, context),
                          "asked");
  return scenario::resolve(scenario::read_scenario(document), library);
}

std::string pool(const std::string& more) {
  return fmt::format(R"({{"instances": 1, "gpus_per_instance": 1, "chip": "h800",
      "kernel_model": "theoretical"{}}})",
                     more);
}
constexpr const char* kWholeFfn = R"(, "ffn_tensor_parallel": 1, "ffn_expert_parallel": 1)";

// One GPU, so that nothing is on any link.
scenario::SimulationScenario alone(int requests, int context) {
  return resolved("tensor_parallel", fmt::format(R"({{"gpus": {}}})", pool(kWholeFfn)), requests,
                  context);
}

scenario::SimulationScenario split(const std::string& nic_GBps) {
  const std::string nic = R"(, "nic_bandwidth_GBps": )" + nic_GBps;
  return resolved(
      "afd", fmt::format(R"({{"attention": {}, "ffn": {}}})", pool(nic), pool(nic + kWholeFfn)), 1,
      65536);
}

const WhatIf& of(const Explanation& explanation, const std::string& what) {
  for (const WhatIf& w : explanation.what_ifs) {
    if (w.what == what) return w;
  }
  throw std::out_of_range(what);
}

TEST(Explanation, WhereAllWaitsForMemoryOnlyMoreOfItHelps) {
  const Explanation e = explain(alone(1, 1024));
  EXPECT_NEAR(of(e, "memory bandwidth").change, kTenth, kRounding);
  for (const char* what : {"matrix rate", "kernel launches", "NICs", "in-node links"}) {
    EXPECT_EQ(of(e, what).change, 0.0) << what;
  }
  EXPECT_EQ(e.what_ifs.front().what, "memory bandwidth");
}

TEST(Explanation, WhereAllWaitsForLaunchesOnlyShorterOnesHelp) {
  auto scenario = alone(1, 16);
  auto& pool = scenario.input.deployment.pools.front();
  pool.kernels =
      hw::assumed_model(pool.kernels->chip(), {.efficiency = 1.0, .launch = Seconds{10}});
  const Explanation e = explain(scenario);
  EXPECT_NEAR(of(e, "kernel launches").change, kTenth, 1e-4);
  EXPECT_NEAR(of(e, "memory bandwidth").change, 0.0, 1e-4);
  for (const StagePart& part : e.parts) {
    for (const auto& kernel : part.kernels) EXPECT_EQ(kernel.bound, hw::Resource::launch);
  }
}

TEST(Explanation, AnOperatorHelpsByItsShareOfTheStepAndAllByATenth) {
  const Explanation e = explain(alone(64, 4096));
  Seconds step;
  for (const StagePart& part : e.parts) step += static_cast<double>(part.layers) * part.time;
  EXPECT_NEAR(step / e.report.result.mean_tpot, 1.0, kRounding);
  double all = 0.0;
  std::size_t operators = 0;
  for (const StagePart& part : e.parts) {
    for (const LaunchedKernel& kernel : part.kernels) {
      const double share = static_cast<double>(part.layers) * kernel.time / step;
      EXPECT_NEAR(of(e, kernel.name).change, share * kTenth, kRounding) << kernel.name;
      all += of(e, kernel.name).change;
      ++operators;
    }
  }
  EXPECT_GT(operators, 5U);
  EXPECT_NEAR(all, kTenth, 1e-5);
}

// Requests that are as likely anywhere in their life have half of their answer in the cache.
TEST(Explanation, AStepIsOfTheTokensThatTheRunHadInTheCache) {
  auto scenario = alone(64, 4096);
  scenario.input.workload.steady = false;
  scenario.input.workload.output = {.tokens = 8192, .min = 8192, .max = 8192};
  scenario.input.measurement = {.warmup_steps = 64, .steps = 256};
  const Explanation e = explain(scenario);
  EXPECT_NEAR(e.report.result.mean_context, 8192, 1024);
  EXPECT_GT(e.report.result.mean_longest, 12000);
  Seconds step;
  for (const StagePart& part : e.parts) step += static_cast<double>(part.layers) * part.time;
  EXPECT_NEAR(step / e.report.result.mean_tpot, 1.0, 1e-3);
}

TEST(Explanation, OneMicroBatchOnASlowWireWaitsForIt) {
  const Explanation e = explain(split("0.001"));
  const auto& r = e.report.result;
  double path = 0.0;
  for (const double seconds : r.critical_service) path += seconds;
  const double wire = r.critical_service[static_cast<std::size_t>(Stage::network)] / path;
  EXPECT_GT(wire, 0.5);
  EXPECT_EQ(e.bottleneck, Stage::network);
  EXPECT_NEAR(e.bottleneck_share, wire, kRounding);
  EXPECT_NEAR(of(e, "NICs").change, wire * kTenth, kRounding);
  EXPECT_EQ(of(e, "in-node links").change, 0.0);
}

// Attention takes longer than the FFN, and both wait for memory alone: it no longer does where its
// memory is as many times as fast as it takes times as long.
TEST(Explanation, TheBottleneckMovesWhereTheOtherStageTakesAsLong) {
  const Explanation e = explain(split("1000"));
  ASSERT_EQ(e.bottleneck, Stage::attention);
  const auto& service = e.report.result.critical_service;
  const double times = service[static_cast<std::size_t>(Stage::attention)] /
                       service[static_cast<std::size_t>(Stage::ffn)];
  ASSERT_GT(times, 1.05);
  ASSERT_LT(times, kMostTimesFaster);
  const WhatIf& memory = of(e, "memory bandwidth of attention");
  ASSERT_TRUE(memory.moves_at.has_value());
  EXPECT_NEAR(*memory.moves_at / times, 1.0, 0.011);
  EXPECT_EQ(memory.moves_to, Stage::ffn);
  EXPECT_FALSE(of(e, "memory bandwidth of ffn").moves_at.has_value());
}

// So that every difference is of what is faster; also of a calibration that was made elsewhere.
TEST(Explanation, KernelsOnAChipWithMoreOfNothingTakeTheSame) {
  for (const char* name : {"step3-2a2f-4k-fp8", "qwen3-235b-tp8-h20"}) {
    auto input = scenario::load_simulation(name).input;
    const auto before = decode::Simulation(input).run();
    for (decode::Pool& pool : input.deployment.pools) pool.kernels = pool.kernels->on_faster({});
    EXPECT_EQ(decode::Simulation(input).run().checksum, before.checksum) << name;
    for (decode::Pool& pool : input.deployment.pools) {
      pool.kernels = pool.kernels->on_faster({.memory = 2.0});
    }
    const Seconds with_memory = decode::Simulation(input).run().mean_tpot;
    EXPECT_LT(with_memory, 0.95 * before.mean_tpot) << name;
    EXPECT_GT(with_memory, 0.5 * before.mean_tpot) << name;
  }
}

TEST(Explanation, OfACalibrationTellsErrorsAndHowFarOutside) {
  const Explanation e = explain(scenario::load_simulation("step3-2a2f-4k-fp8"));
  double outside = 0.0;
  std::size_t fitted = 0;
  for (const StagePart& part : e.parts) {
    Seconds sum;
    for (const LaunchedKernel& kernel : part.kernels) {
      sum += kernel.time;
      EXPECT_GT(kernel.error, 0.0) << kernel.name;
      outside = std::max(outside, kernel.octaves_outside);
      if (kernel.held_out_error) {
        ++fitted;
        EXPECT_GT(kernel.error, 0.5 * *kernel.held_out_error) << kernel.name;
      }
    }
    EXPECT_LE(sum, (1.0 + kRounding) * part.time) << part.of;
  }
  EXPECT_GT(fitted, 8U);
  // Which the scenario's warnings say, too.
  EXPECT_EQ(outside > 0.0, e.report.out_of_range.outside > 0);
  EXPECT_LT(of(e, "memory bandwidth of attention").change, -0.005);
}

TEST(Explanation, IsTheSameAgainAndFitsTheTerminal) {
  const auto scenario = alone(8, 2048);
  const auto told = render(explain(scenario), view::OutputFormat::json);
  EXPECT_EQ(told, render(explain(scenario), view::OutputFormat::json));
  const std::string text = render(explain(scenario), view::OutputFormat::table);
  EXPECT_THAT(text, HasSubstr("memory bandwidth"));
  EXPECT_THAT(text, HasSubstr("bottleneck"));
}

}  // namespace
}  // namespace ridge::answer
