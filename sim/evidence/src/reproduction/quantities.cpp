#include "quantities.hpp"

#include "ridge/answer/cost_report.hpp"
#include "ridge/answer/fit_report.hpp"
#include "ridge/answer/sparsity_report.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/hwmodels/theory/sparsity.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::evidence {

const models::ModelSpec& Library::model(const std::string& name_or_path) {
  const auto found = models_.find(name_or_path);
  if (found != models_.end()) return found->second;
  return models_.emplace(name_or_path, models::load_model(name_or_path)).first->second;
}

const hw::ChipSpec& Library::chip(const std::string& name_or_path) {
  const auto found = chips_.find(name_or_path);
  if (found != chips_.end()) return found->second;
  return chips_.emplace(name_or_path, hw::load_chip(name_or_path)).first->second;
}

namespace {

// A printed unit and the dimension it measures; 1 of it is `scale` of the dimension's base unit.
struct PrintedUnit {
  std::string_view name;
  std::string_view dimension;
  double scale;
};
constexpr std::array kUnits = {
    PrintedUnit{"", "number", 1.0},           PrintedUnit{"%", "number", 0.01},
    PrintedUnit{"billion", "number", 1e9},    PrintedUnit{"tokens", "number", 1.0},
    PrintedUnit{"K tokens", "number", 1e3},   PrintedUnit{"cards", "number", 1.0},
    PrintedUnit{"B", "bytes", 1.0},           PrintedUnit{"MB", "bytes", 1e6},
    PrintedUnit{"GB", "bytes", 1e9},          PrintedUnit{"FLOP", "flop", 1.0},
    PrintedUnit{"GFLOP", "flop", 1e9},        PrintedUnit{"TFLOP/s", "flop rate", 1e12},
    PrintedUnit{"TB/s", "byte rate", 1e12},   PrintedUnit{"FLOP/B", "intensity", 1.0},
    PrintedUnit{"ms", "time", 1e-3},          PrintedUnit{"us", "time", 1e-6},
    PrintedUnit{"USD/h", "price", 1 / 3600.}, PrintedUnit{"USD/FLOP", "flop price", 1.0},
    PrintedUnit{"USD/B", "byte price", 1.0},  PrintedUnit{"USD/Mtok", "token price", 1e-6},
};

const PrintedUnit* find_unit(std::string_view name) {
  const auto found = std::find_if(kUnits.begin(), kUnits.end(),
                                  [&](const PrintedUnit& u) { return u.name == name; });
  return found == kUnits.end() ? nullptr : &*found;
}

// Everything a quantity may look at. A quantity is asked only with what it needs.
struct Inputs {
  const CellQuestion& question;
  const ReproductionAssumptions& assumptions;
  Library& library;

  [[nodiscard]] const models::ModelSpec& model() const { return library.model(*question.model); }
  [[nodiscard]] const hw::ChipSpec& chip() const { return library.chip(*question.chip); }
  [[nodiscard]] double context() const { return *question.context; }
  [[nodiscard]] Seconds tpot() const { return *question.tpot; }
  [[nodiscard]] Seconds stage() const {
    return question.stage_budget.value_or(assumptions.fit.stage_budget);
  }

  [[nodiscard]] hw::theory::TokenDemand demand() const {
    return hw::theory::TokenTimeModel(assumptions.cost).demand(model(), context());
  }
  // A figure of the model and, where one is asked about, the chip.
  [[nodiscard]] double figure(std::string_view name) const {
    answer::ChipFigures row{.demand = demand(), .ridge_point = {}, .time = {}, .cost = {}};
    if (question.chip) row.cost = cost_of(model(), chip());
    return view::figure_named(answer::chip_figures(), name).value(row);
  }
  [[nodiscard]] double model_figure(std::string_view name) const {
    return view::figure_named(answer::model_figures(), name).value(model());
  }
  [[nodiscard]] hw::theory::TokenCost cost_of(const models::ModelSpec& of,
                                              const hw::ChipSpec& on) const {
    const UsdPerSecond price = price_of(on);
    hw::theory::TokenTimeModel times(assumptions.cost);
    return hw::theory::cost_of(times.time(of, hw::theory::RooflineChip(on), context()), price);
  }
  [[nodiscard]] UsdPerToken afd_cost_of(const models::ModelSpec& of) const {
    hw::theory::BestPairing best;
    for (std::size_t i = 0; i < assumptions.afd_chips.size(); ++i) {
      const hw::ChipSpec& on = library.chip(assumptions.afd_chips[i]);
      if (on.price() != nullptr) best.offer(i, cost_of(of, on));
    }
    if (!best.found()) throw UserError("/assumptions/afd_chips: none of them has a price");
    return best.total();
  }
  // Of a chip that can be timed, too.
  [[nodiscard]] UsdPerSecond price_of(const hw::ChipSpec& on) const {
    const hw::Price* price = on.price();
    if (const auto missing = hw::theory::missing_for_cost(on, price); !missing.empty()) {
      throw UserError(fmt::format("{}: no cost: {}", on.name, missing));
    }
    return price->rate;
  }
  [[nodiscard]] UsdPerFlop usd_per_flop(models::Precision compute) const {
    return price_of(chip()) / *chip().rate_for(compute);
  }
  [[nodiscard]] hw::theory::FfnTraffic traffic() const {
    return hw::theory::ffn_traffic(model(), assumptions.fit.messages);
  }
  [[nodiscard]] hw::theory::SparsityBound sparsity() const {
    const hw::theory::SparsityAssumptions asked{
        .stage_budget = stage(), .nic_bandwidth = question.nic_bandwidth, .nics_per_server = {}};
    refuse(hw::theory::missing_for_sparsity(traffic(), chip(), asked));
    return hw::theory::sparsity_bound(traffic(), chip(), asked);
  }
  [[nodiscard]] double sparsity_figure(std::string_view name) const {
    return view::figure_named(answer::sparsity_figures(), name).value(sparsity());
  }
  [[nodiscard]] double attention_figure(std::string_view name) const {
    return view::figure_named(answer::attention_fit_figures(), name).value(attention_fit());
  }
  [[nodiscard]] double ffn_figure(std::string_view name) const {
    return view::figure_named(answer::ffn_fit_figures(), name).value(ffn_fit());
  }
  [[nodiscard]] hw::theory::AttentionFit attention_fit() const {
    refuse(hw::theory::missing_for_fit(chip()));
    return hw::theory::fit_attention(model(), chip(), fit_assumptions());
  }
  [[nodiscard]] hw::theory::FfnFit ffn_fit() const {
    refuse(hw::theory::missing_for_fit(chip()));
    return hw::theory::fit_ffn(model(), chip(), fit_assumptions());
  }

 private:
  void refuse(const std::string& missing) const {
    if (!missing.empty()) throw UserError(fmt::format("{}: {}", chip().name, missing));
  }
  [[nodiscard]] hw::theory::FitAssumptions fit_assumptions() const {
    hw::theory::FitAssumptions asked = assumptions.fit;
    asked.stage_budget = stage();
    // Reports fill memories to the last byte.
    asked.memory_utilization = 1.0;
    asked.memory_reserve = {};
    if (question.context) asked.context = *question.context;
    return asked;
  }
};

template <typename T>
double known(const hw::Fact<T>& fact, const hw::ChipSpec& chip, std::string_view what) {
  if (!fact.value) throw UserError(fmt::format("{}: {} unknown", chip.name, what));
  return fact.value->value();
}

double matrix_rate(const Inputs& in, models::Precision precision) {
  return known(in.chip().matrix_rate[static_cast<std::size_t>(precision)], in.chip(),
               fmt::format("{} rate", models::name_of(precision)));
}

// Forward and backward pass take three times the forward FLOP (section 4.3 of the Step-3 report),
// all at full use of the matrix units.
double training_cost(const Inputs& in) {
  constexpr double kForwardAndBackward = 3.0;
  const hw::theory::TokenDemand d = in.demand();
  const Flop flop = d.attention + d.attention_linear + d.ffn;
  return kForwardAndBackward * (flop * in.usd_per_flop(in.model().precisions.compute)).value();
}

// 1 for the dearest of the compared models, on the chip or, without one, the best pairing.
double cost_rank(const Inputs& in) {
  const auto total = [&](const models::ModelSpec& model) {
    return in.question.chip ? in.cost_of(model, in.chip()).total() : in.afd_cost_of(model);
  };
  const UsdPerToken own = total(in.model());
  return 1.0 + static_cast<double>(std::count_if(
                   in.assumptions.compared_models.begin(), in.assumptions.compared_models.end(),
                   [&](const auto& name) { return total(in.library.model(name)) > own; }));
}

double embedding_parameters(const models::ModelSpec& model) {
  return static_cast<double>(model.vocabulary) * static_cast<double>(model.hidden);
}

double attention_layers(const Inputs& in) {
  const auto& blocks = in.model().attentions;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i].name == *in.question.attention) {
      return static_cast<double>(in.model().layers_with_attention(i));
    }
  }
  throw UserError(
      fmt::format("{} has no attention block \"{}\"", in.model().name, *in.question.attention));
}

// The time a transfer of hidden x 2 bytes per token would have, so that the bound reads
// sparsity >= hidden x rate x layers / (network x bandwidth x this).
double network_budget(const Inputs& in) {
  const hw::theory::FfnTraffic traffic = in.traffic();
  const Bytes two_per_value{2.0 * static_cast<double>(traffic.hidden)};
  return (in.stage() * (two_per_value / traffic.per_token())).value();
}

double ratio(const Inputs& in) {
  const CellQuestion outer = [&] {
    CellQuestion rest = in.question;
    rest.quantity.reset();
    rest.unit.reset();
    rest.of.reset();
    rest.over.reset();
    return rest;
  }();
  return evaluate(outer.refined_by(*in.question.of), in.assumptions, in.library) /
         evaluate(outer.refined_by(*in.question.over), in.assumptions, in.library);
}

enum Need : unsigned {
  kModel = 1U << 0U,
  kChip = 1U << 1U,
  kContext = 1U << 2U,
  kAttention = 1U << 3U,
  kPipeline = 1U << 4U,
  kParts = 1U << 5U,
};

struct QuantityEntry {
  std::string_view name;
  std::string_view dimension;
  unsigned needs;
  double (*value)(const Inputs&);
};

using In = const Inputs&;
const std::array kQuantities = {
    // What a token asks for.
    QuantityEntry{"kv_bytes", "bytes", kModel | kContext,
                  [](In in) { return in.figure("kv_bytes"); }},
    QuantityEntry{"attention_flop", "flop", kModel | kContext,
                  [](In in) { return in.figure("attention_flop"); }},
    QuantityEntry{"linear_flop", "flop", kModel | kContext,
                  [](In in) { return in.figure("linear_flop"); }},
    QuantityEntry{"ffn_flop", "flop", kModel | kContext,
                  [](In in) { return in.figure("ffn_flop"); }},
    QuantityEntry{"arithmetic_intensity", "intensity", kModel | kContext,
                  [](In in) { return in.figure("arithmetic_intensity"); }},
    // What it costs.
    QuantityEntry{"attention_cost", "token price", kModel | kChip | kContext,
                  [](In in) { return in.figure("attention_usd_per_Mtok"); }},
    QuantityEntry{"ffn_cost", "token price", kModel | kChip | kContext,
                  [](In in) { return in.figure("ffn_usd_per_Mtok"); }},
    QuantityEntry{"total_cost", "token price", kModel | kChip | kContext,
                  [](In in) { return in.figure("total_usd_per_Mtok"); }},
    QuantityEntry{"afd_cost", "token price", kModel | kContext,
                  [](In in) { return in.afd_cost_of(in.model()).value(); }},
    QuantityEntry{"training_cost", "token price", kModel | kChip | kContext, training_cost},
    QuantityEntry{"cost_rank", "number", kModel | kContext, cost_rank},
    // The architecture.
    QuantityEntry{"total_parameters", "number", kModel,
                  [](In in) { return in.model_figure("total_parameters"); }},
    QuantityEntry{"active_parameters", "number", kModel,
                  [](In in) { return in.model_figure("active_parameters"); }},
    // Publishers differ in whether the LM head and the embedding table are active.
    QuantityEntry{
        "active_parameters_without_lm_head", "number", kModel,
        [](In in) { return in.model().active_parameters() - embedding_parameters(in.model()); }},
    QuantityEntry{
        "active_parameters_with_embedding", "number", kModel,
        [](In in) { return in.model().active_parameters() + embedding_parameters(in.model()); }},
    QuantityEntry{"effective_rank", "number", kModel,
                  [](In in) { return in.model_figure("effective_rank"); }},
    QuantityEntry{"hidden", "number", kModel,
                  [](In in) { return static_cast<double>(in.model().hidden); }},
    QuantityEntry{"layers", "number", kModel, [](In in) { return in.model_figure("layers"); }},
    QuantityEntry{"attention_layers", "number", kModel | kAttention, attention_layers},
    // The chip.
    QuantityEntry{"price", "price", kChip,
                  [](In in) {
                    const hw::Price* price = in.chip().price();
                    if (price == nullptr) {
                      throw UserError(fmt::format("{}: price unknown", in.chip().name));
                    }
                    return price->rate.value();
                  }},
    QuantityEntry{"bf16_rate", "flop rate", kChip,
                  [](In in) { return matrix_rate(in, models::Precision::bf16); }},
    QuantityEntry{"fp8_rate", "flop rate", kChip,
                  [](In in) { return matrix_rate(in, models::Precision::fp8); }},
    QuantityEntry{
        "memory_bandwidth", "byte rate", kChip,
        [](In in) { return known(in.chip().memory_bandwidth, in.chip(), "memory bandwidth"); }},
    QuantityEntry{"ridge_point", "intensity", kChip,
                  [](In in) {
                    const auto ridge = in.chip().ridge_point(models::Precision::fp8);
                    if (!ridge) {
                      throw UserError(fmt::format("{}: ridge point unknown", in.chip().name));
                    }
                    return ridge->value();
                  }},
    QuantityEntry{"usd_per_flop", "flop price", kChip,
                  [](In in) { return in.usd_per_flop(models::Precision::fp8).value(); }},
    QuantityEntry{
        "usd_per_byte", "byte price", kChip,
        [](In in) { return (in.price_of(in.chip()) / *in.chip().memory_bandwidth.value).value(); }},
    // The pipeline and its network.
    QuantityEntry{
        "stage_budget", "time", kPipeline,
        [](In in) { return (in.tpot() / static_cast<double>(*in.question.stages)).value(); }},
    QuantityEntry{
        "layer_budget", "time", kModel,
        [](In in) { return (in.stage() / static_cast<double>(in.model().layers())).value(); }},
    QuantityEntry{"network_budget", "time", kModel, network_budget},
    QuantityEntry{"min_moe_sparsity", "number", kModel | kChip,
                  [](In in) { return in.sparsity_figure("min_sparsity"); }},
    QuantityEntry{"moe_sparsity", "number", kModel, [](In in) { return in.traffic().sparsity(); }},
    QuantityEntry{"experts_for_min_sparsity", "number", kModel | kChip,
                  [](In in) { return in.sparsity_figure("experts_needed"); }},
    // What a card can hold of a stage.
    QuantityEntry{"layer_bytes_in_budget", "bytes", kModel | kChip,
                  [](In in) { return in.attention_figure("bytes_per_layer"); }},
    QuantityEntry{"layer_attention_weights", "bytes", kModel | kChip,
                  [](In in) { return in.attention_figure("weight_bytes_per_layer"); }},
    QuantityEntry{"layer_cache_budget", "bytes", kModel | kChip,
                  [](In in) { return in.attention_figure("cache_bytes_per_layer"); }},
    QuantityEntry{"layer_cache_per_token", "bytes", kModel | kChip,
                  [](In in) { return in.attention_figure("cache_bytes_per_token_and_layer"); }},
    QuantityEntry{"cached_tokens_in_budget", "number", kModel | kChip,
                  [](In in) { return in.attention_figure("cached_tokens"); }},
    QuantityEntry{"attention_batch", "number", kModel | kChip | kContext,
                  [](In in) { return in.attention_figure("sequences_per_card"); }},
    QuantityEntry{"ffn_weights", "bytes", kModel | kChip,
                  [](In in) { return in.ffn_figure("weight_bytes"); }},
    QuantityEntry{"layer_ffn_weights_in_budget", "bytes", kModel | kChip,
                  [](In in) { return in.ffn_fit().layer_share.value(); }},
    QuantityEntry{"ffn_weights_per_card", "bytes", kModel | kChip,
                  [](In in) { return in.ffn_figure("weight_bytes_per_card"); }},
    QuantityEntry{"ffn_weights_per_server", "bytes", kModel | kChip,
                  [](In in) { return in.ffn_fit().server_share.value(); }},
    QuantityEntry{"ffn_servers", "number", kModel | kChip,
                  [](In in) { return in.ffn_figure("servers"); }},
    QuantityEntry{"ffn_cards", "number", kModel | kChip,
                  [](In in) { return in.ffn_figure("cards"); }},
    // Two of these.
    QuantityEntry{"ratio", "number", kParts, ratio},
    QuantityEntry{"saving", "number", kParts, [](In in) { return 1.0 - ratio(in); }},
};

const QuantityEntry* find_quantity(std::string_view name) {
  const auto found = std::find_if(kQuantities.begin(), kQuantities.end(),
                                  [&](const QuantityEntry& q) { return q.name == name; });
  return found == kQuantities.end() ? nullptr : &*found;
}

}  // namespace

std::vector<std::string> quantity_names() {
  std::vector<std::string> names;
  for (const auto& quantity : kQuantities) names.emplace_back(quantity.name);
  return names;
}

std::vector<std::string> printed_units() {
  std::vector<std::string> names;
  for (const auto& unit : kUnits) names.emplace_back(unit.name);
  return names;
}

std::string question_problem(const CellQuestion& question) {
  if (!question.quantity) return "missing \"quantity\" here, in the column and in the table";
  const QuantityEntry* quantity = find_quantity(*question.quantity);
  const auto needs = [&](Need need, bool given, std::string_view key) {
    return (quantity->needs & need) != 0 && !given
               ? fmt::format("quantity \"{}\" needs \"{}\"", quantity->name, key)
               : std::string();
  };
  for (const auto& problem : {needs(kModel, question.model.has_value(), "model"),
                              needs(kChip, question.chip.has_value(), "chip"),
                              needs(kContext, question.context.has_value(), "context_tokens"),
                              needs(kAttention, question.attention.has_value(), "attention"),
                              needs(kPipeline, question.tpot.has_value(), "tpot_ms"),
                              needs(kPipeline, question.stages.has_value(), "stages"),
                              needs(kParts, question.of != nullptr, "of"),
                              needs(kParts, question.over != nullptr, "over")}) {
    if (!problem.empty()) return problem;
  }
  if (question.unit) {
    const PrintedUnit* unit = find_unit(*question.unit);
    if (unit->dimension != quantity->dimension) {
      return fmt::format("quantity \"{}\" is a {}, which is not measured in \"{}\"", quantity->name,
                         quantity->dimension, unit->name);
    }
  }
  for (const auto& part : {question.of, question.over}) {
    if (!part) continue;
    CellQuestion rest = question;
    rest.quantity.reset();
    rest.unit.reset();
    rest.of.reset();
    rest.over.reset();
    if (auto problem = question_problem(rest.refined_by(*part)); !problem.empty()) {
      return problem;
    }
  }
  return {};
}

double evaluate(const CellQuestion& question, const ReproductionAssumptions& assumptions,
                Library& library) {
  const QuantityEntry* quantity = find_quantity(question.quantity.value_or(""));
  RIDGE_INVARIANT(quantity != nullptr, "a cell is worked out only after its question was checked");
  const double scale = question.unit ? find_unit(*question.unit)->scale : 1.0;
  return quantity->value(Inputs{question, assumptions, library}) / scale;
}

}  // namespace ridge::evidence
