#include "ridge/hwmodels/chip_spec.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/ordered_json.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

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

ChipSpec with_compute_units(ChipSpec chip, std::int64_t units) {
  const double share =
      static_cast<double>(units) / static_cast<double>(chip.compute_units.value.value());
  for (auto& rate : chip.matrix_rate) {
    if (rate.value) *rate.value *= share;
  }
  chip.compute_units.value = units;
  return chip;
}

namespace {

const Catalog& catalog() {
  static const Catalog chips("the name of an accelerator", "hwmodels/data/chips", "chips");
  return chips;
}

// The "value" of a fact: a number, or in its place "none" where the chip has no such thing and
// "unknown" where nobody knows.
template <typename T>
class FactValue final : public JsonType {
 public:
  explicit FactValue(JsonTypePtr number) : number_(std::move(number)) {}

  bool read(const JsonNode& node, void* out) const override {
    auto& fact = *static_cast<Fact<T>*>(out);
    if (!node.is_string()) {
      // Read in place, so that a sweep finds it there.
      if (number_->read(node, &fact.value.emplace())) return true;
      fact.value.reset();
      return false;
    }
    std::string text;
    node.read(text);
    if (text != "unknown" && text != "none") {
      node.expected("a number, \"unknown\" or \"none\"");
      return false;
    }
    fact.absent = text == "none";
    return true;
  }
  void write(const void* value, OrderedJson& out) const override {
    const auto& fact = *static_cast<const Fact<T>*>(value);
    if (fact.value) {
      number_->write(&*fact.value, out);
    } else {
      out = fact.absent ? "none" : "unknown";
    }
  }
  void describe(OrderedJson& out, SchemaDefinitions& definitions) const override {
    OrderedJson number = OrderedJson::object();
    number_->describe(number, definitions);
    out["anyOf"] = {number, {{"enum", {"unknown", "none"}}}};
  }
  [[nodiscard]] std::string words() const override {
    return number_->words() + ", \"unknown\" or \"none\"";
  }
  [[nodiscard]] bool is_number() const override { return true; }
  [[nodiscard]] bool assign(void* value, double number) const override {
    auto& fact = *static_cast<Fact<T>*>(value);
    T wanted{};
    if (!number_->assign(&wanted, number)) return false;
    fact.value = wanted;
    fact.absent = false;
    return true;
  }

 private:
  JsonTypePtr number_;
};

}  // namespace

// How the parts of a chip stand in its file.
template <typename T>
static JsonTypePtr json_type_of(const Fact<T>* /*of*/, std::string_view key, NumberRange range) {
  return keys::object(std::make_shared<KeyTable>(key_table<Fact<T>>(
      std::is_same_v<T, std::int64_t> ? "count"
      : range.max > 1e6               ? "rate"
                                      : "fact",
      "A figure and where it was found.",
      {
          key_of_all<Fact<T>>("value",
                              "\"unknown\" where nobody knows it, \"none\" where the chip has no "
                              "such thing.",
                              std::make_shared<FactValue<T>>(keys::type_of<T>(key, range))),
          ridge::key<&Fact<T>::source>("source", "Where it was found, or why there is none."),
          ridge::key<&Fact<T>::unconfirmed>("unconfirmed",
                                            "Nobody has seen it in a source that can be trusted.")
              .optional(),
      })));
}

using Rates = std::array<Fact<FlopPerSecond>, models::kPrecisions>;

static const KeyTable& keys_of(const Price* /*of*/) {
  static const KeyTable table =
      key_table<Price>("price", "What an hour of the chip costs.",
                       {
                           key<&Price::name>("name", "Of the list: who asks it, and when."),
                           key<&Price::rate>("rate_USD_per_hour", "Of one chip.", positive(1e6)),
                           key<&Price::source>("source", "Where it was found."),
                       });
  return table;
}

static JsonTypePtr json_type_of(const Rates* /*of*/, std::string_view /*key*/) {
  std::vector<Key<Rates>> rates;
  for (const auto& [name, precision] : models::precision_names()) {
    // FP32 has no matrix unit worth the name on any of these chips, and INT4 on few.
    if (precision == Precision::fp32 || precision == Precision::int4) continue;
    rates.push_back(element<Rates>(static_cast<std::size_t>(precision),
                                   fmt::format("{}_TFLOPps", name), "", positive(1e9)));
  }
  return keys::object(std::make_shared<KeyTable>(key_table<Rates>(
      "rates", "Dense rates of the matrix units; a multiply-add counts as 2.", std::move(rates))));
}

const KeyTable& keys_of(const ChipSpec* /*of*/) {
  using C = ChipSpec;
  static const KeyTable table =
      key_table<C>(
          "",
          "What an accelerator can do and what an hour of it costs. Every number carries its "
          "source; \"unknown\" where nobody knows it, \"none\" where the chip has no such unit.",
          {
              key<&C::name>("name", "As typed on the command line."),
              key<&C::title>("title", "As people write it."),
              key<&C::vendor>("vendor", "Who makes it."),
              key<&C::generation>("generation",
                                  "Chips of one generation share calibrations by data-sheet "
                                  "ratios."),
              key<&C::matrix_rate>("matrix_rate", "Dense, by precision."),
              key<&C::memory_bandwidth>("memory_bandwidth_TBps", "Of the device memory.",
                                        positive(1e6)),
              key<&C::memory>("memory_GB", "As the device reports it.", positive(1e6)),
              key<&C::l2_cache>("l2_cache_MB", "Shared by all compute units.", positive(1e6)),
              key<&C::compute_units>("compute_units",
                                     "Streaming multiprocessors, compute units, cores.",
                                     between(1, 1e6)),
              key<&C::power>("power_W", "Thermal design power.", positive(1e6)),
              key<&C::scale_up_bandwidth>("scale_up_bandwidth_GBps",
                                          "Per chip and direction, to the others of its server or "
                                          "rack: NVLink, Infinity Fabric, ICI, HCCS, PCIe.",
                                          positive(1e6)),
              key<&C::nic_bandwidth>("nic_bandwidth_GBps", "Per chip and direction.",
                                     positive(1e6)),
              key<&C::chips_per_server>("chips_per_server",
                                        "That reach each other over scale-up links.",
                                        between(1, 1e6)),
              key<&C::prices>("prices",
                              "The first is the default. Empty where no trustworthy price was "
                              "found: cost is then unknown, never 0."),
          })
          .file("chip");
  return table;
}

void read_chip(const JsonNode& node, ChipSpec& out) {
  read_keys(node, out);
}

ChipSpec load_chip(const std::string& name_or_path) {
  return read_document<ChipSpec>(JsonDocument::read(catalog().resolve(name_or_path)));
}

JsonDocument chip_document(const std::string& name_or_path) {
  JsonDocument document = JsonDocument::read(catalog().resolve(name_or_path));
  (void)read_document<ChipSpec>(document);
  return document;
}

std::vector<std::string> chip_names() {
  return catalog().names();
}

}  // namespace ridge::hw
