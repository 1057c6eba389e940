#include "ridge/hwmodels/calibrated/kernel_facts.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/error.hpp"

#include <algorithm>
#include <optional>
#include <string>

namespace ridge::hw::calibrated {

namespace {

struct Tiles {
  std::int64_t head_dim = 0;
  Format format = Format::any;
  std::array<double, 3> rows{};
  std::optional<double> tokens;
  double resident_blocks = 1.0;
  double matrix_share = 1.0;
};

struct KernelFacts {
  std::vector<std::string> names;  // as measurements name the kernel
  std::string source;
  std::optional<SplitPolicy> split;
  std::vector<Tiles> tiles;
};

void read_tiles(const JsonNode& node, Tiles& out) {
  JsonObject object(node);
  object.required("head_dim", out.head_dim, at_least(1));
  object.required("format", out.format, format_names());
  if (const auto rows = object.required("tile_rows")) read_tile_rows(*rows, out.rows);
  double tokens = 0.0;
  if (object.optional("tile_tokens", tokens, positive(1e6))) out.tokens = tokens;
  object.optional("resident_blocks", out.resident_blocks, between(1, 32));
  object.optional("matrix_share", out.matrix_share, positive(1.0));
}

void read_kernel(const JsonNode& node, KernelFacts& out) {
  JsonObject object(node);
  if (const auto names = object.required("kernels")) {
    for (const JsonNode& name : names->elements()) name.read(out.names.emplace_back());
  }
  object.required("source", out.source);
  SplitPolicy split{};
  if (object.optional("split", split, split_names())) out.split = split;
  if (const auto tiles = object.required("tiles")) {
    for (const JsonNode& entry : tiles->elements()) read_tiles(entry, out.tiles.emplace_back());
  }
}

std::vector<KernelFacts> load() {
  const JsonDocument document =
      JsonDocument::read(data_root() / "hwmodels/data/kernels/decode_attention.json");
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  std::vector<KernelFacts> facts;
  {
    JsonObject object(JsonNode(document.json(), context));
    object.ignore("$schema");
    object.ignore("comment");
    if (const auto kernels = object.required("kernels")) {
      for (const JsonNode& entry : kernels->elements()) {
        read_kernel(entry, facts.emplace_back());
      }
    }
  }
  diagnostics.throw_if_errors();
  return facts;
}

// Layers of experts that were measured without a gate.
struct WithoutGate {
  std::vector<std::string> kernels;
  double experts = 0;
  double top_k = 0;
  std::optional<double> intermediate;
};

void read_without_gate(const JsonNode& node, WithoutGate& out) {
  JsonObject object(node);
  if (const auto names = object.required("kernels")) {
    for (const JsonNode& name : names->elements()) name.read(out.kernels.emplace_back());
  }
  object.required("experts", out.experts, at_least(1));
  object.required("top_k", out.top_k, at_least(1));
  double intermediate = 0.0;
  if (object.optional("intermediate", intermediate, at_least(1))) out.intermediate = intermediate;
  object.ignore("source");
}

std::vector<WithoutGate> load_without_gate() {
  const JsonDocument document =
      JsonDocument::read(data_root() / "hwmodels/data/kernels/experts_without_gate.json");
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  std::vector<WithoutGate> all;
  {
    JsonObject object(JsonNode(document.json(), context));
    object.ignore("$schema");
    object.ignore("comment");
    if (const auto layers = object.required("layers")) {
      for (const JsonNode& entry : layers->elements()) read_without_gate(entry, all.emplace_back());
    }
  }
  diagnostics.throw_if_errors();
  return all;
}

const std::vector<KernelFacts>& known_kernels() {
  static const std::vector<KernelFacts> kFacts = load();
  return kFacts;
}

}  // namespace

Facts<DecodeAttentionForm::Choice> stated(const CurveKey& key,
                                          std::vector<DecodeAttentionForm::Choice> guesses) {
  Facts<DecodeAttentionForm::Choice> result;
  for (const KernelFacts& facts : known_kernels()) {
    if (std::find(facts.names.begin(), facts.names.end(), key.kernel) == facts.names.end()) {
      continue;
    }
    for (const Tiles& tiles : facts.tiles) {
      if (tiles.head_dim != key.head_dim || tiles.format != key.format) continue;
      result.matrix_share = tiles.matrix_share;
      for (DecodeAttentionForm::Choice& choice : guesses) {
        choice.tile_rows = tiles.rows;
        choice.resident_blocks = tiles.resident_blocks;
        if (tiles.tokens) choice.tile_tokens = *tiles.tokens;
        if (facts.split) choice.split = *facts.split;
      }
    }
  }
  // What a fact settles leaves copies behind.
  for (const DecodeAttentionForm::Choice& choice : guesses) {
    if (std::find(result.choices.begin(), result.choices.end(), choice) == result.choices.end()) {
      result.choices.push_back(choice);
    }
  }
  return result;
}

bool experts_have_gate(std::string_view kernel, double experts, double top_k, double intermediate) {
  static const std::vector<WithoutGate> kWithout = load_without_gate();
  return std::none_of(kWithout.begin(), kWithout.end(), [&](const WithoutGate& layer) {
    return layer.experts == experts && layer.top_k == top_k &&
           layer.intermediate.value_or(intermediate) == intermediate &&
           std::find(layer.kernels.begin(), layer.kernels.end(), kernel) != layer.kernels.end();
  });
}

void read_tile_rows(const JsonNode& node, std::array<double, 3>& out) {
  const std::vector<JsonNode> heights = node.elements();
  if (heights.empty() || heights.size() > out.size()) {
    node.expected("one to three tile heights");
    return;
  }
  out.fill(0.0);
  double before = 0.5;
  for (std::size_t i = 0; i < heights.size(); ++i) {
    heights[i].read(out[i], at_least(1.0));
    if (out[i] <= before) heights[i].expected("a greater height than the one before");
    before = out[i];
  }
}

}  // namespace ridge::hw::calibrated
