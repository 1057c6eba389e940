// A sweep as a JSON file (docs/schema/sweep-scenario.schema.json): a question, the axes along which
// it is asked again, and what to make of the answers. docs/sweeps.md is the user's view.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/sweep/evaluator.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace ridge::sweep {

using AxisValue = std::variant<double, std::string, bool>;

// "8192", "fp8", "true": as it stands in a table.
[[nodiscard]] std::string text_of(const AxisValue& value);

// One or several places of the question that move together.
struct Axis {
  std::string location;               // of the axis in the scenario: "/axes/0"
  std::vector<std::string> pointers;  // into the question
  std::vector<std::string> headers;   // of their columns, one per pointer
  std::size_t length = 0;
  std::vector<AxisValue> values;  // length x pointers

  [[nodiscard]] const AxisValue& at(std::size_t position, std::size_t pointer) const {
    return values[position * pointers.size() + pointer];
  }
};

struct Objective {
  std::size_t column = 0;  // into SweepScenario::columns
  bool maximize = false;
};

// Rows are compared with those that agree on the `within` axes only: a short context is no better
// design than a long one.
struct ParetoRequest {
  std::vector<Objective> objectives;  // empty: no flags wanted
  std::vector<std::size_t> within;    // into SweepScenario::axes
};

struct SweepScenario {
  enum class Combine : std::uint8_t { product, zip };
  enum class InvalidPoints : std::uint8_t { error, skip };

  std::string title;
  JsonDocument document;  // the question stands at /base
  const EvaluatorKind* kind = nullptr;
  std::vector<Axis> axes;
  Combine combine = Combine::product;
  InvalidPoints invalid_points = InvalidPoints::error;
  std::vector<std::size_t> columns;  // into kind->columns()
  std::vector<Filter> filters;
  ParetoRequest pareto;
  std::vector<std::string> references;  // names or paths, each put in the subject's place

  [[nodiscard]] const view::FigureSpec& column(std::size_t index) const {
    return kind->columns()[columns[index]];
  }
};

// The most points one sweep may have.
inline constexpr double kMaxSweepPoints = 1e9;

// The keys of a sweep scenario.
[[nodiscard]] const KeyTable& sweep_keys();
// Reads a scenario, its references and axes as yet unresolved. Throws UserError with every problem.
[[nodiscard]] SweepScenario read_sweep(const JsonDocument& document);
// The shipped scenario of this name, or the file at this path. Throws UserError.
[[nodiscard]] SweepScenario load_sweep(const std::string& name_or_path);

}  // namespace ridge::sweep
