// The number formats that an imported model is served in.
#pragma once

#include "config.hpp"
#include "ridge/models/huggingface.hpp"

#include <string>

namespace ridge::models {

struct Serving {
  struct Part {
    Precision weights = Precision::bf16;
    Precision compute = Precision::bf16;
  };
  Part attention;
  Part dense_ffn;
  Part routed_experts;
  Part shared_experts;
  Precision cache = Precision::bf16;
  Precision attention_compute = Precision::bf16;
  Precision activations = Precision::bf16;
  Precision wire_dispatch = Precision::bf16;
  Precision wire_combine = Precision::bf16;
  std::string source;  // what the checkpoint holds and what was decided
};

// The parts of an FFN that a model has.
struct FfnParts {
  bool dense = false;
  bool routed = false;
  bool shared = false;
};

// From "torch_dtype" and "quantization_config". Problems are reported.
[[nodiscard]] Serving serving(Config& config, const ImportOptions& options, const FfnParts& parts,
                              const std::function<void(std::string)>& assume);

}  // namespace ridge::models
