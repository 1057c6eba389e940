// How long a chip takes for an operator, what limits it, and how sure we are.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/operator.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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
  // Doublings by which the shape leaves what its curve was fitted on, summed over its quantities; 0
  // within it, and where there is no curve.
  double octaves_outside = 0.0;
};

// A part of an operator's time; see KernelModel::explain().
struct TimePart {
  std::string_view what;
  Seconds time;
};
inline constexpr std::string_view kPaddingPart = "query rows that pad the kernel's tile";

// What an operator's time rests on.
enum class Basis : std::uint8_t {
  theory,       // the data sheet alone
  assumed,      // the roofline at an efficiency that someone stated
  measured,     // a curve of its kind of kernel, fitted on this chip
  transferred,  // such a curve, carried over from another chip or kernel
  stand_in,     // the nearest curve of its kind: another head size or number format
  no_curve,     // nothing was measured of its kind: the roofline at a stated efficiency
  nothing,      // it asks for no time
};
[[nodiscard]] std::string_view name_of(Basis basis);

// How many times as fast, as a chip might be built: the matrix units with the power that they then
// need.
struct Faster {
  double memory = 1.0;
  double matrix = 1.0;
  double launch = 1.0;    // the overhead of each kernel
  double scale_up = 1.0;  // links within a node
  double network = 1.0;   // of the chip's network card
};
[[nodiscard]] ChipSpec faster(ChipSpec chip, const Faster& what);

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

  [[nodiscard]] virtual Basis basis(const models::Operator& /*op*/) const { return Basis::theory; }
  // Of shapes that the kernel's fit had not seen, the median of |predicted / measured - 1|; nothing
  // where there is no such kernel.
  [[nodiscard]] virtual std::optional<double> held_out_error(const models::Operator& /*op*/) const {
    return std::nullopt;
  }
  // The same kernels on a chip that has more of something. Nothing where that cannot be told.
  [[nodiscard]] virtual std::unique_ptr<KernelModel> on_faster(const Faster& /*what*/) const {
    return nullptr;
  }

  [[nodiscard]] virtual const ChipSpec& chip() const = 0;
  // Whether it rests on measurements, so that a draw may vary it.
  [[nodiscard]] virtual bool calibrated() const { return false; }
  // "theory" or "calibrated (held-out error 4.2 %)": what stands beside every figure.
  [[nodiscard]] virtual std::string provenance() const = 0;
};

// The pure roofline: max(flop / rate, bytes / bandwidth), efficiency 1, no overhead, as in section
// 4 of the Step-3 report. Needs the chip's memory bandwidth and a matrix rate; throws UserError
// naming what is unknown.
[[nodiscard]] std::unique_ptr<KernelModel> theoretical_model(ChipSpec chip);

// The same kernels, each operator taking a share of its time.
[[nodiscard]] std::shared_ptr<const KernelModel> scaled_model(
    std::shared_ptr<const KernelModel> kernels,
    std::function<double(const models::Operator&)> share);

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
