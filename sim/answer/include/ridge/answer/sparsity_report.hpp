// How sparse may a mixture of experts be before its FFN servers starve? Theory:
// ridge/hwmodels/theory/sparsity.hpp.
#pragma once

#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/theory/sparsity.hpp"
#include "ridge/view/figure.hpp"
#include "ridge/view/output_format.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::answer {

struct SparsityQuestion {
  hw::theory::FfnTraffic traffic;
  std::vector<hw::ChipSpec> chips;
  hw::theory::SparsityAssumptions assumptions;
};

struct SparsityRow {
  std::string chip;
  std::string unknown;  // why there is no answer; empty if there is one
  hw::theory::SparsityBound bound;
};

struct SparsityReport {
  hw::theory::FfnTraffic traffic;
  Seconds stage_budget;
  std::vector<SparsityRow> rows;
  std::vector<std::string> notes;
};

// The figures of a bound, once.
[[nodiscard]] std::span<const view::Figure<hw::theory::SparsityBound>> sparsity_figures();

// Of no model in particular: FP8 to the FFN and BF16 back.
[[nodiscard]] hw::theory::FfnTraffic plain_traffic(std::int64_t hidden, std::int64_t layers);

[[nodiscard]] SparsityReport answer(const SparsityQuestion& question);
[[nodiscard]] std::string render(const SparsityReport& report, view::OutputFormat format);
[[nodiscard]] const view::AnswerDescription& sparsity_answer();

}  // namespace ridge::answer
