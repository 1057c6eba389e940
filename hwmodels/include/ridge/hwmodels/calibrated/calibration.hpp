// A calibration: the fitted curves of one chip, read from and written to JSON.
#pragma once

#include "ridge/hwmodels/calibrated/curve.hpp"
#include "ridge/hwmodels/chip_spec.hpp"

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

struct Calibration {
  std::string name;
  std::string chip;
  Machine machine;
  std::string source;  // where the measurements come from, in words
  // Of curves for one slot, the fastest at the asked shape is used (calibrated_model.hpp); the
  // first stands for the slot elsewhere.
  std::vector<Curve> curves;
  // Kernels that are used whatever others take, where they were measured; the first most.
  std::vector<std::string> preferred{};

  // The first curve whose family, format and head size fit; null if none.
  [[nodiscard]] const Curve* find(Family family, Format format, std::int64_t head_dim = 0) const;
};

// What the forms need of a chip. Throws UserError naming what its file does not know.
[[nodiscard]] Machine machine_of(const ChipSpec& chip);

// A median held-out error above which a curve is said to be poor, and stands behind any other.
inline constexpr double kPoorCurve = 0.20;

// Whether a curve answers, of those of its slot.
enum class Use : std::uint8_t {
  alone,      // there is no other to choose
  fastest,    // where it is the fastest at the asked shape
  preferred,  // always: a user said so
  passed,     // another was preferred
  based_on,   // not: something newer was measured
  elsewhere,  // not: another was measured on this chip
  poor,       // not: it errs by more than kPoorCurve, and another does not
};
[[nodiscard]] Use use_of(const Calibration& calibration, const Curve& curve);
[[nodiscard]] std::string_view words_of(Use use);
// The use of a curve in words, with what else it answers for: "used; also over chosen tokens".
[[nodiscard]] std::string use_words(const Calibration& calibration, const Curve& curve);
// Whether a curve is of a slot: its own, or that of attention over chosen tokens, which some
// kernels of MLA do too (kernel_facts.hpp).
[[nodiscard]] bool answers(const Curve& curve, Family family, Format format,
                           std::int64_t head_dim = 0);
// The curves of a slot that answer, in their order.
[[nodiscard]] std::vector<const Curve*> usable(const Calibration& calibration, Family family,
                                               Format format, std::int64_t head_dim = 0);

// Puts the curves of a slot in order: preferred kernels first, then what was measured before what
// was based on or borrowed, then curves that are not poor, then the kernel measured on most shapes,
// then the smallest held-out error.
void order_curves(Calibration& calibration);

// Prefers these kernels, the first most, before those preferred so far, and puts their curves
// first. A star stands for any letters: of all that are so named, the fastest answers. Throws
// UserError where no curve is of such a kernel, naming those that there are.
void prefer(Calibration& calibration, const std::vector<std::string>& kernels);

// The same kernels on another chip of the generation. Of a matrix rate and of a bandwidth from
// memory, the part that the data sheets set moves by their ratio and the rest stays as it is; other
// bandwidths move by the ratio; slowdown by the power limit by rate over power; overheads stay.
// What was learned of the residuals holds only for as many compute units. Every error widens by
// transfer_error(). A figure that either chip's file does not know counts as equal on both. Throws
// UserError where the generations differ.
[[nodiscard]] Calibration transferred(const Calibration& calibration, const ChipSpec& from,
                                      const ChipSpec& to);
// Its times alone, moved in the same way, their errors as they were: what a chip would do that
// nobody has built.
[[nodiscard]] Calibration moved(Calibration calibration, const ChipSpec& from, const ChipSpec& to);
// Whether a chip of the calibration's name has other figures than the calibration knows: it is a
// part that does not exist yet, to which the curves are to be transferred from `sheet`, the chip of
// that name as it ships. One that the calibration was made on itself is none, whatever the sheet
// says.
[[nodiscard]] bool on_other_silicon(const Calibration& calibration, const ChipSpec& sheet,
                                    const ChipSpec& chip);
// The same chip on other links: what goes over scale-up links and NICs follows their bandwidths.
[[nodiscard]] Calibration on_other_links(Calibration calibration, const ChipSpec& from,
                                         const ChipSpec& to);

// Relative standard error that a transfer adds to a curve of this family: what it is between chips
// of one balance (transfer_errors.hpp) and, independent of it, what the change of balance brings,
// by e-folds of FLOP per byte, in the numbers that the curve computes with, or of compute units per
// byte per second (of the links' bandwidths for what is on the wire).
[[nodiscard]] double transfer_error(Family family, Format format, const ChipSpec& from,
                                    const ChipSpec& to);
[[nodiscard]] double change_error(Family family, Format format, const ChipSpec& from,
                                  const ChipSpec& to);

// Adds the curves of `other` for the kernels that `calibration` lacks in a slot, to stand by behind
// those that it has.
void complete(Calibration& calibration, const Calibration& other);

// With the error that curves of these families have beside their own where another kernel runs than
// any that was measured (transfer_errors.hpp). Throws UserError where that has no effect.
[[nodiscard]] Calibration for_other_kernels(Calibration calibration,
                                            std::span<const Family> families);

// Where nothing was measured for element-wise operators: launch from the GEMM curve, bandwidth from
// the data sheet, and a large stated error.
void borrow_elementwise(Calibration& calibration);

// Another draw of every curve (see resampled(Curve)); the same seed gives the same calibration.
[[nodiscard]] Calibration resampled(const Calibration& calibration, std::uint64_t seed);
// With every time that was measured so many times as long.
[[nodiscard]] Calibration slowed(Calibration calibration, double factor);

// Whether a kernel is the one that is named, or one of those: a star stands for any letters.
[[nodiscard]] bool is_named(std::string_view kernel, std::string_view name);

// Of a file (docs/schema/calibration.schema.json).
[[nodiscard]] const KeyTable& keys_of(const Calibration*);
[[nodiscard]] std::string to_json(const Calibration& calibration);

// The shipped calibration of this name, or the file at this path. Throws UserError.
[[nodiscard]] Calibration load_calibration(const std::string& name_or_path);
[[nodiscard]] std::vector<std::string> calibration_names();
// Those that calibrations have curves of or facts are known of, the latter with a star for any
// letters.
[[nodiscard]] const std::vector<std::string>& known_kernels();

}  // namespace ridge::hw::calibrated
