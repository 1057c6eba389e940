#include "serving.hpp"

#include "key_check.hpp"
#include "ridge/base/catalog.hpp"

#include <array>
#include <cctype>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

// What models/data/huggingface/quantization.json says.
struct QuantizationMethods {
  QuantizationMethods()
      : document(JsonDocument::read(data_root() / "models/data/huggingface/quantization.json")),
        context{.file = document.name(), .diagnostics = &problems},
        root(document.json(), context) {}

  JsonDocument document;
  Diagnostics problems;
  JsonContext context;
  JsonNode root;
};

const QuantizationMethods& methods() {
  static const QuantizationMethods all;
  return all;
}

// "model.layers.17.self_attn" -> "model.layers.*.self_attn".
std::string every_layer(const std::string& module) {
  std::string out;
  bool number = false;
  for (std::size_t i = 0; i < module.size(); ++i) {
    const bool digit = std::isdigit(static_cast<unsigned char>(module[i])) != 0;
    const bool starts = digit && (number || (i > 0 && module[i - 1] == '.'));
    if (starts && !number) out += '*';
    number = starts;
    if (!starts) out += module[i];
  }
  return out;
}

Precision unquantized(const Config& config, const std::function<void(std::string)>& assume) {
  constexpr std::array<Named<Precision>, 3> kTypes = {
      {{"bfloat16", Precision::bf16}, {"float16", Precision::bf16}, {"float32", Precision::fp32}}};
  Precision precision = Precision::bf16;
  const auto old_name = config.find("torch_dtype");
  const auto new_name = config.find("dtype");
  if (old_name && new_name && old_name->json() != new_name->json()) {
    new_name->error(fmt::format("{} contradicts torch_dtype {}", new_name->json().dump(),
                                old_name->json().dump()));
  } else if (old_name || new_name) {
    (old_name ? *old_name : *new_name).read(precision, std::span<const Named<Precision>>(kTypes));
  } else {
    assume("\"torch_dtype\" is not given; the checkpoint is taken to be BF16");
  }
  return precision;
}

// The parts of `out` whose weights the checkpoint quantises.
void quantize(const JsonNode& quantization, Precision plain, Serving& out) {
  const auto name = find_path(quantization, "quant_method");
  if (!name) {
    quantization.error("missing key \"quant_method\"");
    return;
  }
  std::vector<std::string> known;
  const JsonNode all = methods().root.child("methods");
  for (const auto& method : all.members()) known.push_back(method.first);
  const auto index = name->read_choice(known);
  if (!index) return;
  const JsonNode method = all.child(known[*index]);

  KnownKeys keys;
  const std::string kept_key = method.json().at("kept");
  keys.read = {"quant_method", kept_key};
  for (const auto& key : method.json().at("irrelevant")) keys.irrelevant.insert(key);
  keys.expected = find_path(method, "expected");
  keys.mandatory = find_path(method, "mandatory");
  check_keys(quantization, keys, fmt::format("\"{}\" quantisation", known[*index]),
             [](const JsonNode& literal) { return literal.json(); });

  Serving::Part quantized{.weights = plain, .compute = plain};
  method.child("weights").read(quantized.weights, precision_names());
  if (const auto compute = find_path(method, "compute")) {
    compute->read(quantized.compute, precision_names());
  }
  struct NamedPart {
    std::string_view name;
    Serving::Part& part;
    bool kept;
  };
  std::array<NamedPart, 4> parts = {{{"attention", out.attention, false},
                                     {"dense_ffn", out.dense_ffn, false},
                                     {"routed_experts", out.routed_experts, false},
                                     {"shared_experts", out.shared_experts, false}}};
  if (const auto kept = find_path(quantization, kept_key)) {
    const nlohmann::json& modules = methods().root.child("modules").json();
    for (const JsonNode& module : kept->elements()) {
      std::string pattern;
      if (!module.read(pattern)) continue;
      const auto found = modules.find(every_layer(pattern));
      if (found == modules.end()) {
        module.error(fmt::format(
            "\"{}\" is left unquantised, but which part of the model that is, is not understood",
            pattern));
        continue;
      }
      for (auto& part : parts) part.kept = part.kept || *found == part.name;
    }
  }
  for (auto& part : parts) {
    if (!part.kept) part.part = quantized;
  }
}

std::string described(const Serving& s, const FfnParts& has) {
  const std::string_view base = name_of(s.attention.weights);
  std::string text = fmt::format("the checkpoint holds its weights in {}", base);
  const auto differs = [&](bool present, const char* what, const Serving::Part& part) {
    if (!present || part.weights == s.attention.weights) return;
    text += fmt::format(", its {} in {}", what, name_of(part.weights));
  };
  differs(has.dense, "dense FFNs", s.dense_ffn);
  differs(has.routed, "routed experts", s.routed_experts);
  differs(has.shared, "shared experts", s.shared_experts);
  return text;
}

}  // namespace

Serving serving(Config& config, const ImportOptions& options, const FfnParts& parts,
                const std::function<void(std::string)>& assume) {
  Serving out;
  const Precision plain = unquantized(config, assume);
  for (auto* part : {&out.attention, &out.dense_ffn, &out.routed_experts, &out.shared_experts}) {
    *part = {.weights = plain, .compute = plain};
  }
  if (const auto quantization = config.find("quantization_config")) {
    quantize(*quantization, plain, out);
  }
  const std::string held = described(out, parts);
  if (!options.serve_in) {
    out.wire_dispatch = out.routed_experts.compute;
    out.source = held + "; KV cache and attention in bf16 are assumed";
    assume(out.source);
    return out;
  }
  const Precision wanted = *options.serve_in;
  for (auto* part : {&out.attention, &out.dense_ffn, &out.routed_experts, &out.shared_experts}) {
    if (bytes_per_value(part->weights) >= bytes_per_value(wanted)) part->weights = wanted;
    part->compute = wanted;
  }
  out.cache = wanted;
  out.attention_compute = wanted;
  out.wire_dispatch = wanted;
  out.source = fmt::format(
      "{}; served in {} (weights unless narrower, matrix products, KV cache, attention, and the "
      "wire to the FFN; back in bf16)",
      held, name_of(wanted));
  assume(out.source);
  return out;
}

}  // namespace ridge::models
