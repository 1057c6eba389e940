// A calibration: the fitted curves of one chip, read from and written to JSON.
#pragma once

#include "ridge/hwmodels/calibrated/curve.hpp"
#include "ridge/hwmodels/chip_spec.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace ridge::hw::calibrated {

struct Calibration {
  std::string name;
  std::string chip;
  Machine machine;
  std::string source;         // where the measurements come from, in words
  std::vector<Curve> curves;  // of curves for one slot, the first is used

  // The curve for an operator: the first whose family, format and head size fit; null if none.
  [[nodiscard]] const Curve* find(Family family, Format format, std::int64_t head_dim = 0) const;
};

// What the forms need of a chip. Throws UserError naming what its file does not know.
[[nodiscard]] Machine machine_of(const ChipSpec& chip);

// Puts the curves of a slot in order of preference: `preferred` kernels first, then the kernel
// measured on most shapes, then the smallest held-out error.
void order_curves(Calibration& calibration, const std::vector<std::string>& preferred = {});

// Puts the curves of these kernels before the others of their slots, the order otherwise kept.
// Throws UserError where no curve is of such a kernel, naming those that there are.
void prefer(Calibration& calibration, const std::vector<std::string>& kernels);

// The same kernels on another chip of the generation: bandwidths by the ratio of the data sheets;
// of a matrix rate, the part that the matrix units take by that ratio and the rest as it is;
// slowdown by the power limit by rate over power; overheads as they are; every error widened by
// `kTransferError`. A figure that either chip's file does not know counts as equal on both. Throws
// UserError where the generations differ.
[[nodiscard]] Calibration transferred(const Calibration& calibration, const ChipSpec& from,
                                      const ChipSpec& to);
inline constexpr double kTransferError = 0.10;

// Adds the curves of `other` (a base, or a transfer of it) for the kernels that `calibration` lacks
// in a slot, behind those that it has: what was measured together is used together. Only
// `preferred` kernels stand before them.
void complete(Calibration& calibration, const Calibration& other,
              const std::vector<std::string>& preferred = {});

// Where nothing was measured for element-wise operators: launch from the GEMM curve, bandwidth from
// the data sheet, and a large stated error.
void borrow_elementwise(Calibration& calibration);

// Another draw of every curve (see resampled(Curve)); the same seed gives the same calibration.
[[nodiscard]] Calibration resampled(const Calibration& calibration, std::uint64_t seed);

// docs/schema/calibration.schema.json.
void read_calibration(const JsonNode& node, Calibration& out);
[[nodiscard]] std::string to_json(const Calibration& calibration);

// The shipped calibration of this name, or the file at this path. Throws UserError.
[[nodiscard]] Calibration load_calibration(const std::string& name_or_path);
[[nodiscard]] std::vector<std::string> calibration_names();

}  // namespace ridge::hw::calibrated
