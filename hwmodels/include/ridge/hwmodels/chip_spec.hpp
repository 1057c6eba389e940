// What an accelerator can do, and what an hour of it costs. Every number carries its source.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/models/precision.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ridge {
class KeyTable;
}

namespace ridge::hw {

using models::Precision;

// A figure from a data sheet: its value, where known, and where it was found.
template <typename T>
struct Fact {
  std::optional<T> value;
  std::string source;
  bool absent = false;       // the chip has no such thing; a value is missing otherwise if unknown
  bool unconfirmed = false;  // nobody has seen it in a source that can be trusted
};

struct Price {
  std::string name;  // "paper-2025-07"
  UsdPerSecond rate;
  std::string source;
};

struct ChipSpec {
  std::string name;   // as typed on the command line
  std::string title;  // as people write it
  std::string vendor;
  std::string generation;  // chips of one generation share calibrations by data-sheet ratios

  // Dense matrix rate by precision; empty where the chip has no such unit or nobody knows.
  std::array<Fact<FlopPerSecond>, models::kPrecisions> matrix_rate;
  Fact<BytesPerSecond> memory_bandwidth;
  Fact<Bytes> memory;
  Fact<Bytes> l2_cache;
  Fact<std::int64_t> compute_units;  // streaming multiprocessors, compute units, cores
  Fact<Watts> power;
  Fact<BytesPerSecond> scale_up_bandwidth;  // per chip and direction (NVLink, ICI, HCCS, PCIe)
  Fact<BytesPerSecond> nic_bandwidth;       // per chip and direction
  Fact<std::int64_t> chips_per_server;
  std::vector<Price> prices;  // the first is the default

  // The matrix units that do the work of `wanted`: itself where the chip has it, else BF16 (with
  // values stored as `wanted`, widened on the way), as the Step-3 report does for chips without
  // FP8. Nothing where neither rate is known.
  [[nodiscard]] std::optional<Precision> compute_for(Precision wanted) const;
  // The rate of compute_for(wanted).
  [[nodiscard]] std::optional<FlopPerSecond> rate_for(Precision wanted) const;
  // FLOP per byte at which the chip turns from memory-bound to compute-bound.
  [[nodiscard]] std::optional<FlopPerByte> ridge_point(Precision wanted) const;
  // The named price, or the default for an empty name. Null where there is none.
  [[nodiscard]] const Price* price(const std::string& wanted = {}) const;
};

// The same chip with other than all of its compute units, whose number must be known: memory and
// links are as they were.
[[nodiscard]] ChipSpec with_compute_units(ChipSpec chip, std::int64_t units);

// The keys of a chip file.
[[nodiscard]] const KeyTable& keys_of(const ChipSpec*);
void read_chip(const JsonNode& node, ChipSpec& out);

// The shipped chip of this name, or the file at this path. Throws UserError.
[[nodiscard]] ChipSpec load_chip(const std::string& name_or_path);
// Its JSON, which read_chip() accepts.
[[nodiscard]] JsonDocument chip_document(const std::string& name_or_path);
[[nodiscard]] std::vector<std::string> chip_names();

}  // namespace ridge::hw
