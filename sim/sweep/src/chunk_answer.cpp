#include "chunk_answer.hpp"

#include "ridge/base/error.hpp"

#include <cmath>
#include <iterator>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

using nlohmann::json;

std::string json_string(const std::string& text) {
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

// JSON has no infinities.
constexpr const char* kInfinity = "inf";
constexpr const char* kMinusInfinity = "-inf";

void append_number(double value, std::string& out) {
  if (std::isnan(value)) {
    out += "null";
  } else if (std::isinf(value)) {
    out += fmt::format("\"{}\"", value > 0 ? kInfinity : kMinusInfinity);
  } else if (value == 0.0 && std::signbit(value)) {
    out += "-0.0";  // "-0" would be read as a whole number, which has no sign then
  } else {
    fmt::format_to(std::back_inserter(out), "{}", value);
  }
}

double number_of(const json& cell) {
  if (cell.is_null()) return view::kUnknown;
  if (cell.is_number()) return cell.get<double>();
  constexpr double kInf = std::numeric_limits<double>::infinity();
  return cell.get_ref<const std::string&>() == kInfinity ? kInf : -kInf;
}

}  // namespace

std::string line_of(ChunkId id, const ChunkAnswer& answer, const SweepScenario& scenario,
                    const LabelTable& labels) {
  std::string out = fmt::format(R"({{"part":{},"chunk":{},"invalid":{},"problems":[)", id.part,
                                id.chunk, answer.invalid);
  for (const InvalidPoint& invalid : answer.first_invalid) {
    if (out.back() != '[') out += ',';
    out += fmt::format("[{},{}]", invalid.point, json_string(invalid.problem));
  }
  out += "],\"rows\":[";
  std::vector<std::string> names;
  const std::size_t width = scenario.columns.size();
  for (std::size_t row = 0; row < answer.offsets.size(); ++row) {
    if (row > 0) out += ',';
    out += fmt::format("[{}", answer.offsets[row]);
    for (std::size_t c = 0; c < width; ++c) {
      out += ',';
      const double value = answer.values[row * width + c];
      if (scenario.column(c).kind == view::FigureKind::label && !std::isnan(value)) {
        if (names.empty()) names = labels.names();
        out += json_string(names[static_cast<std::size_t>(value)]);
      } else {
        append_number(value, out);
      }
    }
    out += ']';
  }
  out += "]}";
  return out;
}

ChunkAnswer answer_of(std::string_view line, const SweepScenario& scenario, LabelTable& labels) {
  const json told = json::parse(line);
  const std::size_t width = scenario.columns.size();
  ChunkAnswer out{.offsets = {}, .values = {}, .invalid = told.at("invalid"), .first_invalid = {}};
  for (const json& problem : told.at("problems")) {
    out.first_invalid.push_back({.point = problem.at(0), .problem = problem.at(1)});
  }
  for (const json& row : told.at("rows")) {
    RIDGE_INVARIANT(row.size() == width + 1, "a journal holds a row of other columns");
    out.offsets.push_back(row[0]);
    for (std::size_t c = 0; c < width; ++c) {
      const json& cell = row[c + 1];
      const bool name = scenario.column(c).kind == view::FigureKind::label && cell.is_string();
      out.values.push_back(name ? labels.intern(cell.get_ref<const std::string&>())
                                : number_of(cell));
    }
  }
  return out;
}

}  // namespace ridge::sweep
