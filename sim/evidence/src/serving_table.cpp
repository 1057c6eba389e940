#include "ridge/base/csv.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/evidence/serving.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::evidence {
namespace {

using Text = std::string ServingRow::*;
using Number = std::optional<double> ServingRow::*;

struct TextColumn {
  std::string_view name;
  Text cell;
  bool required = false;
};
constexpr std::array kTexts = {TextColumn{"id", &ServingRow::id, true},
                               TextColumn{"source", &ServingRow::source, true},
                               TextColumn{"engine", &ServingRow::engine},
                               TextColumn{"model", &ServingRow::model, true},
                               TextColumn{"chip", &ServingRow::chip, true},
                               TextColumn{"strategy", &ServingRow::strategy},
                               TextColumn{"weight_precision", &ServingRow::weight_precision},
                               TextColumn{"kv_precision", &ServingRow::kv_precision},
                               TextColumn{"overlap", &ServingRow::overlap},
                               TextColumn{"metric", &ServingRow::metric, true},
                               TextColumn{"unit", &ServingRow::unit},
                               TextColumn{"cautions", &ServingRow::cautions}};

struct NumberColumn {
  std::string_view name;
  Number cell;
  double min = 0;
  bool whole = true;
};
constexpr std::array kNumbers = {
    NumberColumn{"gpus", &ServingRow::gpus, 1},
    NumberColumn{"attention_tp", &ServingRow::attention_tp, 1},
    NumberColumn{"attention_dp", &ServingRow::attention_dp, 1},
    NumberColumn{"moe_tp", &ServingRow::moe_tp, 1},
    NumberColumn{"moe_ep", &ServingRow::moe_ep, 1},
    NumberColumn{"redundant_experts", &ServingRow::redundant_experts, 0},
    NumberColumn{"isl", &ServingRow::isl, 1},
    NumberColumn{"osl", &ServingRow::osl, 1},
    NumberColumn{"mean_context", &ServingRow::mean_context, 1, false},
    NumberColumn{"requests_per_gpu", &ServingRow::requests_per_gpu, 0, false},
    NumberColumn{"concurrency", &ServingRow::concurrency, 1, false},
    NumberColumn{"drafts", &ServingRow::drafts, 0},
    NumberColumn{"acceptance", &ServingRow::acceptance, 0, false}};

constexpr std::string_view kValue = "value";
constexpr double kMost = 1e9;
constexpr std::size_t kMaxBytes = std::size_t{16} << 20U;

std::vector<std::string> known_columns() {
  std::vector<std::string> names{std::string(kValue)};
  for (const TextColumn& column : kTexts) names.emplace_back(column.name);
  for (const NumberColumn& column : kNumbers) names.emplace_back(column.name);
  return names;
}

// The table while it is read: what stands in which column, and what is wrong so far.
class Table {
 public:
  explicit Table(const std::string& path) : path_(path), text_(read_file(path, kMaxBytes)) {}

  std::vector<ServingRow> rows() {
    CsvReader reader(text_, path_);
    if (!reader.next()) throw UserError(path_ + ": expected a line that names the columns");
    read_header(reader);
    diagnostics_.throw_if_errors();
    std::vector<ServingRow> out;
    std::set<std::string> ids;
    while (reader.next()) {
      if (reader.cells().size() != columns_.size()) {
        error(reader.line(), "",
              fmt::format("expected {} cells, as the first line has, got {}", columns_.size(),
                          reader.cells().size()));
        continue;
      }
      out.push_back(read_row(reader));
      if (!ids.insert(out.back().id).second) {
        error(reader.line(), "id", fmt::format("\"{}\" names an earlier line too", out.back().id));
      }
    }
    diagnostics_.throw_if_errors();
    if (out.empty()) throw UserError(path_ + ": expected at least one measurement");
    return out;
  }

 private:
  void error(std::size_t line, std::string_view column, std::string_view message) {
    diagnostics_.error(path_, fmt::format("line {}{}{}", line, column.empty() ? "" : ", ", column),
                       message);
  }

  [[nodiscard]] bool has_column(std::string_view name) const {
    return std::find(columns_.begin(), columns_.end(), name) != columns_.end();
  }

  void read_header(const CsvReader& reader) {
    const auto known = known_columns();
    for (const std::string_view cell : reader.cells()) {
      const std::string name(cell);
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        error(reader.line(), "",
              fmt::format("unknown column \"{}\"{}; the columns are {}", name,
                          did_you_mean(name, known), fmt::join(known, ", ")));
      } else if (has_column(name)) {
        error(reader.line(), "", fmt::format("column \"{}\" stands here twice", name));
      }
      columns_.push_back(name);
    }
    const auto require = [&](std::string_view name) {
      if (has_column(name)) return;
      error(reader.line(), "", fmt::format("column \"{}\" is missing", name));
    };
    require(kValue);
    for (const TextColumn& column : kTexts) {
      if (column.required) require(column.name);
    }
  }

  std::optional<double> number(const CsvReader& reader, std::string_view column,
                               std::string_view cell, double min, bool whole) {
    double value = 0.0;
    const auto [end, failure] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    const bool read = failure == std::errc{} && end == cell.data() + cell.size();
    if (!read || !(value >= min && value <= kMost) || (whole && value != std::floor(value))) {
      error(reader.line(), column,
            fmt::format("expected {} of at least {}, got \"{}\"",
                        whole ? "a whole number" : "a number", min, cell));
      return std::nullopt;
    }
    return value;
  }

  ServingRow read_row(const CsvReader& reader) {
    ServingRow row{.line = reader.line(), .engine_column = has_column("engine")};
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string_view cell = reader.cells()[i];
      const std::string& name = columns_[i];
      if (name == kValue) {
        const auto value = number(reader, name, cell, 0.0, false);
        if (value == 0.0) error(reader.line(), name, "expected a number above 0, got 0");
        row.value = value.value_or(1.0);
        continue;
      }
      for (const TextColumn& column : kTexts) {
        if (column.name != name) continue;
        row.*column.cell = cell;
        if (column.required && cell.empty()) {
          error(reader.line(), name, "expected something, got an empty cell");
        }
      }
      for (const NumberColumn& column : kNumbers) {
        if (column.name != name || cell.empty()) continue;
        row.*column.cell = number(reader, name, cell, column.min, column.whole);
      }
    }
    static constexpr std::array<std::string_view, 4> kOverlaps = {"", "yes", "no", "unknown"};
    if (std::find(kOverlaps.begin(), kOverlaps.end(), row.overlap) == kOverlaps.end()) {
      error(reader.line(), "overlap",
            fmt::format("expected yes, no, unknown or an empty cell, got \"{}\"", row.overlap));
    }
    if (row.acceptance && *row.acceptance > 1.0) {
      error(reader.line(), "acceptance",
            fmt::format("expected a number from 0 to 1, got {}", *row.acceptance));
    }
    return row;
  }

  std::string path_;
  std::string text_;
  std::vector<std::string> columns_;
  Diagnostics diagnostics_;
};

}  // namespace

std::vector<ServingRow> read_serving_table(const std::string& path) {
  return Table(path).rows();
}

}  // namespace ridge::evidence
