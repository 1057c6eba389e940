#include "ridge/hwmodels/calibrated/transfer_errors.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/json.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/hwmodels/chip_spec.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::hw::calibrated {

namespace {

template <typename T>
auto of(const std::vector<T>& all, Family family, Format format) {
  return std::find_if(all.begin(), all.end(), [&](const T& each) {
    return each.family == family && each.format == format;
  });
}

// Those of a family and format are one each, and between two chips of all formats together.
template <typename T>
void check_each(const JsonNode& node, const std::vector<T>& all, bool between_chips) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const T& each = all[i];
    const auto first = static_cast<std::size_t>(of(all, each.family, each.format) - all.begin());
    if (first < i) {
      node.child(i).error(fmt::format(
          "{}{} is told of twice; {} is the first: leave one out", name_of(each.family),
          each.format == Format::any ? std::string() : fmt::format(" in {}", name_of(each.format)),
          node.child(first).pointer()));
    }
    if (between_chips && each.format != Format::any) {
      node.child(i).child("format").expected("no format between two chips",
                                             ": all formats count together");
    }
  }
}

void check_transfer(const JsonNode& node, const void* object) {
  const auto& transfer = *static_cast<const MeasuredTransfer*>(object);
  const bool between_chips = transfer.from != transfer.to;
  check_each(node.child("errors"), transfer.errors, between_chips);
  if (!transfer.left_out.empty()) {
    check_each(node.child("left_out"), transfer.left_out, between_chips);
  }
  for (std::size_t i = 0; i < transfer.left_out.size(); ++i) {
    const LeftOut& each = transfer.left_out[i];
    if (of(transfer.errors, each.family, each.format) != transfer.errors.end()) continue;
    node.child("left_out").child(i).expected("a family and format that errors tell of");
  }
  const bool estimated =
      std::all_of(transfer.errors.begin(), transfer.errors.end(),
                  [](const NeededError& each) { return each.measurements == 0; });
  if (estimated || !transfer.generation.empty()) return;
  const std::vector<std::string> chips = chip_names();
  for (const auto& [key, chip] : {std::pair("from", transfer.from), std::pair("to", transfer.to)}) {
    if (std::find(chips.begin(), chips.end(), chip) != chips.end()) continue;
    node.child(key).expected("the name of a shipped chip",
                             ", or its generation beside it" + did_you_mean(chip, chips));
  }
}

void check_transfers(const JsonNode& node, const void* object) {
  const auto& all = static_cast<const TransferErrors*>(object)->transfers;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (all[j].from != all[i].from || all[j].to != all[i].to) continue;
      const JsonNode transfers = node.child("transfers");
      transfers.child(i).error(
          fmt::format("{} to {} is told of twice, and would count twice; {} is the first: put "
                      "their errors together",
                      all[i].from, all[i].to, transfers.child(j).pointer()));
      break;
    }
  }
}

}  // namespace

static constexpr const char* kFormat =
    "All together where absent, as between two chips they always count.";

static const KeyTable& keys_of(const NeededError* /*of*/) {
  using E = NeededError;
  static const KeyTable table = key_table<E>(
      "error", "What curves of a family needed.",
      {
          key<&E::family>("family", "", family_names()),
          key<&E::format>("format", kFormat, format_names()).optional(),
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
          key<&L::format>("format", kFormat, format_names()).optional(),
          key<&L::why>("why", "What it tells of."),
      });
  return table;
}

static const KeyTable& keys_of(const MeasuredTransfer* /*of*/) {
  using T = MeasuredTransfer;
  static const KeyTable table =
      key_table<T>(
          "transfer",
          "One chip's curves beside another's measurements; from a chip to itself, curves of the "
          "other kernels beside each kernel's measurements.",
          {
              key<&T::from>(
                  "from",
                  "The chip that the curves were fitted on; of estimates alone, a word for "
                  "any."),
              key<&T::to>("to",
                          "The chip that was measured; of estimates alone, a word for any other."),
              key<&T::generation>(
                  "generation",
                  "Of both chips, where one is not shipped. Of shipped ones their own "
                  "files tell it.")
                  .optional(),
              key<&T::source>("source", "Of the measurements, or of the errors themselves."),
              key<&T::errors>("errors", ""),
              key<&T::left_out>(
                  "left_out",
                  "Counted between chips of this generation alone; of other kernels, not at all.")
                  .optional(),
          })
          .relation(check_transfer);
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
          .file("measured errors of transfers")
          .relation(check_transfers);
  return table;
}

namespace {

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
  return std::max(least, std::round(100.0 * std::sqrt(mean)) / 100.0);
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
  auto errors = read_document<TransferErrors>(JsonDocument::read(path));
  const std::vector<std::string> chips = chip_names();
  for (MeasuredTransfer& transfer : errors.transfers) {
    if (std::find(chips.begin(), chips.end(), transfer.from) == chips.end()) continue;
    transfer.generation = load_chip(transfer.from).generation;
  }
  return errors;
}

std::filesystem::path transfer_errors_path() {
  return data_root() / "hwmodels/data/kernels/transfer_errors.json";
}

const TransferErrors& transfer_errors() {
  static const ReadOnce kShipped([] { return load_transfer_errors(transfer_errors_path()); });
  return *kShipped;
}

namespace {

// A line for each family, so that a difference shows which one moved.
std::string transfer_text(const OrderedJson& transfer) {
  std::string out = "    {";
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
  return out + "\n    }";
}

std::string file_text(const OrderedJson& file) {
  std::string out = "{";
  const char* comma = "\n";
  for (const auto& [key, value] : file.items()) {
    out += fmt::format("{}  \"{}\": ", comma, key);
    comma = ",\n";
    if (key != "transfers") {
      out += value.dump();
      continue;
    }
    const char* line = "[\n";
    for (const OrderedJson& transfer : value) {
      out += line + transfer_text(transfer);
      line = ",\n";
    }
    out += value.empty() ? "[]" : "\n  ]";
  }
  return out + "\n}\n";
}

}  // namespace

std::string with_transfer(const std::filesystem::path& path, const MeasuredTransfer& measured) {
  const TransferErrors known = load_transfer_errors(path);
  // What else the file says, comments among it, stays as it is.
  OrderedJson file = OrderedJson::parse(json_text_of(path));
  const auto same = std::find_if(
      known.transfers.begin(), known.transfers.end(),
      [&](const auto& each) { return each.from == measured.from && each.to == measured.to; });
  if (same == known.transfers.end()) {
    write_keys(measured, file["transfers"].emplace_back());
    return file_text(file);
  }
  const auto place = static_cast<std::size_t>(same - known.transfers.begin());
  OrderedJson& errors = file["transfers"][place]["errors"];
  for (const NeededError& fresh : measured.errors) {
    const auto old = of(same->errors, fresh.family, fresh.format);
    OrderedJson& line = old == same->errors.end()
                            ? errors.emplace_back()
                            : errors[static_cast<std::size_t>(old - same->errors.begin())];
    line = OrderedJson();
    write_keys(fresh, line);
  }
  return file_text(file);
}

}  // namespace ridge::hw::calibrated
