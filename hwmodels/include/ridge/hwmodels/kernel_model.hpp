// How long a chip takes for an operator, what limits it, and how sure we are.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/operator.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

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

class KernelModel {
 public:
  virtual ~KernelModel() = default;

  // Never allocates; safe to call from many threads.
  [[nodiscard]] virtual Timing time(const models::Operator& op) const = 0;

  [[nodiscard]] virtual const ChipSpec& chip() const = 0;
  // "theory" or "calibrated (held-out error 4.2 %)": what stands beside every figure.
  [[nodiscard]] virtual std::string provenance() const = 0;
};

// The pure roofline: max(flop / rate, bytes / bandwidth), efficiency 1, no overhead, as in section
// 4 of the Step-3 report. Needs the chip's memory bandwidth and a matrix rate; throws UserError
// naming what is unknown.
[[nodiscard]] std::unique_ptr<KernelModel> theoretical_model(ChipSpec chip);

}  // namespace ridge::hw
