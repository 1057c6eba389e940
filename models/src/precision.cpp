#include "ridge/models/precision.hpp"

#include "ridge/base/keys.hpp"

#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

constexpr std::array<Named<Precision>, kPrecisions> kNames = {{{"fp32", Precision::fp32},
                                                               {"bf16", Precision::bf16},
                                                               {"fp8", Precision::fp8},
                                                               {"int8", Precision::int8},
                                                               {"fp4", Precision::fp4},
                                                               {"int4", Precision::int4}}};

}  // namespace

std::string_view name_of(Precision precision) {
  return kNames[static_cast<std::size_t>(precision)].name;
}

std::span<const Named<Precision>> precision_names() {
  return kNames;
}

const KeyTable& keys_of(const WeightScales* /*of*/) {
  static const KeyTable table = key_table<WeightScales>(
      "scales",
      "Scales (with zero points) that groups of weights share: bytes for each group of so many "
      "weights.",
      {
          key<&WeightScales::group>("group", "Weights.", between(1, 1e9)),
          key<&WeightScales::bytes>("bytes", "Of one group.", between(0, 64)),
      });
  return table;
}

void check_weights_scales(const JsonNode& block, const std::string& prefix) {
  const std::string scales = prefix + "weights_scales";
  const std::string precision = prefix + "weights_precision";
  if (!block.json().contains(scales) || block.json().contains(precision)) return;
  block.child(scales).error(
      fmt::format("these are scales of weights in \"{}\", which is missing", precision));
}

}  // namespace ridge::models
