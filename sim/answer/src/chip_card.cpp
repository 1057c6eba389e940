#include "ridge/answer/chip_card.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace ridge::answer {
namespace {

// A fact in the unit that its key names.
struct Line {
  std::string key;  // as in the chip's file
  std::string words;
  std::string unit;
  std::optional<double> value;  // in `unit`
  std::string source;
  bool absent = false;
  bool unconfirmed = false;
};

template <typename T>
Line line(const std::string& key, const std::string& words, const std::string& unit, double scale,
          const hw::Fact<T>& fact) {
  Line out{.key = key,
           .words = words,
           .unit = unit,
           .value = {},
           .source = fact.source,
           .absent = fact.absent,
           .unconfirmed = fact.unconfirmed};
  if (fact.value) {
    if constexpr (std::is_same_v<T, std::int64_t>) {
      out.value = static_cast<double>(*fact.value);
    } else {
      out.value = fact.value->value() / scale;
    }
  }
  return out;
}

constexpr std::array kShownRates = {models::Precision::bf16, models::Precision::fp8,
                                    models::Precision::int8, models::Precision::fp4};

std::vector<Line> facts(const hw::ChipSpec& chip) {
  std::vector<Line> lines;
  for (const auto precision : kShownRates) {
    lines.push_back(line(fmt::format("{}_TFLOPps", models::name_of(precision)),
                         fmt::format("{} matrix rate", models::name_of(precision)), "TFLOP/s", 1e12,
                         chip.matrix_rate[static_cast<std::size_t>(precision)]));
  }
  lines.push_back(
      line("memory_bandwidth_TBps", "memory bandwidth", "TB/s", 1e12, chip.memory_bandwidth));
  lines.push_back(line("memory_GB", "memory", "GB", 1e9, chip.memory));
  lines.push_back(line("l2_cache_MB", "L2 cache", "MB", 1e6, chip.l2_cache));
  lines.push_back(line("compute_units", "compute units", "", 1.0, chip.compute_units));
  lines.push_back(line("power_W", "power", "W", 1.0, chip.power));
  lines.push_back(
      line("scale_up_bandwidth_GBps", "scale-up bandwidth", "GB/s", 1e9, chip.scale_up_bandwidth));
  lines.push_back(line("nic_bandwidth_GBps", "NIC bandwidth", "GB/s", 1e9, chip.nic_bandwidth));
  lines.push_back(line("chips_per_server", "chips per server", "", 1.0, chip.chips_per_server));
  return lines;
}

struct Unit {
  models::Precision precision;  // of the arithmetic asked for
  models::Precision done_by;    // of the matrix units that do it
  FlopPerByte ridge;
};

std::vector<Unit> ridge_points(const hw::ChipSpec& chip) {
  std::vector<Unit> units;
  for (const auto precision : {models::Precision::bf16, models::Precision::fp8}) {
    const auto ridge = chip.ridge_point(precision);
    if (ridge) units.push_back({precision, *chip.compute_for(precision), *ridge});
  }
  return units;
}

std::string table(const hw::ChipSpec& chip) {
  std::string out = fmt::format("{}: {} ({}, generation {})\n\n", chip.name, chip.title,
                                chip.vendor, chip.generation);
  view::TextTable text;
  text.column("", view::Align::left);
  text.column("figure");
  text.column("", view::Align::left);
  text.column("source", view::Align::left);
  for (const auto& fact : facts(chip)) {
    std::string figure = fact.absent ? "none" : "unknown";
    if (fact.value) figure = fmt::format("{:g}{}", *fact.value, fact.unconfirmed ? "?" : "");
    text.row({fact.words, figure, fact.value ? fact.unit : "", fact.source});
  }
  out += text.text();
  const auto shown = facts(chip);
  if (std::any_of(shown.begin(), shown.end(), [](const Line& fact) { return fact.unconfirmed; })) {
    out += "?: unconfirmed, nobody has seen it in a source that can be trusted\n";
  }
  out += "\nRidge points: an operator below them waits for memory, one above for arithmetic\n";
  for (const auto& unit : ridge_points(chip)) {
    out += fmt::format(
        "  {}: {:.0f} FLOP/B{}\n", models::name_of(unit.precision), unit.ridge.value(),
        unit.done_by == unit.precision
            ? ""
            : fmt::format(" (8-bit values, {} arithmetic)", models::name_of(unit.done_by)));
  }
  if (chip.prices.empty()) out += "\nPrice: unknown, so costs are too\n";
  for (const auto& price : chip.prices) {
    out += fmt::format("\nPrice \"{}\": {:g} USD/h ({})\n", price.name, price.rate.value() * 3600.0,
                       price.source);
    for (const auto& unit : ridge_points(chip)) {
      out += fmt::format("  {}: {} USD per exaFLOP\n", models::name_of(unit.precision),
                         significant((price.rate / *chip.rate_for(unit.precision)).value() * 1e18));
    }
    if (chip.memory_bandwidth.value) {
      out += fmt::format("  memory: {} USD per exabyte\n",
                         significant((price.rate / *chip.memory_bandwidth.value).value() * 1e18));
    }
  }
  return out;
}

const view::AnswerKeys<Line>& answer_keys(const Line* /*of*/) {
  static const view::AnswerKeys<Line> keys(
      {{"value", "", &Line::value},
       {"source", "", &Line::source},
       {"absent", "The chip has none.", &Line::absent},
       {"unconfirmed", "Not seen in a source that can be trusted.", &Line::unconfirmed}});
  return keys;
}

struct PriceCard {
  const hw::ChipSpec& chip;
  const hw::Price& price;

  // A figure of each number format that has a ridge point.
  [[nodiscard]] view::ByName<double> per_flop() const {
    view::ByName<double> out;
    for (const auto& unit : ridge_points(chip)) {
      out.emplace_back(models::name_of(unit.precision),
                       (price.rate / *chip.rate_for(unit.precision)).value());
    }
    return out;
  }
  [[nodiscard]] std::optional<double> per_byte() const {
    if (!chip.memory_bandwidth.value) return std::nullopt;
    return (price.rate / *chip.memory_bandwidth.value).value();
  }
};

const view::AnswerKeys<PriceCard>& answer_keys(const PriceCard* /*of*/) {
  using P = PriceCard;
  static const view::AnswerKeys<P> keys(
      {{"name", "Of the list.", [](const P& p) { return p.price.name; }},
       {"rate_USD_per_hour", "", [](const P& p) { return p.price.rate.value() * 3600.0; }},
       {"source", "", [](const P& p) { return p.price.source; }},
       {"usd_per_flop", "", &P::per_flop},
       {"usd_per_byte", "Of memory traffic.", &P::per_byte}});
  return keys;
}

struct ChipCard {
  const hw::ChipSpec& chip;
};

const view::AnswerKeys<ChipCard>& answer_keys(const ChipCard* /*of*/) {
  using C = ChipCard;
  static const view::AnswerKeys<C> keys(
      {view::constant<C>("kind", "chip"),
       {"name", "", [](const C& c) { return c.chip.name; }},
       {"title", "", [](const C& c) { return c.chip.title; }},
       {"vendor", "", [](const C& c) { return c.chip.vendor; }},
       {"generation", "", [](const C& c) { return c.chip.generation; }},
       {"facts", "Each figure; its unit ends its name.",
        [](const C& c) {
          view::ByName<Line> out;
          for (Line& fact : facts(c.chip)) out.emplace_back(fact.key, std::move(fact));
          return out;
        }},
       {"ridge_point_FLOP_per_byte", "",
        [](const C& c) {
          view::ByName<double> out;
          for (const auto& unit : ridge_points(c.chip)) {
            out.emplace_back(models::name_of(unit.precision), unit.ridge.value());
          }
          return out;
        }},
       {"prices", "", [](const C& c) {
          std::vector<PriceCard> out;
          for (const auto& price : c.chip.prices) out.push_back({c.chip, price});
          return out;
        }}});
  return keys;
}

}  // namespace

const view::AnswerDescription& chip_answer() {
  return answer_keys(static_cast<const ChipCard*>(nullptr));
}

std::string chip_card(const hw::ChipSpec& chip, view::OutputFormat format) {
  return format == view::OutputFormat::json ? view::answer_json(ChipCard{chip}) : table(chip);
}

}  // namespace ridge::answer
