// The operator families a calibration knows, and what tells two fitted curves of one family apart.
#pragma once

#include "ridge/models/precision.hpp"

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ridge::hw::calibrated {

enum class Family : std::uint8_t {
  decode_attention,
  latent_attention,         // MLA, absorbed
  sparse_latent_attention,  // MLA over the tokens that were chosen
  compressed_attention,     // over a window and all compressed tokens
  index_scores,             // an indexer's
  top_k,
  gated_delta_state,
  kimi_delta_state,
  gemm,
  grouped_gemm,  // one launch
  moe_layer,     // permutation, both products, activation
  all_reduce,
  all_gather,
  reduce_scatter,
  all_to_all,
  expert_dispatch,
  expert_combine,
  elementwise,
};
inline constexpr std::size_t kFamilies = 18;
[[nodiscard]] std::string_view name_of(Family family);
[[nodiscard]] std::span<const Named<Family>> family_names();

// Number format of the matrix product or of the cache.
enum class Format : std::uint8_t {
  any,
  bf16,
  fp8,          // a scale per tensor
  fp8_block,    // scales per 128 x 128 weights, 1 x 128 activations
  nvfp4,        // 4 bits, an FP8 scale per 16
  mxfp4_w4a16,  // 4-bit weights, a scale per 32; BF16 activations
  mxfp4_w4a8,   // the same; MXFP8 activations
  int4,         // 4-bit weights, a BF16 scale per 128; BF16 activations
};
[[nodiscard]] std::string_view name_of(Format format);
[[nodiscard]] std::span<const Named<Format>> format_names();
// Of a value with its share of the scales: activations or a cache, and weights.
[[nodiscard]] double bytes_of(Format format);
[[nodiscard]] double weight_bytes_of(Format format);
// Bits of the values that the matrix units multiply: 4, 8 or 16.
[[nodiscard]] int matrix_bits(Format format);

// One kernel's curve: what a fit is made for. Kernels are compiled per head size, so a head size is
// part of the key.
struct CurveKey {
  Family family = Family::gemm;
  Format format = Format::any;
  std::int64_t head_dim = 0;  // attention only
  std::string kernel;         // as the measurements name it; may be empty

  friend auto operator<=>(const CurveKey&, const CurveKey&) = default;
  // "decode_attention bf16 head_dim 128".
  [[nodiscard]] std::string slot() const;
};

}  // namespace ridge::hw::calibrated
