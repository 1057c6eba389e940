// Deployments whose stage times are what a test says they are.
#pragma once

#include "ridge/decode/simulation.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace ridge::decode::test {

// What one launch takes; everything else takes no time.
struct StageSeconds {
  double attention = 0.0;
  double attention_per_cached_token = 0.0;
  double ffn = 0.0;
  double ffn_per_row = 0.0;  // of the routed experts, on one rank
  double head = 0.0;
  double head_per_product = 0.0;  // of a token and a word of the vocabulary, on one GPU
};
[[nodiscard]] std::shared_ptr<const hw::KernelModel> fixed_kernels(const StageSeconds& stages,
                                                                   double memory_bytes = 1e12);
// What the operators of these names take, in seconds; everything else takes no time.
[[nodiscard]] std::shared_ptr<const hw::KernelModel> named_kernels(
    std::map<std::string, double, std::less<>> seconds);

// Eight KV heads of 16 values each: 512 bytes of KV per token and layer. Hidden width 128: a token
// is 256 bytes on the wire in either direction.
inline constexpr double kKvBytesPerTokenAndLayer = 512.0;
inline constexpr double kWireBytesPerToken = 256.0;
[[nodiscard]] models::ModelSpec dense_model(std::int64_t layers);
// 8 experts, each token chooses 2.
[[nodiscard]] models::ModelSpec moe_model(std::int64_t layers);

// One GPU on each side, ideal links of this bandwidth, steady closed loop of one request for each
// micro-batch.
[[nodiscard]] SimulationInput one_to_one(std::int64_t layers, std::int64_t micro_batches,
                                         const StageSeconds& stages, double bandwidth);
// Two instances of four GPUs on each side, the FFN tensor-parallel within an instance; MoE.
[[nodiscard]] SimulationInput two_to_two(std::int64_t layers, std::int64_t micro_batches,
                                         const StageSeconds& stages);

[[nodiscard]] inline SimulationResult run(SimulationInput input) {
  return Simulation(std::move(input)).run();
}

// Poisson arrivals of requests of one size instead of the closed loop, measured from the start.
void arrive(SimulationInput& input, double requests_per_second, std::int64_t context,
            std::int64_t output, double seconds);

}  // namespace ridge::decode::test
