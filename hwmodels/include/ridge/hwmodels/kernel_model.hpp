// How long a chip takes for an operator, what limits it, and how sure we are.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/operator.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::hw {

// What an operator waits for.
enum class Resource : std::uint8_t { none, compute, memory, launch, link };
[[nodiscard]] std::string_view name_of(Resource resource);

struct Timing {
  Seconds time;
  Resource bound = Resource::none;
  // Relative standard error of `time`; 0 for theory, which says nothing of its distance from a
  // machine.
  double error = 0.0;
  // False where a calibrated model was asked about a shape outside what it was fitted on.
  bool within_range = true;
};

// A part of an operator's time; see KernelModel::explain().
struct TimePart {
  std::string_view what;
  Seconds time;
};
inline constexpr std::string_view kPaddingPart = "query rows that pad the kernel's tile";

class KernelModel {
 public:
  virtual ~KernelModel() = default;

  // Never allocates; safe to call from many threads.
  [[nodiscard]] virtual Timing time(const models::Operator& op) const = 0;

  // Where the time goes, largest idealization last: what padding of the kernel's tiles costs, then
  // arithmetic below the data sheet's rate, then memory below its bandwidth, then everything else
  // above the roofline; the parts add up to the time. Empty where there is no curve to ask.
  [[nodiscard]] virtual std::vector<TimePart> explain(const models::Operator& /*op*/) const {
    return {};
  }

  // The kernel that `op` is timed as, by the name it was measured under; empty where there is none.
  [[nodiscard]] virtual std::string_view kernel(const models::Operator& /*op*/) const { return {}; }
  // What a user should know of that choice: that another kernel is much faster. Empty mostly.
  [[nodiscard]] virtual std::string advice(const models::Operator& /*op*/) const { return {}; }

  [[nodiscard]] virtual const ChipSpec& chip() const = 0;
  // "theory" or "calibrated (held-out error 4.2 %)": what stands beside every figure.
  [[nodiscard]] virtual std::string provenance() const = 0;
};

// The pure roofline: max(flop / rate, bytes / bandwidth), efficiency 1, no overhead, as in section
// 4 of the Step-3 report. Needs the chip's memory bandwidth and a matrix rate; throws UserError
// naming what is unknown.
[[nodiscard]] std::unique_ptr<KernelModel> theoretical_model(ChipSpec chip);

// What someone takes a chip's kernels to reach where none was measured.
struct AssumedKernels {
  double efficiency = 1.0;  // of the roofline
  Seconds launch;           // of each kernel
  friend bool operator==(const AssumedKernels&, const AssumedKernels&) = default;
};
// The roofline at this efficiency, behind a launch: an assumption, told as one.
[[nodiscard]] std::unique_ptr<KernelModel> assumed_model(ChipSpec chip,
                                                         const AssumedKernels& assumed);

}  // namespace ridge::hw
