#pragma once

#include "bench/family.hpp"
#include "bench/options.hpp"

#include <string>
#include <vector>

namespace ridge::kernels::bench {

/// One thing that a worker does: a comparison with a reference, or a measurement.
struct Item {
  enum class Kind { kCase, kPoint };
  Kind kind = Kind::kPoint;
  Case test;    ///< If a case
  Point point;  ///< If a point
  /// Unique within its family and kind; stable across runs and versions.
  std::string key;
  /// Family, kernel and instance: a kernel that fails a case is not measured on points of the same
  /// gate.
  std::string gate;
};

Item item_of(const Family& family, Case test);
Item item_of(const Family& family, Point point);

/// Work for one process: items of one family.
struct Task {
  const Family* family = nullptr;
  std::string purpose;  ///< For the log: "smoke", "ceilings", "checks", "targets", "grid".
  std::vector<Item> items;
};

/// A run, in the order in which a run that is cut short loses least: the simplest case of every
/// compiled kernel; the machine's ceilings; of each family the remaining cases, then its targets;
/// the rest of the grids. With Action::kCheck, only cases. Host only; throws UsageError for a
/// family that there is not.
std::vector<Task> plan_run(const std::vector<Family>& families, const Options& options,
                           const DeviceFacts& device);

/// The families that the options choose, in order. Throws UsageError for one that there is not.
std::vector<const Family*> chosen_families(const std::vector<Family>& families,
                                           const Options& options);

/// Points of a family's grid that the device can run and the options choose.
std::vector<Item> point_items(const Family& family, const Options& options,
                              const DeviceFacts& device);
/// Cases likewise.
std::vector<Item> case_items(const Family& family, Extent extent, const Options& options,
                             const DeviceFacts& device);

}  // namespace ridge::kernels::bench
