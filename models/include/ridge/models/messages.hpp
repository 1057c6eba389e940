// What a token weighs on its way from the attention to an FFN on another GPU, and back.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/models/model_spec.hpp"

#include <cstdint>

namespace ridge::models {

// What is counted of a message.
enum class MessageCount : std::uint8_t {
  whole,   // values, their scales, the numbers and weights of the chosen experts
  values,  // values alone, as the Step-3 report counts (arXiv 2507.19427 section 5.4)
};

// Per token and copy of it. 8-bit values bring an FP32 scale for each 128 of them, and a routed
// token tells for each chosen expert its number and weight, as DeepEP's dispatch does
// (github.com/deepseek-ai/DeepEP).
[[nodiscard]] Bytes dispatch_bytes(std::int64_t hidden, Precision precision,
                                   std::int64_t chosen_experts, MessageCount count);
// To the FFN of a layer of this kind.
[[nodiscard]] Bytes dispatch_bytes(const ModelSpec& model, const FfnBlock& ffn,
                                   MessageCount count = MessageCount::whole);
// Back from it.
[[nodiscard]] Bytes combine_bytes(const ModelSpec& model);

}  // namespace ridge::models
