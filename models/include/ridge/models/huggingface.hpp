// Turns the config.json of a Hugging Face checkpoint into a Ridge model. What the families of
// checkpoints call their keys, and how they lay out their layers, is data:
// models/data/huggingface/. A key that changes nothing about cost is known by name or by a value
// that means "nothing"; any other that is not understood is refused, since a guess would be a wrong
// cost.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/models/precision.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace ridge::models {

struct ImportOptions {
  std::string name;  // of the new model
  // The number format to serve in: weights (unless the checkpoint's are narrower), matrix products,
  // KV cache and attention. Nothing: as the checkpoint ships, with a BF16 cache.
  std::optional<Precision> serve_in = Precision::fp8;
  // Keys to treat as if they were not given: a name, at any depth, or a JSON pointer.
  std::vector<std::string> ignore = {};
  // The family (or a "model_type" of it) to read it as, whatever the configuration says.
  std::string as = {};
};

struct ImportResult {
  std::string model_json;                // as read_model reads it
  std::vector<std::string> assumptions;  // what the configuration does not say, one sentence each
};

// A checkpoint's config.json, or that of a folder. Its NaN and Infinity literals, which are no
// JSON, become strings, so that they are told of where they matter. Where the configuration says
// nothing of quantization, what hf_quant_config.json beside it says is taken in. Throws UserError.
[[nodiscard]] JsonDocument read_checkpoint_config(const std::filesystem::path& path);

// Throws UserError with everything that is missing, contradictory or not understood.
[[nodiscard]] ImportResult import_huggingface(const JsonDocument& config,
                                              const ImportOptions& options);

// Of the file of a family (docs/schema/huggingface_family.schema.json), and whether all is right
// with the one at this path: throws UserError.
[[nodiscard]] const KeyTable& family_keys();
void check_family(const std::filesystem::path& path);

// The values of "model_type" that it understands, sorted.
[[nodiscard]] std::vector<std::string> importable_model_types();

}  // namespace ridge::models
