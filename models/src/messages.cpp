#include "ridge/models/messages.hpp"

namespace ridge::models {

Bytes dispatch_bytes(std::int64_t hidden, Precision precision, std::int64_t chosen_experts,
                     MessageCount count) {
  constexpr double kScaleBlock = 128.0;
  constexpr Bytes kScale{4.0};
  constexpr Bytes kChoice{8.0};  // expert number and weight
  const auto values = static_cast<double>(hidden);
  Bytes bytes = values * bytes_per_value(precision);
  if (count == MessageCount::values) return bytes;
  if (precision == Precision::fp8 || precision == Precision::int8) {
    bytes += values / kScaleBlock * kScale;
  }
  return bytes + static_cast<double>(chosen_experts) * kChoice;
}

Bytes dispatch_bytes(const ModelSpec& model, const FfnBlock& ffn, MessageCount count) {
  const auto* moe = std::get_if<MoeFfn>(&ffn.kind);
  return dispatch_bytes(model.hidden, model.precisions.wire_dispatch,
                        moe == nullptr ? 0 : moe->top_k, count);
}

Bytes combine_bytes(const ModelSpec& model) {
  return static_cast<double>(model.hidden) * bytes_per_value(model.precisions.wire_combine);
}

}  // namespace ridge::models
