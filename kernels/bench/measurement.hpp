#pragma once

#include "bench/family.hpp"
#include "bench/statistics.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The measurement file: what ridge-bench writes and calibration reads. Fields, units and meanings
/// are documented in docs/measurement-format.md and docs/schema/measurement.schema.json.
namespace ridge::kernels::bench {

inline constexpr int kFormatVersion = 1;

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

/// An item that came to nothing, and why.
struct Failure {
  std::string what;  ///< Its key.
  std::string why;
};

struct Header {
  std::string command;   ///< As typed.
  std::string date_utc;  ///< ISO 8601
  DeviceDescription device;
  std::string driver_version;
  std::string cuda_runtime_version;
  std::string cublaslt_version;
  std::string compiler;
  /// While the first and the last point were measured.
  std::optional<Clocks> clocks_first;
  std::optional<Clocks> clocks_last;
  int comparisons = 0;           ///< With the references, in this run.
  std::vector<Failure> wrong;    ///< Comparisons that failed.
  std::vector<Failure> missing;  ///< Points that were asked for and are not there.
};

/// One point as a JSON object on one line.
std::string point_json(std::string_view family, const Point& point, const Timing& timing);

/// The whole file. `points` are texts made by point_json.
std::string measurement_json(const Header& header, const std::vector<std::string>& points);

/// What identifies a point across runs: family, kernel and shape.
std::string point_key(std::string_view family, const Point& point);

/// Moves a file that is in the way to the first free of PATH.1, PATH.2, ..., and returns that name,
/// or "" if there was no file. What somebody measured is never written over.
std::string set_aside(const std::string& path);

/// Writes the file beside its place and moves it there, so that a reader never finds half of it.
/// Throws std::runtime_error.
void write_whole(const std::string& path, const std::string& text);

/// The points already measured by an interrupted run, kept beside the output as OUTPUT.partial: one
/// line per point, its key, a tab, its timing; the first line names device, build and format.
class Journal {
 public:
  /// Reads what an earlier run left, if its first line equals `identity`. Otherwise starts afresh
  /// and sets the other run's file aside. A last line that was cut off is dropped.
  Journal(std::string path, const std::string& identity);

  /// The timing of a measured point, or null.
  const Timing* find(const std::string& key) const;
  void add(const std::string& key, const Timing& timing);
  std::size_t size() const { return entries_.size(); }
  /// Where another run's journal went, or "".
  const std::string& moved_to() const { return moved_to_; }
  /// Deletes the file: the output is complete.
  void remove();

 private:
  std::string path_;
  std::string moved_to_;
  std::map<std::string, Timing> entries_;
};

/// A timing as tab-separated text, and back; nothing if the text is not one.
std::string timing_text(const Timing& timing);
std::optional<Timing> timing_from(std::string_view text);

}  // namespace ridge::kernels::bench
