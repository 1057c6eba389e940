// What decoding a token takes and costs: models x contexts x chips, and the best pairing of an
// attention chip with an FFN chip (attention-FFN disaggregation).
#pragma once

#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/theory/token_cost.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/view/figure.hpp"
#include "ridge/view/output_format.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::view {
class AnswerDescription;
}

namespace ridge::answer {

// Which price each chip has: its own first one, that of a named list, or one given for it.
struct Prices {
  std::string list;                            // empty for each chip's default
  std::map<std::string, UsdPerSecond> chosen;  // by chip, in place of any list

  // Of this chip; nothing where it has none.
  [[nodiscard]] std::optional<hw::Price> of(const hw::ChipSpec& chip) const;
};

// "h800=1.5,mi300x=1.99" (USD per hour of a chip), the name of a list, or both. Throws UserError,
// naming `option`.
[[nodiscard]] Prices parse_prices(std::string_view text, std::string_view option);

struct CostQuestion {
  std::vector<models::ModelSpec> models;
  std::vector<hw::ChipSpec> chips;
  std::vector<double> contexts;  // tokens
  Prices prices;
  hw::theory::CostAssumptions assumptions;
};

// One model on one chip at one context.
struct ChipFigures {
  hw::theory::TokenDemand demand;
  std::optional<FlopPerByte> ridge_point;     // at the attention's precision
  std::optional<hw::theory::TokenTime> time;  // empty where the chip cannot be timed
  std::optional<hw::theory::TokenCost> cost;  // empty where it cannot be priced
};
// The cheapest pairing of chips; nothing is known where none was found.
struct PairingFigures {
  std::string attention_chip;
  std::string ffn_chip;
  hw::theory::BestPairing best;
};

// Every figure of a token's cost, once: `ridge cost`, `ridge show MODEL`, the columns of sweeps and
// the quantities of reproductions are these.
[[nodiscard]] std::span<const view::Figure<models::ModelSpec>> model_figures();
[[nodiscard]] std::span<const view::Figure<ChipFigures>> chip_figures();
[[nodiscard]] std::span<const view::Figure<PairingFigures>> pairing_figures();

struct CostRow {
  std::string model;
  std::string chip;
  double context = 0;
  ChipFigures figures;
  std::string why_unpriced;
};

struct PairingRow {
  std::string model;
  double context = 0;
  PairingFigures figures;
};

struct CostReport {
  std::vector<CostRow> rows;  // model-major, then context, then chip, in the question's order
  std::vector<PairingRow> pairings;  // one per model and context, if any chip can be priced
  std::vector<std::string> prices;   // "h800: 2 USD/h (paper-2025-07: arXiv ...)", one per chip
  std::vector<std::string> notes;    // substitutions and gaps, in words
};

// Throws UserError where no chip has the price list, or a price is of a chip not asked about.
[[nodiscard]] CostReport answer(const CostQuestion& question);

[[nodiscard]] std::string render(const CostReport& report, view::OutputFormat format);
[[nodiscard]] const view::AnswerDescription& cost_answer();

}  // namespace ridge::answer
