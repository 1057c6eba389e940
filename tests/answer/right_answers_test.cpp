// Shipped models and chips in deployments whose figures were worked out by hand, to the percent.
#include "ridge/answer/simulation_report.hpp"
#include "ridge/base/error.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/memory_reserve.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <string>

#include <gmock/gmock.h>
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

SimulationReport simulated(const json& document) {
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
  EXPECT_NEAR(network_ms(simulated(even)), by_hand, 1e-3 * by_hand);
  json skewed = even;
  skewed["noise"]["experts"] = {{"popularity", "shares"}, {"shares", {1, 1, 0, 0, 0, 0, 0, 0}}};
  EXPECT_NEAR(network_ms(simulated(skewed)), 4 * by_hand, 4e-3 * by_hand);
}

// A power law of 0.3 over 256 experts on 128 GPUs makes the exchange more than twice as long, and
// copies of the busy experts win that back.
TEST(RightAnswers, PopularExpertsAreFeltOnTheWireAndCopiesHelp) {
  const json even = wide("deepseek-v3", "h800", 128, 64, 4096);
  json skewed = even;
  skewed["noise"] = {{"experts", {{"popularity", "power_law"}, {"exponent", 0.3}}}};
  json copied = skewed;
  copied["deployment"]["pools"]["gpus"]["redundant_experts"] = 128;
  const double before = network_ms(simulated(even));
  const double popular = network_ms(simulated(skewed));
  EXPECT_NEAR(popular, 28.6, 1.0);
  EXPECT_GT(popular, 2.0 * before);
  EXPECT_LT(network_ms(simulated(copied)), 0.6 * popular);
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
  const SimulationReport report = simulated(document);
  const double per_token = 94.0 * 128 * 2 * 2;
  EXPECT_EQ(per_token, 48128);
  const double room = report.memory.pools[0].kv_budget.value() / per_token;
  EXPECT_NEAR(room / 367404, 1.0, 0.06);
}

// vLLM at 0.90 reports 178,880, of a card that it counts as 79.2 GiB where the driver reports 80.
// Its profile samples for 1,024 sequences at 38 bytes for each of 151,936 words; what its 8,192 rows
// take comes on top.
TEST(RightAnswers, AProfileTakesTheRoomThatAnEngineLeavesForSampling) {
  json document = wide("qwen3-235b-a22b", "h100", 4, 1, 1024);
  json& d = document["deployment"];
  d["strategy"] = "tensor_parallel";
  d["attention_precision"] = {{"cache", "bf16"}, {"compute", "bf16"}};
  d["pools"]["gpus"].update(
      {{"attention_tensor_parallel", 4}, {"ffn_tensor_parallel", 4}, {"ffn_expert_parallel", 1}});
  document["admission"] = {{"memory_utilization", 0.90}};
  const auto room = [&] { return simulated(document).memory.pools[0].kv_budget.value() / 48128; };
  const double without = room();
  document["admission"]["profile"] = {{"tokens", 8192}, {"sequences", 1024}};
  const double with = room();
  EXPECT_NEAR(without, 332e3, 1e3);
  EXPECT_GT(with, 178880);
  EXPECT_LT(with, 1.16 * 178880);
  EXPECT_LT(with - 0.9 * 0.8 * 1024 * 1024 * 1024 / 48128, 1.08 * 178880);
  EXPECT_GT((without - with) * 48128, 1024 * 151936.0 * 38);
}

// vLLM 0.10.2 logged "5.58 GiB for peak activation" of Qwen3-Next-80B-A3B on two H200 (1,024
// sequences, 8,192 tokens), and 1.4 of Qwen3-8B in FP8 on a card of 24 GB (256 and 2,048): both have
// 151,936 words.
TEST(RightAnswers, AProfileTakesWhatEnginesLogOfTheirs) {
  const auto taken = [](const char* model, const char* chip, int gpus,
                        std::int64_t tokens, std::int64_t sequences) {
    json document = wide(model, chip, gpus, 1, 64);
    json& d = document["deployment"];
    d["strategy"] = "tensor_parallel";
    d["pools"]["gpus"].update({{"attention_tensor_parallel", gpus},
                               {"ffn_tensor_parallel", gpus},
                               {"ffn_expert_parallel", 1}});
    document["admission"]["profile"] = {{"tokens", tokens}, {"sequences", sequences}};
    const double reserve = simulated(document).memory.pools[0].reserve.value();
    const double outside = (gpus == 1 ? hw::kReserveAlone : hw::kReserveTogether).value();
    return (reserve - outside) / (1024.0 * 1024 * 1024);
  };
  EXPECT_NEAR(taken("qwen3-next-80b-a3b", "h200", 2, 8192, 1024), 5.58, 0.05);
  EXPECT_NEAR(taken("qwen3-8b", "h20", 1, 2048, 256), 1.40, 0.03);
}

// FastAFD measured 1.41 times the tokens/s/GPU of vLLM with both on the same GPUs.
TEST(RightAnswers, OneNvlinkDomainSplitsAttentionFromExpertsWithAGain) {
  const auto rate = [](const char* name) {
    json document = json::parse(test::source_text(std::string("scenarios/") + name + ".json"));
    document.erase("$schema");
    return simulated(document).tokens_per_second_per_gpu();
  };
  EXPECT_NEAR(rate("qwen3-235b-afd-nvl72") / rate("qwen3-235b-ep-gb200"), 1.41, 0.15);
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
    return simulated(asked).result.mean_tpot.value();
  };
  EXPECT_GT(tpot(12.5), 1.6 * tpot(50));
  EXPECT_LT(tpot(100), tpot(50));
}

// Two pools on roofline kernels and ideal links, a steady batch.
json split(const char* model, const char* chip, int attentions, int ffns, int gpus_per_ffn,
           int tensor_parallel, int requests, int context) {
  json out = wide(model, chip, 8, requests, context);
  const auto pool = [&](int instances, int gpus) {
    return json{{"instances", instances},
                {"gpus_per_instance", gpus},
                {"chip", chip},
                {"kernel_model", "theoretical"}};
  };
  json ffn = pool(ffns, gpus_per_ffn);
  ffn["ffn_tensor_parallel"] = tensor_parallel;
  ffn["ffn_expert_parallel"] = ffns * gpus_per_ffn / tensor_parallel;
  out["deployment"]["strategy"] = "afd";
  out["deployment"]["pools"] = {{"attention", pool(attentions, 8)}, {"ffn", ffn}};
  return out;
}
// Every GPU a slice of every layer.
json sliced(const char* model, const char* chip, int gpus, int requests, int context) {
  json out = wide(model, chip, gpus, 1, context);
  out["deployment"]["strategy"] = "tensor_parallel";
  out["deployment"]["pools"]["gpus"].update({{"attention_tensor_parallel", gpus},
                                             {"ffn_tensor_parallel", gpus},
                                             {"ffn_expert_parallel", 1}});
  out["workload"].erase("requests_per_gpu");
  out["workload"]["requests"] = requests;
  return out;
}
json with_cache(json document, const char* precision) {
  document["deployment"]["attention_precision"] = {{"cache", precision}, {"compute", precision}};
  return document;
}
double tpot_ms(const SimulationReport& report) {
  return 1e3 * report.result.mean_tpot.value();
}
double kv_bytes_per_token(const SimulationReport& report, double tokens) {
  return report.result.kv_filled * report.memory.pools[0].kv_budget.value() / tokens;
}
double service_ms(const SimulationReport& report, decode::Stage stage) {
  const auto& r = report.result;
  return 1e3 * r.critical_service[static_cast<std::size_t>(stage)] /
         static_cast<double>(r.critical_steps);
}

// In the order in which work becomes ready, Step-3 on four attention and two FFN instances locks
// into another pattern when the FFN's chip is a tenth faster: 39.00 ms become 42.39. The order of
// closed loops is fixed, and better than both with either chip.
TEST(RightAnswers, AFasterFfnMakesNoStepSlower) {
  const auto order = [](double faster, const char* schedule) {
    json document = split("step-3", "h800", 4, 2, 8, 8, 192, 8192);
    document["deployment"]["micro_batches"] = 3;
    document["measurement"] = {{"warmup_steps", 4}, {"steps", 16}};
    if (schedule != nullptr) document["deployment"]["schedule"] = schedule;
    json chip = json::parse(test::source_text("hwmodels/data/chips/h800.json"));
    for (json& rate : chip["matrix_rate"]) {
      if (rate["value"].is_number()) rate["value"] = rate["value"].get<double>() * faster;
    }
    json& memory = chip["memory_bandwidth_TBps"]["value"];
    memory = memory.get<double>() * faster;
    document["deployment"]["pools"]["ffn"]["chip"] = chip;
    return tpot_ms(simulated(document));
  };
  EXPECT_NEAR(order(1.0, "fifo"), 39.00, 0.01);
  EXPECT_NEAR(order(1.1, "fifo"), 42.39, 0.01);
  EXPECT_LT(order(1.0, nullptr), order(1.0, "fifo"));
  EXPECT_LE(order(1.1, nullptr), order(1.0, nullptr));
  EXPECT_EQ(order(1.1, nullptr), order(1.1, "cyclic"));
}

TEST(RightAnswers, FewerLiveExpertsThanATokenChoosesAreRefused) {
  json document = wide("mixtral-8x7b", "h100", 8, 64, 1024);
  document["noise"]["experts"] = {{"popularity", "shares"}, {"shares", {1, 0, 0, 0, 0, 0, 0, 0}}};
  EXPECT_THAT([&] { (void)simulated(document); },
              testing::ThrowsMessage<UserError>(testing::HasSubstr("at least 2 shares above 0")));
}

// Links of 10 GB/s take the same wherever it is said that they have so much.
TEST(RightAnswers, APoolsLinksCountAsItsChipsDo) {
  json document = with_cache(sliced("qwen3-235b-a22b", "h20", 8, 128, 8192), "bf16");
  document["deployment"]["collectives"] = "kernel_model";
  json& pool = document["deployment"]["pools"]["gpus"];
  pool["kernel_model"] = "calibrated:h800";
  const double as_built = tpot_ms(simulated(document));
  json chip = json::parse(test::source_text("hwmodels/data/chips/h20.json"));
  chip["scale_up_bandwidth_GBps"]["value"] = 10;
  json by_chip = document;
  by_chip["deployment"]["pools"]["gpus"]["chip"] = chip;
  pool["scale_up_bandwidth_GBps"] = 10;
  EXPECT_NEAR(tpot_ms(simulated(document)), tpot_ms(simulated(by_chip)), 1e-9);
  EXPECT_GT(tpot_ms(simulated(document)), 1.5 * as_built);
}

// Each of eight GPUs has received an eighth of the 2,048 tokens over its rail, and needs those of
// its own 16 experts: of 256 tokens from each of seven peers the 0.408 that chose one of them, and
// the results back, over links of 200 GB/s, in 58 layers.
TEST(RightAnswers, ExpertsSplitWithinAnInstanceFetchTheirTokens) {
  json document = split("deepseek-v3", "h800", 4, 2, 8, 1, 64, 1024);
  document["noise"] = {{"expert_rows", "expected"}};
  const SimulationReport report = simulated(document);
  const double copies = 256 * 7 * 0.408;
  const double by_hand = 58 * copies * (7168 + 56 * 4 + 8 * 8 + 2 * 7168) / 200e9 * 1e3;
  EXPECT_NEAR(service_ms(report, decode::Stage::scale_up), by_hand, 0.01 * by_hand);
  EXPECT_NEAR(tpot_ms(report), 30.1, 0.2);
}

// Eight GPUs that share an output projection of 16,384 x 7,168 in 61 layers keep an eighth of it
// each.
TEST(RightAnswers, RowsOfASharedOutputProjectionAreHeldOnce) {
  json document = split("step-3", "h800", 2, 2, 8, 8, 128, 4096);
  const double whole = simulated(document).memory.pools[0].weights.value();
  document["deployment"]["pools"]["attention"]["output_parallel"] = 8;
  const double shared = simulated(document).memory.pools[0].weights.value();
  EXPECT_NEAR(whole - shared, 61.0 * 16384 * 7168 * 7 / 8, 1.0);
  EXPECT_NEAR(shared, 4.52e9, 0.01e9);
}

// 4,096 requests through the two uplinks of the narrower leaf: 2 x 50 GB/s over 8 each way.
TEST(RightAnswers, TheNarrowerLeafPacesUnequalInstances) {
  json document = split("mixtral-8x7b", "h800", 1, 1, 2, 1, 512, 1024);
  document["network"]["model"] = "max_min_fair";
  document["network"]["fabric"] = {
      {"nodes_per_leaf", 1}, {"spines", 1}, {"oversubscription", 8}, {"hop_latency_us", 0}};
  const double uplinks = 2 * 50e9 / 8;
  const double by_hand = 32 * 4096 * (4096 + 32 * 4 + 2 * 8 + 2 * 4096) / uplinks * 1e3;
  EXPECT_NEAR(service_ms(simulated(document), decode::Stage::network), by_hand, 1e-3 * by_hand);
}

// As served in FP8, DeepSeek-V3.2 keeps 656 bytes of latent (512 values, 4 scales, 64 rotary values
// in BF16) and 132 of index key (128 values, a scale) for a token of each of 61 layers, on every
// GPU of the group. Its forerunner in BF16 keeps 576 values, and fits on eight H20.
TEST(RightAnswers, LatentCachesHoldWhatIsServed) {
  const double tokens = 64.0 * 4096;
  EXPECT_NEAR(kv_bytes_per_token(simulated(sliced("deepseek-v3.2", "h200", 8, 64, 4096)), tokens),
              61 * (656 + 132), 1e-3);
  const SimulationReport latent =
      simulated(with_cache(sliced("deepseek-v3", "h20", 8, 8, 4096), "bf16"));
  EXPECT_NEAR(kv_bytes_per_token(latent, 8.0 * 4096), 61 * 576 * 2, 1e-3);
}

// Eight GPUs that share 128 heads of one latent each keep an eighth of its tokens, and attend to
// them for all heads: a sequence of 64K is read once, not eight times.
TEST(RightAnswers, GpusThatShareAContextReadItOnce) {
  constexpr double kTokens = 8.0 * 65536;
  json document = with_cache(sliced("deepseek-v3", "h200", 8, 8, 65536), "bf16");
  const SimulationReport whole = simulated(document);
  document["deployment"]["pools"]["gpus"]["decode_context_parallel"] = 8;
  const SimulationReport shared = simulated(document);
  EXPECT_NEAR(kv_bytes_per_token(whole, kTokens), 61 * 576 * 2, 1e-3);
  EXPECT_NEAR(kv_bytes_per_token(shared, kTokens), 61 * 576 * 2 / 8.0, 1e-3);
  // Read at 4.8 TB/s; then with the heads of all paced by their arithmetic, at 989 TFLOP/s. Of each
  // head 576 values go out, and 512 and a logarithm come back, over 450 GB/s.
  const double read = kTokens * 61 * 576 * 2 / 4.8e12 * 1e3;
  const double arithmetic = kTokens / 8 * 61 * 2 * 128 * (576 + 512) / 989e12 * 1e3;
  const double exchange = 8.0 * 128 * 61 * (576 * 2 + 512 * 2 + 4) * 7 / 8 / 450e9 * 1e3;
  const double saved =
      service_ms(whole, decode::Stage::attention) - service_ms(shared, decode::Stage::attention);
  EXPECT_NEAR(saved, read - arithmetic - exchange, 0.01 * read);
}

// One module run twice, each draft accepted with 0.85 if the one before it was.
TEST(RightAnswers, TwoDraftsOfOneModuleGiveTwoAndAHalfTokens) {
  json document = sliced("deepseek-v3", "h200", 8, 8, 2048);
  document["deployment"]["drafting"] = {{"tokens", 2}, {"acceptance", 0.85}};
  document["measurement"] = {{"warmup_steps", 1}, {"steps", 2000}};
  const auto result = simulated(document).result;
  const double per_step = static_cast<double>(result.tokens) / (2000.0 * 8);
  EXPECT_NEAR(per_step, 1 + 0.85 + 0.85 * 0.85, 0.02);
}

TEST(RightAnswers, BatchesAreWhatEnginesHold) {
  EXPECT_EQ(simulated(sliced("deepseek-v3", "h200", 8, 1, 2048)).result.mean_requests, 1.0);
  json seven = wide("deepseek-v3", "h200", 16, 7, 2048);
  seven["deployment"]["micro_batches"] = 2;
  EXPECT_EQ(simulated(seven).result.mean_requests, 7.0 * 16);
  json over_nodes = sliced("deepseek-v3", "h100", 16, 128, 4096);
  EXPECT_GT(service_ms(simulated(over_nodes), decode::Stage::scale_up), 0.0);
}

// 1K of context and 8K of output: by final length a request sets all of it aside from the first,
// and about half of that is filled.
TEST(RightAnswers, WhatIsSetAsideIsNotWhatIsFilled) {
  json document = with_cache(sliced("qwen3-235b-a22b", "h20", 8, 1, 1024), "bf16");
  document["workload"] = {{"kind", "poisson"},
                          {"requests_per_s", 20},
                          {"context", {{"kind", "fixed"}, {"tokens", 1024}}},
                          {"output", {{"kind", "fixed"}, {"tokens", 8192}}}};
  document["measurement"] = {{"warmup_s", 300}, {"duration_s", 100}};
  const auto by_final = simulated(document).result;
  EXPECT_GT(by_final.kv_reserved, 0.98);
  EXPECT_NEAR(by_final.kv_filled, 0.55, 0.1);
  document["admission"] = {{"policy", "current_length"}};
  EXPECT_GT(simulated(document).result.mean_requests, 1.4 * by_final.mean_requests);
}

}  // namespace
}  // namespace ridge::answer
