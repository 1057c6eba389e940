#pragma once

#include "bench/item.hpp"
#include "bench/measurement.hpp"
#include "bench/platform.hpp"

#include <optional>
#include <string>
#include <vector>

/// The process that touches the device, and the lines it and its parent exchange. A line is
/// tab-separated words; a worker's first word says what it is about.
namespace ridge::kernels::bench {

/// What the device is, or why there is none.
struct Machine {
  std::optional<std::string> obstacle;
  DeviceFacts facts;
  Header header;
};

std::string machine_text(const Machine& machine);
/// Reads machine_text's lines. Throws std::runtime_error if they are not that.
Machine machine_from(const std::vector<std::string>& lines);

/// The work order: facts (so that grids do not depend on what is free by now), extent, family, and
/// the items by kind and key.
std::string order_text(const Family& family, Extent extent, const DeviceFacts& facts,
                       const std::vector<const Item*>& items);

/// What a worker says of an item.
struct Report {
  enum class Kind {
    kBegin,     ///< It is at work on the item.
    kChecked,   ///< The comparison was made.
    kMeasured,  ///< The point was measured.
    kFailed,    ///< It threw.
    kBroken,    ///< It threw, and the device is of no use to this process any more, which ends.
  };
  Kind kind = Kind::kBegin;
  std::size_t item = 0;  ///< Its place in the order.
  CheckReport check;
  Timing timing;
  std::string message;
};

std::string report_text(const Report& report);
/// Throws std::runtime_error for a line that is not a report.
Report report_from(const std::string& line);

/// The worker's own main functions.
int describe_machine(const Platform& platform);
int work(const Platform& platform);

}  // namespace ridge::kernels::bench
