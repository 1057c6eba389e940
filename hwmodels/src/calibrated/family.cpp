#include "ridge/hwmodels/calibrated/family.hpp"

#include <array>

#include <fmt/format.h>

namespace ridge::hw::calibrated {

std::span<const Named<Family>> family_names() {
  static constexpr std::array<Named<Family>, kFamilies> kNames = {{
      {"decode_attention", Family::decode_attention},
      {"latent_attention", Family::latent_attention},
      {"sparse_latent_attention", Family::sparse_latent_attention},
      {"compressed_attention", Family::compressed_attention},
      {"index_scores", Family::index_scores},
      {"top_k", Family::top_k},
      {"gated_delta_state", Family::gated_delta_state},
      {"kimi_delta_state", Family::kimi_delta_state},
      {"gemm", Family::gemm},
      {"grouped_gemm", Family::grouped_gemm},
      {"moe_layer", Family::moe_layer},
      {"all_reduce", Family::all_reduce},
      {"all_gather", Family::all_gather},
      {"reduce_scatter", Family::reduce_scatter},
      {"all_to_all", Family::all_to_all},
      {"expert_dispatch", Family::expert_dispatch},
      {"expert_combine", Family::expert_combine},
      {"elementwise", Family::elementwise},
  }};
  return kNames;
}

std::string_view name_of(Family family) {
  return family_names()[static_cast<std::size_t>(family)].name;
}

std::span<const Named<Format>> format_names() {
  static constexpr std::array<Named<Format>, 8> kNames = {{
      {"any", Format::any},
      {"bf16", Format::bf16},
      {"fp8", Format::fp8},
      {"fp8_block", Format::fp8_block},
      {"nvfp4", Format::nvfp4},
      {"mxfp4_w4a16", Format::mxfp4_w4a16},
      {"mxfp4_w4a8", Format::mxfp4_w4a8},
      {"int4", Format::int4},
  }};
  return kNames;
}

std::string_view name_of(Format format) {
  return format_names()[static_cast<std::size_t>(format)].name;
}

double bytes_of(Format format) {
  switch (format) {
    case Format::fp8:
    case Format::fp8_block:
    case Format::mxfp4_w4a8:
      return 1.0;
    case Format::nvfp4:
      return 0.5 + 1.0 / 16.0;
    case Format::any:
    case Format::bf16:
    case Format::mxfp4_w4a16:
    case Format::int4:
      break;
  }
  return 2.0;
}

double weight_bytes_of(Format format) {
  if (format == Format::mxfp4_w4a16 || format == Format::mxfp4_w4a8) return 0.5 + 1.0 / 32.0;
  if (format == Format::int4) return 0.5 + 2.0 / 128.0;
  return bytes_of(format);
}

int matrix_bits(Format format) {
  if (format == Format::nvfp4) return 4;
  return bytes_of(format) < 2.0 ? 8 : 16;
}

std::string CurveKey::slot() const {
  std::string words(name_of(family));
  if (format != Format::any) words += fmt::format(" {}", name_of(format));
  if (head_dim > 0) words += fmt::format(" head_dim {}", head_dim);
  return words;
}

}  // namespace ridge::hw::calibrated
