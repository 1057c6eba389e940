#include "ridge/hwmodels/chip_spec.hpp"

#include "ridge/base/catalog.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ridge::hw {

std::optional<Precision> ChipSpec::compute_for(Precision wanted) const {
  for (const Precision candidate : {wanted, Precision::bf16}) {
    if (matrix_rate[static_cast<std::size_t>(candidate)].value) return candidate;
  }
  return std::nullopt;
}

std::optional<FlopPerSecond> ChipSpec::rate_for(Precision wanted) const {
  const auto precision = compute_for(wanted);
  if (!precision) return std::nullopt;
  return matrix_rate[static_cast<std::size_t>(*precision)].value;
}

std::optional<FlopPerByte> ChipSpec::ridge_point(Precision wanted) const {
  const auto rate = rate_for(wanted);
  if (!rate || !memory_bandwidth.value) return std::nullopt;
  return *rate / *memory_bandwidth.value;
}

const Price* ChipSpec::price(const std::string& wanted) const {
  if (wanted.empty()) return prices.empty() ? nullptr : &prices.front();
  const auto found =
      std::find_if(prices.begin(), prices.end(), [&](const Price& p) { return p.name == wanted; });
  return found == prices.end() ? nullptr : &*found;
}

namespace {

// {"value": 3.35, "source": "..."}, "unconfirmed" where nobody has seen it in a source. In place of
// the number, "none" where the chip has no such unit and "unknown" where nobody knows.
template <typename T>
void read_fact(JsonObject& object, std::string_view key, Fact<T>& out, NumberRange range) {
  const auto node = object.required(key);
  if (!node) return;
  JsonObject fact(*node);
  fact.required("source", out.source);
  fact.optional("unconfirmed", out.unconfirmed);
  const auto value = fact.required("value");
  if (!value) return;
  if (value->is_string()) {
    std::string text;
    value->read(text);
    if (text != "unknown" && text != "none") {
      value->expected("a number, \"unknown\" or \"none\"");
    }
    out.absent = text == "none";
    return;
  }
  // Read in place, so that a binding of a sweep points at the fact itself.
  if (!value->read(out.value.emplace(), range)) out.value.reset();
}

void read_price(const JsonNode& node, Price& out) {
  JsonObject object(node);
  object.required("name", out.name);
  object.required("rate_USD_per_hour", out.rate, positive(1e6));
  object.required("source", out.source);
}

const Catalog& catalog() {
  static const Catalog chips("the name of an accelerator", "hwmodels/data/chips");
  return chips;
}

}  // namespace

void read_chip(const JsonNode& node, ChipSpec& out) {
  JsonObject object(node);
  object.ignore("$schema");
  object.ignore("comment");
  object.required("name", out.name);
  object.required("title", out.title);
  object.required("vendor", out.vendor);
  object.required("generation", out.generation);
  if (const auto rates = object.required("matrix_rate")) {
    JsonObject by_precision(*rates);
    for (const auto& [name, precision] : models::precision_names()) {
      // FP32 has no matrix unit worth the name on any of these chips, and INT4 on few.
      if (precision == Precision::fp32 || precision == Precision::int4) continue;
      read_fact(by_precision, fmt::format("{}_TFLOPps", name),
                out.matrix_rate[static_cast<std::size_t>(precision)], positive(1e9));
    }
  }
  read_fact(object, "memory_bandwidth_TBps", out.memory_bandwidth, positive(1e6));
  read_fact(object, "memory_GB", out.memory, positive(1e6));
  read_fact(object, "l2_cache_MB", out.l2_cache, positive(1e6));
  read_fact(object, "compute_units", out.compute_units, between(1, 1e6));
  read_fact(object, "power_W", out.power, positive(1e6));
  read_fact(object, "scale_up_bandwidth_GBps", out.scale_up_bandwidth, positive(1e6));
  read_fact(object, "nic_bandwidth_GBps", out.nic_bandwidth, positive(1e6));
  read_fact(object, "chips_per_server", out.chips_per_server, between(1, 1e6));
  if (const auto prices = object.required("prices")) {
    const auto entries = prices->elements();
    out.prices.reserve(entries.size());
    for (const JsonNode& entry : entries) read_price(entry, out.prices.emplace_back());
  }
}

namespace {

ChipSpec checked(const JsonDocument& document) {
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  ChipSpec chip;
  read_chip(JsonNode(document.json(), context), chip);
  diagnostics.throw_if_errors();
  return chip;
}

}  // namespace

ChipSpec load_chip(const std::string& name_or_path) {
  return checked(JsonDocument::read(catalog().resolve(name_or_path)));
}

JsonDocument chip_document(const std::string& name_or_path) {
  JsonDocument document = JsonDocument::read(catalog().resolve(name_or_path));
  (void)checked(document);
  return document;
}

std::vector<std::string> chip_names() {
  return catalog().names();
}

}  // namespace ridge::hw
