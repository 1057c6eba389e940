// How sparse may a mixture of experts be before its FFN servers starve? Sections 5.3 to 5.5 of the
// Step-3 report (arXiv 2507.19427).
//
// Reading a weight of w bytes takes w / bandwidth and multiplying it with one token 2 FLOP / rate,
// so an expert needs rate x w / (2 x bandwidth) tokens to keep the matrix units busy, and a layer
// that activates a share S of its experts needs that over S. All of these tokens pass through the
// server's network in every layer, there and back, within one pipeline stage. What the network
// cannot carry bounds S from below.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/messages.hpp"
#include "ridge/models/model_spec.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace ridge::hw::theory {

// What of an architecture the bound depends on.
struct FfnTraffic {
  std::string model;  // for messages; "hidden 7168, 61 layers" where none is named
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  models::Precision weights = models::Precision::fp8;
  models::Precision compute = models::Precision::fp8;
  models::Precision dispatch = models::Precision::fp8;
  models::Precision combine = models::Precision::bf16;
  models::MessageCount count = models::MessageCount::whole;
  // Of the MoE block that most layers use. The shared experts count as experts of the same size,
  // always chosen. Without experts the sparsity is 1.
  double experts = 1;  // with the shared ones
  double active = 1;   // likewise
  double shared = 0;
  std::int64_t top_k = 0;  // routed experts that a token names in its message

  [[nodiscard]] double sparsity() const { return active / experts; }
  // To the FFN and back, per token and layer.
  [[nodiscard]] Bytes per_token() const;
};
[[nodiscard]] FfnTraffic ffn_traffic(const models::ModelSpec& model,
                                     models::MessageCount count = models::MessageCount::whole);

// Tokens per expert that keep the matrix units busy. The chip's bandwidth and rate must be known.
[[nodiscard]] double tokens_for_full_use(const FfnTraffic& traffic, const ChipSpec& chip);

struct SparsityAssumptions {
  Seconds stage_budget;  // of a whole token: all layers
  // In place of what the chip's file says.
  std::optional<BytesPerSecond> nic_bandwidth;
  std::optional<std::int64_t> nics_per_server;  // one per chip where absent
};

struct SparsityBound {
  BytesPerSecond network;    // of one server
  double dense_batch = 0;    // tokens per expert for full use of the matrix units
  double moe_batch = 0;      // dense_batch / sparsity of the model
  double network_batch = 0;  // tokens that the network carries within the stage
  double min_sparsity = 0;
  double experts_needed = 0;  // routed, for min_sparsity, of as many experts as the model has

  // Share of full use that the network leaves: min(1, network_batch / moe_batch).
  [[nodiscard]] double ceiling() const {
    return moe_batch > network_batch ? network_batch / moe_batch : 1.0;
  }
};

// What the bound needs and nobody knows, in words; empty if nothing.
[[nodiscard]] std::string missing_for_sparsity(const FfnTraffic& traffic, const ChipSpec& chip,
                                               const SparsityAssumptions& assumptions);
// Only where nothing is missing.
[[nodiscard]] SparsityBound sparsity_bound(const FfnTraffic& traffic, const ChipSpec& chip,
                                           const SparsityAssumptions& assumptions);

}  // namespace ridge::hw::theory
