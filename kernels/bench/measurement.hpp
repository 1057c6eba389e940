#pragma once

#include "bench/family.hpp"
#include "bench/statistics.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The measurement file: what ridge-bench writes and calibration reads. Fields, units and meanings
/// are documented in docs/measurement-format.md and docs/schema/measurement.schema.json.
namespace ridge::kernels::bench {

inline constexpr int kFormatVersion = 1;

struct Clocks {
  int sm_MHz = 0;
  int memory_MHz = 0;
};

struct DeviceDescription {
  std::string name;
  std::string uuid;
  int compute_capability_major = 0;
  int compute_capability_minor = 0;
  int sm_count = 0;
  std::uint64_t l2_bytes = 0;
  std::uint64_t memory_bytes = 0;
  int max_sm_clock_MHz = 0;
  int max_memory_clock_MHz = 0;
  int memory_bus_bits = 0;
};

struct Header {
  std::string command;   ///< As typed.
  std::string date_utc;  ///< ISO 8601
  DeviceDescription device;
  std::string driver_version;
  std::string cuda_runtime_version;
  std::string cublaslt_version;
  std::string compiler;
  std::optional<Clocks> clocks_before;
  std::optional<Clocks> clocks_after;
};

/// One point as a JSON object on one line.
std::string point_json(std::string_view family, const Point& point, const Timing& timing);

/// The whole file. `points` are texts made by point_json.
std::string measurement_json(const Header& header, const std::vector<std::string>& points);

/// What identifies a point across runs: family, kernel and shape.
std::string point_key(std::string_view family, const Point& point);

/// The points already measured by an interrupted run, kept beside the output as OUTPUT.partial: one
/// line per point, its key, a tab, its JSON; the first line names the device and format, so that a
/// run on another device, or by another version, does not pick them up.
class Journal {
 public:
  /// Reads what an earlier run left, if its first line equals `identity`; otherwise starts afresh.
  /// A last line that was cut off is dropped.
  Journal(std::string path, const std::string& identity);

  /// The JSON of a measured point, or null.
  const std::string* find(const std::string& key) const;
  void add(const std::string& key, const std::string& json);
  std::size_t size() const { return entries_.size(); }
  /// Deletes the file: the output is complete.
  void remove();

 private:
  struct Entry {
    std::string key;
    std::string json;
  };
  std::string path_;
  std::vector<Entry> entries_;
};

}  // namespace ridge::kernels::bench
