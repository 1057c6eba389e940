#include "ridge/view/figure.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/view/text_table.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::view {
namespace {

bool unknown(const FigureValue& value) {
  return value.spec->kind == FigureKind::label ? value.label.empty() : !std::isfinite(value.number);
}

OrderedJson json_of(const FigureValue& value) {
  if (unknown(value)) return nullptr;
  switch (value.spec->kind) {
    case FigureKind::label:
      return value.label;
    case FigureKind::truth:
      return value.number != 0.0;
    case FigureKind::count:
      return static_cast<std::int64_t>(value.number);
    case FigureKind::number:
      break;
  }
  return value.number;
}

std::string text_of(const FigureValue& value) {
  if (unknown(value)) return {};
  if (value.spec->kind == FigureKind::label) return value.label;
  if (value.spec->kind == FigureKind::truth) return value.number != 0.0 ? "true" : "false";
  return fmt::format("{}", value.number);
}

}  // namespace

std::size_t figure_index(std::span<const FigureSpec* const> specs, std::string_view name) {
  const auto found = std::find_if(specs.begin(), specs.end(),
                                  [&](const FigureSpec* spec) { return spec->name == name; });
  RIDGE_INVARIANT(found != specs.end(), fmt::format("there is no figure \"{}\"", name));
  return static_cast<std::size_t>(found - specs.begin());
}

void put_figures(const std::vector<FigureValue>& values, OrderedJson& out) {
  for (const FigureValue& value : values) {
    if (value.spec->pointer.empty()) continue;
    const OrderedJson::json_pointer pointer{std::string(value.spec->pointer)};
    if (value.number == kNoGroup) {
      OrderedJson& group = out[pointer.parent_pointer()];
      if (!group.is_object()) group = nullptr;
      continue;
    }
    out[pointer] = json_of(value);
  }
}

std::vector<std::string> csv_names(const std::vector<FigureValue>& values) {
  std::vector<std::string> names;
  for (const FigureValue& value : values) names.emplace_back(value.spec->name);
  return names;
}

std::vector<std::string> csv_cells(const std::vector<FigureValue>& values) {
  std::vector<std::string> cells;
  for (const FigureValue& value : values) cells.push_back(text_of(value));
  return cells;
}

std::string csv_row(std::vector<std::string> of, const std::vector<std::string>& figures) {
  of.insert(of.end(), figures.begin(), figures.end());
  return csv_line(of) + "\n";
}

}  // namespace ridge::view
