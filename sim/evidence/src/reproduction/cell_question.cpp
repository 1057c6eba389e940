#include "cell_question.hpp"

#include "ridge/base/format.hpp"
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

namespace {

template <typename T, typename... Arguments>
void read_optional(JsonObject& object, std::string_view key, std::optional<T>& out,
                   Arguments&&... arguments) {
  const auto node = object.optional(key);
  if (!node) return;
  T value{};
  if (node->read(value, std::forward<Arguments>(arguments)...)) out = value;
}

void read_reference(JsonObject& object, std::string_view key, std::optional<std::string>& out) {
  read_optional(object, key, out);
  if (out) *out = scenario::reference_from(object.node().file(), *out);
}

std::shared_ptr<CellQuestion> read_part(JsonObject& object, std::string_view key) {
  const auto node = object.optional(key);
  if (!node) return nullptr;
  auto part = std::make_shared<CellQuestion>();
  JsonObject fields(*node);
  part->read(fields);
  return part;
}

}  // namespace

void CellQuestion::read(JsonObject& object) {
  read_optional(object, "quantity", quantity);
  read_optional(object, "unit", unit);
  if (const auto node = object.optional("digits")) {
    JsonObject fields(*node);
    PrintedDigits read;
    if (fields.optional("decimals", read.count, between(0, 15))) {
      read.kind = PrintedDigits::Kind::decimals;
      digits = read;
    } else if (fields.optional("significant", read.count, between(1, 15))) {
      digits = read;
    } else if (node->is_object() && node->members().empty()) {
      node->error("expected \"significant\" or \"decimals\" in it");
    }
  }
  read_reference(object, "model", model);
  read_reference(object, "chip", chip);
  read_optional(object, "attention", attention);
  read_optional(object, "context_tokens", context, between(1, 1e9));
  read_optional(object, "stage_budget_ms", stage_budget);
  read_optional(object, "tpot_ms", tpot);
  read_optional(object, "stages", stages, between(1, 64));
  read_optional(object, "nic_bandwidth_GBps", nic_bandwidth);
  of = read_part(object, "of");
  over = read_part(object, "over");
}

}  // namespace ridge::evidence
