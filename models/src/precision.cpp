#include "ridge/models/precision.hpp"

#include <array>

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

void read_weight_scales(JsonObject& object, double& out, const std::string& prefix) {
  const auto node = object.optional(prefix + "weights_scales");
  if (!node) return;
  // The numbers meet in a quotient, so there is no place of theirs to record.
  JsonContext context = node->context();
  context.bindings = nullptr;
  JsonObject fields(JsonNode(node->json(), context, node->pointer()));
  double group = 0;
  double bytes = 0;
  const bool both = fields.required("group", group, between(1, 1e9));
  if (fields.required("bytes", bytes, between(0, 64)) && both) out = bytes / group;
}

bool read_weight_format(JsonObject& object, WeightFormat& out, const std::string& prefix) {
  const bool given =
      object.optional(prefix + "weights_precision", out.precision, precision_names());
  read_weight_scales(object, out.scale_bytes, prefix);
  return given;
}

}  // namespace ridge::models
