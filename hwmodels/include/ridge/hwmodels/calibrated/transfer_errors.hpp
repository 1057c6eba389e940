// What a transfer to another chip adds to the errors of curves, and what it adds that another
// kernel answers than runs: measured, kept as data (hwmodels/data/kernels/transfer_errors.json),
// and measured anew by `ridge reproduce --kernels ... --errors FILE`.
#pragma once

#include "ridge/base/keys.hpp"
#include "ridge/hwmodels/calibrated/family.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

// Relative standard error that curves of a family need beside their own, for nine of ten of so many
// measurements to lie within 90 % intervals.
struct NeededError {
  Family family = Family::gemm;
  Format format = Format::any;  // of all formats
  double error = 0;
  std::int64_t measurements = 0;
};

struct LeftOut {
  Family family = Family::gemm;
  Format format = Format::any;
  std::string why;
};

// Of one chip's curves beside another's measurements, without what the change of balance adds, all
// formats together. From a chip to itself: beside measurements of kernels whose curves were put
// aside, so that others answer.
struct MeasuredTransfer {
  std::string from;
  std::string to;
  std::string source;
  std::vector<NeededError> errors;
  std::vector<LeftOut> left_out;  // counted between chips of this generation alone
  // Of the chips: by the file of the first where it is shipped, else as stated, else empty.
  std::string generation{};
};

struct TransferErrors {
  // For each e-fold of change of balance.
  double per_fold = 0;
  std::string per_fold_source;
  // No error is stated to be less.
  double least = 0;
  std::string least_source;
  std::vector<MeasuredTransfer> transfers;

  // Between chips of one balance: the root of the mean square of what transfers between two chips
  // needed, to a hundredth; of those of the generation, left out elsewhere or not, if that is more.
  // Throws UserError where none is of the family.
  [[nodiscard]] double between_alike(Family family, std::string_view generation) const;
  // Where another kernel of the family and format answers than runs: the same of kernels whose
  // curves were put aside, in this format or, where none was, in any; 0 where there were none.
  [[nodiscard]] double of_another_kernel(Family family, Format format) const;
};

// Throws UserError, also for what is told twice or of chips that nobody knows.
[[nodiscard]] TransferErrors load_transfer_errors(const std::filesystem::path& path);
[[nodiscard]] std::filesystem::path transfer_errors_path();
// The shipped ones, read once.
[[nodiscard]] const TransferErrors& transfer_errors();
[[nodiscard]] const KeyTable& keys_of(const TransferErrors*);

// The text of a file of them with what this transfer needed, by family and format, in place of what
// it needed before. What `measured` does not tell of, the transfer's source, what is left out of it
// and comments stay as they were. Throws UserError as load_transfer_errors() does.
[[nodiscard]] std::string with_transfer(const std::filesystem::path& path,
                                        const MeasuredTransfer& measured);

}  // namespace ridge::hw::calibrated
