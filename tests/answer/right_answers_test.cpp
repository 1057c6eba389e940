// Shipped models and chips in deployments whose figures were worked out by hand, to the percent.
#include "ridge/answer/simulation_report.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "temporary_file.hpp"

#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

using nlohmann::json;

// One pool of GPUs on roofline kernels, experts over all of them, ideal links, a steady batch.
json wide(const char* model, const char* chip, int gpus, int requests, int context) {
  const json ideal = {{"overhead_us", 0}, {"efficiency", 1}, {"source", "ideal"}};
  json network = ideal;
  network["model"] = "ports";
  return {{"kind", "simulate"},
          {"title", "by hand"},
          {"model", model},
          {"deployment",
           {{"strategy", "wide_expert_parallel"},
            {"micro_batches", 1},
            {"pools",
             {{"gpus",
               {{"instances", 1},
                {"gpus_per_instance", gpus},
                {"chip", chip},
                {"kernel_model", "theoretical"},
                {"ffn_tensor_parallel", 1},
                {"ffn_expert_parallel", gpus}}}}}}},
          {"network", network},
          {"scale_up", ideal},
          {"workload",
           {{"kind", "closed_loop"},
            {"requests_per_gpu", requests},
            {"steady", true},
            {"context", {{"kind", "fixed"}, {"tokens", context}}}}},
          {"measurement", {{"warmup_steps", 1}, {"steps", 2}}}};
}

SimulationReport answer_to(const json& document) {
  const test::TemporaryFile file("scenario.json", document.dump());
  return simulate(scenario::load_simulation(file.path()), {.floor = false});
}
double network_ms(const SimulationReport& report) {
  const auto& r = report.result;
  return 1e3 * r.critical_service[static_cast<std::size_t>(decode::Stage::network)] /
         static_cast<double>(r.critical_steps);
}

// 64 tokens of each of eight GPUs, two experts each: a GPU gets 128 rows, 7/8 of them over its NIC
// of 50 GB/s, 4,240 bytes on the way and 8,192 on the way back, in 32 layers. Where all choose the
// same two experts, two GPUs get four times as many.
TEST(RightAnswers, TokensReachTheNicOfTheGpuWithTheirExperts) {
  json even = wide("mixtral-8x7b", "h100", 8, 64, 1024);
  even["deployment"]["pools"]["gpus"]["gpus_per_node"] = 1;
  even["noise"] = {{"expert_rows", "expected"}};
  const double by_hand = 32 * 128 * 7.0 / 8 * (4240 + 8192) / 50e9 * 1e3;
  EXPECT_NEAR(network_ms(answer_to(even)), by_hand, 1e-3 * by_hand);
  json skewed = even;
  skewed["noise"]["experts"] = {{"popularity", "shares"}, {"shares", {1, 1, 0, 0, 0, 0, 0, 0}}};
  EXPECT_NEAR(network_ms(answer_to(skewed)), 4 * by_hand, 4e-3 * by_hand);
}

// A power law of 0.3 over 256 experts on 128 GPUs makes the exchange more than twice as long, and
// copies of the busy experts win that back.
TEST(RightAnswers, PopularExpertsAreFeltOnTheWireAndCopiesHelp) {
  const json even = wide("deepseek-v3", "h800", 128, 64, 4096);
  json skewed = even;
  skewed["noise"] = {{"experts", {{"popularity", "power_law"}, {"exponent", 0.3}}}};
  json copied = skewed;
  copied["deployment"]["pools"]["gpus"]["redundant_experts"] = 128;
  const double before = network_ms(answer_to(even));
  const double popular = network_ms(answer_to(skewed));
  EXPECT_NEAR(popular, 28.6, 1.0);
  EXPECT_GT(popular, 2.0 * before);
  EXPECT_LT(network_ms(answer_to(copied)), 0.6 * popular);
}

// 48,128 bytes of KV for a token on each of four GPUs: 94 layers, one of four KV heads of 128
// values, twice, in BF16. An engine that keeps 0.93 of the memory for weights and KV has room for
// 367,404 tokens.
TEST(RightAnswers, MemoryLeavesRoomForAsManyTokensAsAnEngineReports) {
  json document = wide("qwen3-235b-a22b", "h100", 4, 1, 4096);
  json& d = document["deployment"];
  d["strategy"] = "tensor_parallel";
  d["attention_precision"] = {{"cache", "bf16"}, {"compute", "bf16"}};
  d["pools"]["gpus"].update(
      {{"attention_tensor_parallel", 4}, {"ffn_tensor_parallel", 4}, {"ffn_expert_parallel", 1}});
  document["admission"] = {{"memory_utilization", 0.93}};
  const SimulationReport report = answer_to(document);
  const double per_token = 94.0 * 128 * 2 * 2;
  EXPECT_EQ(per_token, 48128);
  const double room = report.memory.pools[0].kv_budget.value() / per_token;
  EXPECT_NEAR(room / 367404, 1.0, 0.06);
}

TEST(RightAnswers, ChipsHaveTheMemoryThatTheyReport) {
  const std::pair<const char*, double> reported[] = {
      {"a100", 85899345920.0},  {"h100", 85899345920.0},  {"h800", 85899345920.0},
      {"h200", 151397597184.0}, {"b200", 193273528320.0}, {"gb200", 198674743296.0},
      {"b300", 288400343040.0}, {"gb300", 298013687808.0}};
  for (const auto& [chip, bytes] : reported) {
    EXPECT_NEAR(hw::load_chip(chip).memory.value->value(), bytes, 1.0) << chip;
  }
}

// On the chip that the calibration was made on, a quarter of the NIC's bandwidth counts as on
// another.
TEST(RightAnswers, APoolsNicReachesTheCalibrationOfItsOwnChip) {
  auto tpot = [](double nic) {
    auto asked = json::parse(wide("deepseek-v3", "h800", 128, 128, 4096).dump());
    asked["deployment"]["micro_batches"] = 2;
    asked["deployment"]["collectives"] = "kernel_model";
    asked["deployment"]["pools"]["gpus"]["kernel_model"] = "calibrated:h800";
    asked["deployment"]["pools"]["gpus"]["nic_bandwidth_GBps"] = nic;
    return answer_to(asked).result.mean_tpot.value();
  };
  EXPECT_GT(tpot(12.5), 1.6 * tpot(50));
  EXPECT_LT(tpot(100), tpot(50));
}

}  // namespace
}  // namespace ridge::answer
