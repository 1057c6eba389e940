#include "ridge/hwmodels/calibrated/transfer_errors.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/json.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/hwmodels/chip_spec.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::hw::calibrated {

static const KeyTable& keys_of(const NeededError* /*of*/) {
  using E = NeededError;
  static const KeyTable table = key_table<E>(
      "error", "What curves of a family needed.",
      {
          key<&E::family>("family", "", family_names()),
          key<&E::format>("format", "All together where absent.", format_names()).optional(),
          key<&E::error>("error", "Relative standard error beside the curves' own.", at_least(0)),
          key<&E::measurements>("measurements", "That it was found with; 0 of an estimate.",
                                at_least(0)),
      });
  return table;
}

static const KeyTable& keys_of(const LeftOut* /*of*/) {
  using L = LeftOut;
  static const KeyTable table = key_table<L>(
      "left-out",
      "A family that tells of something else than the chips: it counts between chips of this "
      "generation alone.",
      {
          key<&L::family>("family", "", family_names()),
          key<&L::format>("format", "All together where absent.", format_names()).optional(),
          key<&L::why>("why", "What it tells of."),
      });
  return table;
}

static const KeyTable& keys_of(const MeasuredTransfer* /*of*/) {
  using T = MeasuredTransfer;
  static const KeyTable table = key_table<T>(
      "transfer",
      "One chip's curves beside another's measurements; from a chip to itself, curves of the "
      "other kernels beside each kernel's measurements.",
      {
          key<&T::from>("from", "The chip that the curves were fitted on."),
          key<&T::to>("to", "The chip that was measured."),
          key<&T::source>("source", "Of the measurements, or of the errors themselves."),
          key<&T::errors>("errors", ""),
          key<&T::left_out>(
              "left_out",
              "Counted between chips of this generation alone; of other kernels, not at all.")
              .optional(),
      });
  return table;
}

const KeyTable& keys_of(const TransferErrors* /*of*/) {
  using E = TransferErrors;
  static const KeyTable table =
      key_table<E>(
          "",
          "What a transfer to another chip adds to the errors of curves, and what it adds that "
          "another kernel answers than runs, as measured.",
          {
              key<&E::per_fold>("per_fold",
                                "Relative standard error for each e-fold of change of balance.",
                                positive(10.0)),
              key<&E::per_fold_source>("per_fold_source", "How that is known."),
              key<&E::least>("least", "What no error is stated to be below.", positive(1.0)),
              key<&E::least_source>("least_source", "How that is known."),
              key<&E::transfers>("transfers", ""),
          })
          .file("measured errors of transfers");
  return table;
}

namespace {

template <typename T>
auto of(const std::vector<T>& all, Family family, Format format) {
  return std::find_if(all.begin(), all.end(), [&](const T& each) {
    return each.family == family && each.format == format;
  });
}

std::optional<double> needed(const MeasuredTransfer& transfer, Family family, Format format) {
  const auto found = of(transfer.errors, family, format);
  return found == transfer.errors.end() ? std::nullopt : std::optional(found->error);
}

bool counts_everywhere(const MeasuredTransfer& transfer, Family family, Format format) {
  return of(transfer.left_out, family, format) == transfer.left_out.end();
}

// Of all that tell; nothing where none does.
std::optional<double> root_mean_square(const std::vector<double>& errors, double least) {
  if (errors.empty()) return std::nullopt;
  double squares = 0.0;
  for (const double error : errors) squares += error * error;
  const double mean = squares / static_cast<double>(errors.size());
  return std::max(least, 0.01 * std::round(100.0 * std::sqrt(mean)));
}

}  // namespace

double TransferErrors::between_alike(Family family, std::string_view generation) const {
  std::vector<double> of_all;
  std::vector<double> of_generation;
  for (const MeasuredTransfer& transfer : transfers) {
    if (transfer.from == transfer.to) continue;
    const auto error = needed(transfer, family, Format::any);
    if (!error) continue;
    if (counts_everywhere(transfer, family, Format::any)) of_all.push_back(*error);
    if (!generation.empty() && transfer.generation == generation) of_generation.push_back(*error);
  }
  if (of_all.empty() && of_generation.empty()) {
    throw UserError(fmt::format(
        "the measured errors of transfers know none of {}: add what one needed, or an estimate "
        "that says it is one, to hwmodels/data/kernels/transfer_errors.json",
        name_of(family)));
  }
  return std::max(root_mean_square(of_all, least).value_or(0.0),
                  root_mean_square(of_generation, least).value_or(0.0));
}

double TransferErrors::of_another_kernel(Family family, Format format) const {
  std::vector<double> of_format;
  std::vector<double> of_any;
  for (const MeasuredTransfer& transfer : transfers) {
    if (transfer.from != transfer.to) continue;
    for (const auto& [name, each] : format_names()) {
      const auto error = needed(transfer, family, each);
      if (!error || !counts_everywhere(transfer, family, each)) continue;
      of_any.push_back(*error);
      if (each == format) of_format.push_back(*error);
    }
  }
  return root_mean_square(of_format.empty() ? of_any : of_format, least).value_or(0.0);
}

TransferErrors load_transfer_errors(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  TransferErrors errors;
  read_keys(JsonNode(document.json(), context), errors);
  diagnostics.throw_if_errors();
  const std::vector<std::string> chips = chip_names();
  for (MeasuredTransfer& transfer : errors.transfers) {
    if (std::find(chips.begin(), chips.end(), transfer.from) == chips.end()) continue;
    transfer.generation = load_chip(transfer.from).generation;
  }
  return errors;
}

const TransferErrors& transfer_errors() {
  static const TransferErrors kShipped =
      load_transfer_errors(data_root() / "hwmodels/data/kernels/transfer_errors.json");
  return kShipped;
}

std::string to_json(const TransferErrors& errors) {
  OrderedJson all;
  write_keys(errors, all);
  std::string out = "{\n  \"$schema\": \"../../../docs/schema/transfer-errors.schema.json\",\n";
  for (const auto& [key, value] : all.items()) {
    if (key != "transfers") out += fmt::format("  \"{}\": {},\n", key, value.dump());
  }
  // A line for each family, so that a difference shows which one moved.
  out += "  \"transfers\": [";
  const char* separator = "\n";
  for (const OrderedJson& transfer : all["transfers"]) {
    out += separator;
    separator = ",\n";
    out += "    {";
    const char* comma = "\n";
    for (const auto& [key, value] : transfer.items()) {
      out += fmt::format("{}      \"{}\": ", comma, key);
      comma = ",\n";
      if (!value.is_array()) {
        out += value.dump();
        continue;
      }
      const char* line = "[\n";
      for (const OrderedJson& element : value) {
        out += fmt::format("{}        {}", line, element.dump());
        line = ",\n";
      }
      out += value.empty() ? "[]" : "\n      ]";
    }
    out += "\n    }";
  }
  out += "\n  ]\n}\n";
  return out;
}

void replace(TransferErrors& errors, MeasuredTransfer measured) {
  const auto same = std::find_if(
      errors.transfers.begin(), errors.transfers.end(),
      [&](const auto& each) { return each.from == measured.from && each.to == measured.to; });
  if (same == errors.transfers.end()) {
    errors.transfers.push_back(std::move(measured));
    return;
  }
  for (const NeededError& fresh : measured.errors) {
    const auto known = std::find_if(same->errors.begin(), same->errors.end(), [&](const auto& e) {
      return e.family == fresh.family && e.format == fresh.format;
    });
    if (known == same->errors.end()) {
      same->errors.push_back(fresh);
    } else {
      *known = fresh;
    }
  }
}

}  // namespace ridge::hw::calibrated
