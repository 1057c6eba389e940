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
#include "ridge/models/model_spec.hpp"
#include "ridge/view/output_format.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ridge::answer {

// What of an architecture the bound depends on.
struct FfnTraffic {
  std::string model;  // for messages; "hidden 7168, 61 layers" where none is named
  std::int64_t hidden = 0;
  std::int64_t layers = 0;
  models::Precision weights = models::Precision::fp8;
  models::Precision compute = models::Precision::fp8;
  models::Precision dispatch = models::Precision::fp8;
  models::Precision combine = models::Precision::bf16;
  // Of the MoE block that most layers use. The shared experts count as experts of the same size,
  // always chosen. Without experts the sparsity is 1.
  double experts = 1;  // with the shared ones
  double active = 1;   // likewise
  double shared = 0;

  [[nodiscard]] double sparsity() const { return active / experts; }
  // To the FFN and back, per token and layer.
  [[nodiscard]] Bytes per_token() const;
};
[[nodiscard]] FfnTraffic ffn_traffic(const models::ModelSpec& model);

struct SparsityQuestion {
  FfnTraffic traffic;
  std::vector<hw::ChipSpec> chips;
  Seconds stage_budget;  // of a whole token: all layers
  // In place of what the chip's file says.
  std::optional<BytesPerSecond> nic_bandwidth;
  std::optional<std::int64_t> nics_per_server;
};

struct SparsityRow {
  std::string chip;
  std::string unknown;       // why there is no answer; empty if there is one
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

struct SparsityReport {
  FfnTraffic traffic;
  Seconds stage_budget;
  std::vector<SparsityRow> rows;
  std::vector<std::string> notes;
};

[[nodiscard]] SparsityReport answer(const SparsityQuestion& question);
[[nodiscard]] std::string render(const SparsityReport& report, view::OutputFormat format);

}  // namespace ridge::answer
