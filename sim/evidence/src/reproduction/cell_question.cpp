#include "cell_question.hpp"

#include "quantities.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <fmt/format.h>

namespace ridge::evidence {

std::string PrintedDigits::text(double value) const {
  const int digits = static_cast<int>(count);
  if (kind == Kind::decimals) return fmt::format("{:.{}f}", value, digits);
  const std::string scientific = fmt::format("{:.{}e}", value, digits - 1);
  const double rounded = std::stod(scientific);
  // Beyond these a row of zeros says less than an exponent.
  const bool plain = rounded == 0.0 || (rounded >= 1e-4 && rounded < 1e6);
  if (plain) return significant(rounded, digits);
  const auto e = scientific.find('e');
  return fmt::format("{}e{}", scientific.substr(0, e), std::stoi(scientific.substr(e + 1)));
}

CellQuestion CellQuestion::refined_by(const CellQuestion& inner) const {
  CellQuestion out = *this;
  const auto take = [](auto& mine, const auto& theirs) {
    if (theirs) mine = theirs;
  };
  take(out.quantity, inner.quantity);
  take(out.unit, inner.unit);
  take(out.digits, inner.digits);
  take(out.model, inner.model);
  take(out.chip, inner.chip);
  take(out.attention, inner.attention);
  take(out.context, inner.context);
  take(out.stage_budget, inner.stage_budget);
  take(out.tpot, inner.tpot);
  take(out.stages, inner.stages);
  take(out.nic_bandwidth, inner.nic_bandwidth);
  take(out.of, inner.of);
  take(out.over, inner.over);
  return out;
}

void CellQuestion::locate(const std::string& file) {
  for (std::optional<std::string>* reference : {&model, &chip}) {
    if (*reference) *reference = scenario::reference_from(file, **reference);
  }
  for (const auto& part : {of, over}) {
    if (part) part->locate(file);
  }
}

static const KeyTable& keys_of(const PrintedDigits* /*of*/) {
  using D = PrintedDigits;
  static const KeyTable table = key_table<D>(
      "digits", "The digits printed, which both figures are rounded to before they are compared.",
      {},
      cases("", "",
            {
                when<&D::kind>("significant", D::Kind::significant, "",
                               {key<&D::count>("significant", "In all.", between(1, 15))}),
                when<&D::kind>("decimals", D::Kind::decimals, "",
                               {key<&D::count>("decimals", "After the point.", between(0, 15))}),
            }));
  return table;
}

namespace {

std::vector<Key<CellQuestion>> question_keys() {
  using Q = CellQuestion;
  return {
      key<&Q::quantity>("quantity", "What the figure is.", quantity_names()),
      key<&Q::unit>("unit", "The report's.", printed_units()),
      key<&Q::digits>("digits", ""),
      key<&Q::model>("model", "A name, or a path from this file's folder."),
      key<&Q::chip>("chip", "Likewise."),
      key<&Q::attention>("attention", "The name of one of the model's attention blocks."),
      key<&Q::context>("context_tokens", "", between(1, 1e9)),
      key<&Q::stage_budget>("stage_budget_ms", "In place of the assumptions' own."),
      key<&Q::tpot>("tpot_ms", "Time per output token."),
      key<&Q::stages>("stages", "Of the pipeline that share it.", between(1, 64)),
      key<&Q::nic_bandwidth>("nic_bandwidth_GBps", "In place of what the chip's file says."),
  };
}

// A part of a ratio has no parts of its own.
const KeyTable& part_keys() {
  static const KeyTable table = key_table<CellQuestion>(
      "part", "A quantity of a ratio or a saving, asked as the whole is unless it says otherwise.",
      question_keys());
  return table;
}

}  // namespace

static JsonTypePtr json_type_of(const std::shared_ptr<CellQuestion>* /*of*/,
                                std::string_view /*key*/) {
  using P = std::shared_ptr<CellQuestion>;
  return keys::maybe(
      keys::object(part_keys()),
      {[](const void* value) -> const void* { return static_cast<const P*>(value)->get(); },
       [](void* value) -> void* {
         auto& part = *static_cast<P*>(value);
         part = std::make_shared<CellQuestion>();
         return part.get();
       },
       [](void* value) { static_cast<P*>(value)->reset(); }});
}

template <auto Part>
static Key<CellQuestion> part_key(std::string name, std::string doc) {
  return key<Part>(std::move(name), std::move(doc)).optional();
}

const KeyTable& keys_of(const CellQuestion* /*of*/) {
  static const KeyTable table = [] {
    std::vector<Key<CellQuestion>> all = question_keys();
    all.push_back(part_key<&CellQuestion::of>("of", "The first quantity of a ratio or a saving."));
    all.push_back(part_key<&CellQuestion::over>("over", "The second."));
    return key_table<CellQuestion>("question", "What a figure asks.", std::move(all));
  }();
  return table;
}

}  // namespace ridge::evidence
