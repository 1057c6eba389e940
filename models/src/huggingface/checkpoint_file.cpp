// Reading a checkpoint's configuration from where people keep it.
#include "ridge/base/file.hpp"
#include "ridge/models/huggingface.hpp"

#include <array>

#include <nlohmann/json.hpp>

namespace ridge::models {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Python's json module writes these, and JSON has no word for them.
constexpr std::array<std::string_view, 3> kNotFinite = {"-Infinity", "Infinity", "NaN"};

// Each such literal outside a string as a string of the same letters.
std::string quoted_literals(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  bool in_string = false;
  for (std::size_t i = 0; i < text.size();) {
    if (in_string) {
      const std::size_t step = text[i] == '\\' && i + 1 < text.size() ? 2 : 1;
      in_string = text[i] != '"';
      out.append(text, i, step);
      i += step;
      continue;
    }
    std::string_view literal;
    for (const auto candidate : kNotFinite) {
      if (text.compare(i, candidate.size(), candidate) == 0) literal = candidate;
      if (!literal.empty()) break;
    }
    if (literal.empty()) {
      in_string = text[i] == '"';
      out += text[i++];
    } else {
      out.append("\"").append(literal).append("\"");
      i += literal.size();
    }
  }
  return out;
}

JsonDocument read_document(const fs::path& path) {
  return JsonDocument::parse(quoted_literals(read_file(path, JsonLimits{}.max_bytes)),
                             path.string());
}

bool says_quantization(const json& node) {
  if (!node.is_object()) return false;
  if (node.contains("quantization_config") && !node["quantization_config"].is_null()) return true;
  for (const auto& item : node.items()) {
    if (says_quantization(item.value())) return true;
  }
  return false;
}

}  // namespace

JsonDocument read_checkpoint_config(const fs::path& path) {
  std::error_code ignored;
  const fs::path file = fs::is_directory(path, ignored) ? path / "config.json" : path;
  JsonDocument config = read_document(file);
  const fs::path beside = file.parent_path() / "hf_quant_config.json";
  if (!config.json().is_object() || !config.json().contains("model_type") ||
      says_quantization(config.json()) || !fs::is_regular_file(beside, ignored)) {
    return config;
  }
  const JsonDocument quantization = read_document(beside);
  json block =
      quantization.json().is_object() ? quantization.json().value("quantization", json()) : json();
  if (!block.is_object()) {
    throw UserError(beside.string() + ": expected an object with the key \"quantization\"");
  }
  block["quant_method"] = "modelopt";
  block["_file"] = beside.filename().string();
  config.json()["quantization_config"] = std::move(block);
  return config;
}

}  // namespace ridge::models
