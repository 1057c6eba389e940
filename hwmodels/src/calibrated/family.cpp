#include "ridge/hwmodels/calibrated/family.hpp"

#include <array>

#include <fmt/format.h>

namespace ridge::hw::calibrated {

std::span<const Named<Family>> family_names() {
  static constexpr std::array<Named<Family>, kFamilies> kNames = {{
      {"decode_attention", Family::decode_attention},
      {"latent_attention", Family::latent_attention},
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
  static constexpr std::array<Named<Format>, 4> kNames = {{
      {"any", Format::any},
      {"bf16", Format::bf16},
      {"fp8", Format::fp8},
      {"fp8_block", Format::fp8_block},
  }};
  return kNames;
}

std::string_view name_of(Format format) {
  return format_names()[static_cast<std::size_t>(format)].name;
}

double bytes_of(Format format) {
  return format == Format::fp8 || format == Format::fp8_block ? 1.0 : 2.0;
}

std::string CurveKey::slot() const {
  std::string words(name_of(family));
  if (format != Format::any) words += fmt::format(" {}", name_of(format));
  if (head_dim > 0) words += fmt::format(" head_dim {}", head_dim);
  return words;
}

}  // namespace ridge::hw::calibrated
