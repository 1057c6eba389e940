// What decoding a token costs: models x contexts x chips, and the best pairing of an attention chip
// with an FFN chip (attention-FFN disaggregation).
#pragma once

#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/theory/token_cost.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/view/output_format.hpp"

#include <optional>
#include <string>
#include <vector>

namespace ridge::answer {

struct CostQuestion {
  std::vector<models::ModelSpec> models;
  std::vector<hw::ChipSpec> chips;
  std::vector<double> contexts;  // tokens
  std::string price;             // the price list's name; empty for each chip's default
  hw::theory::CostAssumptions assumptions;
};

struct CostRow {
  std::string model;
  std::string chip;
  double context = 0;
  hw::theory::TokenDemand demand;
  std::optional<FlopPerByte> ridge_point;     // at the attention's precision
  std::optional<hw::theory::TokenCost> cost;  // empty where the chip cannot be priced
  std::string why_unpriced;
};

struct AfdRow {
  std::string model;
  double context = 0;
  std::string attention_chip;
  std::string ffn_chip;
  UsdPerToken attention;
  UsdPerToken ffn;
  [[nodiscard]] UsdPerToken total() const { return attention + ffn; }
};

struct CostReport {
  std::vector<std::string> model_titles;
  std::vector<std::string> chip_titles;
  std::vector<CostRow> rows;       // model-major, then context, then chip, in the question's order
  std::vector<AfdRow> afd;         // one per model and context, if any chip can be priced
  std::vector<std::string> notes;  // substitutions and gaps, in words
};

[[nodiscard]] CostReport answer(const CostQuestion& question);

[[nodiscard]] std::string render(const CostReport& report, view::OutputFormat format);

}  // namespace ridge::answer
