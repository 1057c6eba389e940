#include "simulation_evaluator.hpp"

#include "documents.hpp"
#include "ridge/answer/simulation_figures.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/input_draws.hpp"
#include "ridge/scenario/overrides.hpp"
#include "ridge/scenario/simulation_scenario.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

using nlohmann::json;

constexpr const char* kScenario = "/scenario";
constexpr const char* kRanges = "/scenario/ranges";

// Every figure that is a number, in the order of the JSON.
struct SimulationColumns {
  std::vector<view::FigureSpec> specs;
  std::vector<const answer::SimulationFigure*> figures;

  SimulationColumns() {
    for (const auto& figure : answer::simulation_figures()) {
      if (figure.label != nullptr) continue;
      specs.push_back(figure.spec);
      figures.push_back(&figure);
    }
  }
};

const SimulationColumns& simulation_columns() {
  static const SimulationColumns columns;
  return columns;
}

bool of_draws(std::size_t column) {
  return !answer::of_one_run(*simulation_columns().figures[column]);
}

// What intervals take: the scenario as it stands, to be drawn again.
struct Intervals {
  scenario::LocatedScenario located;
  scenario::InputDraws draws;
  int samples = 0;
};

// A deployment is found not to fit only while its requests are placed, so problem() runs it and
// evaluate() hands out what came of it.
class SimulationEvaluator final : public Evaluator {
 public:
  SimulationEvaluator(scenario::SimulationScenario scenario, std::optional<Intervals> intervals,
                      const EvaluatorNeeds& needs)
      : scenario_(std::move(scenario)),
        intervals_(std::move(intervals)),
        columns_(needs.columns.begin(), needs.columns.end()),
        library_(needs.library),
        stop_(needs.stop) {}

  // Nothing has a place (see prepare()); what an axis moves is seen here.
  [[nodiscard]] JsonPlace place(std::string_view pointer) override {
    moves_ranges_ |= pointer.starts_with(kRanges);
    return {};
  }

  [[nodiscard]] std::string problem() const override {
    run();
    return problem_.value_or("");
  }

  void evaluate(std::span<double> out) override {
    run();
    RIDGE_INVARIANT(report_.has_value(), "figures were asked of a deployment that cannot run");
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const double value = simulation_columns().figures[columns_[i]]->shown(*report_);
      out[i] = std::isfinite(value) ? value : view::kUnknown;
    }
  }

  [[nodiscard]] std::string provenance() const override {
    return fmt::format("simulated; kernel times: {}",
                       answer::kernel_provenance(scenario_.input.deployment));
  }

  [[nodiscard]] std::vector<std::string> notes() const override {
    std::vector<std::string> out = scenario_.warnings;
    for (const auto& pool : scenario_.input.deployment.pools) {
      if (!pool.price_per_gpu) {
        out.push_back(fmt::format("{}: no cost: price unknown", pool.kernels->chip().name));
      }
    }
    if (moves_ranges_ && !intervals_) {
      out.emplace_back(
          "an axis moves ranges, of which nothing here is drawn: that takes \"samples\" in the "
          "base and a column of an interval, such as tpot_low_ms");
    }
    const auto& pools = scenario_.input.deployment.pools;
    if (intervals_ && std::none_of(pools.begin(), pools.end(), [](const decode::Pool& pool) {
          return pool.kernels->calibrated();
        })) {
      out.emplace_back(
          "no intervals: kernel times are theory, of whose error nothing is known; a kernel_model "
          "\"calibrated:NAME\" has them");
    }
    return out;
  }

  [[nodiscard]] std::vector<Bound> bounds() const override {
    const auto& sla = answer::simulation_figure("sla_tpot_ms").spec;
    if (!scenario_.sla.tpot) return {};
    const double value = scenario_.sla.tpot->value() * sla.scale;
    const std::string label = fmt::format("SLA {:g} {}", value, sla.unit);
    std::vector<Bound> out;
    for (const char* figure : {"tpot_ms", "tpot_p95_ms"}) out.push_back({figure, value, label});
    return out;
  }

 private:
  void run() const {
    if (report_ || problem_) return;
    try {
      report_ = answer::simulate(scenario_, {.stop = stop_});
      if (intervals_ && !report_->result.partial) {
        report_->uncertainty = answer::uncertainty_of(
            intervals_->located, *library_, intervals_->draws, intervals_->samples, stop_);
      }
    } catch (const UserError& e) {
      const Mistake& first = e.mistakes().front();
      problem_ = first.file == decode::kScenario ? first.pointer + ": " + first.message : e.what();
    }
  }

  scenario::SimulationScenario scenario_;
  std::optional<Intervals> intervals_;  // none where no column asks for any
  std::vector<std::size_t> columns_;
  scenario::Library* library_;
  const std::atomic<bool>* stop_;
  bool moves_ranges_ = false;
  mutable std::optional<answer::SimulationReport> report_;
  mutable std::optional<std::string> problem_;  // why there is no report
};

// The scenario of a question is a document of its own: read here, and resolved once it is read
// well.
struct SimulatedQuestion {
  scenario::Scenario scenario;
  std::int64_t samples = 0;
  std::vector<std::string> fixed;
};

class ScenarioType final : public JsonType {
 public:
  bool read(const JsonNode& node, void* out) const override {
    return read_keys(node, *static_cast<scenario::Scenario*>(out));
  }
  void write(const void* value, OrderedJson& out) const override {
    write_keys(*static_cast<const scenario::Scenario*>(value), out);
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = {"string", "object"};
  }
  [[nodiscard]] std::string words() const override { return "a name, a path or a scenario"; }
};

const KeyTable& keys_of(const SimulatedQuestion* /*of*/) {
  static const KeyTable table =
      key_table<SimulatedQuestion>(
          "simulate", "What a deployment delivers.",
          {
              key_of_all<SimulatedQuestion>(
                  "kind", "", keys::constant("simulate", "a question of kind \"simulate\"")),
              Key<SimulatedQuestion>{
                  {.key = "scenario",
                   .doc = "A simulate scenario: a name, a path, or the scenario itself. "
                          "Axes reach into it: \"/scenario/deployment/micro_batches\".",
                   .access = {keys::member_access<&SimulatedQuestion::scenario>()},
                   .type = std::make_shared<ScenarioType>()}},
              key<&SimulatedQuestion::samples>(
                  "samples",
                  "Draws of the calibrations and of what the scenario leaves open, from its "
                  "\"ranges\", that the ends of intervals come from; 0 draws none.",
                  between(0, 10000))
                  .optional(),
              key<&SimulatedQuestion::fixed>("fixed",
                                             "Inputs that these draws leave as they are, by their "
                                             "names; \"inputs\": all of them. As --fixed says.")
                  .optional(),
          })
          .commented();
  return table;
}

class SimulationEvaluatorKind final : public EvaluatorKind {
 public:
  [[nodiscard]] std::string_view name() const override { return "simulate"; }
  [[nodiscard]] std::span<const view::FigureSpec> columns() const override {
    return simulation_columns().specs;
  }
  [[nodiscard]] const KeyTable& keys() const override {
    return keys_of(static_cast<const SimulatedQuestion*>(nullptr));
  }
  [[nodiscard]] std::string_view subject() const override { return kScenario; }
  [[nodiscard]] std::size_t points_per_chunk() const override { return 1; }

  [[nodiscard]] std::string_view missing_for(std::size_t column,
                                             const JsonNode& question) const override {
    return of_draws(column) && !question.json().contains("samples") ? "samples" : "";
  }

  [[nodiscard]] std::vector<DocumentPlace> places(const JsonNode& question) const override {
    const auto scenario = question.json().find("scenario");
    if (scenario == question.json().end()) return {};
    if (scenario->is_string()) return {{kScenario, scenario::whole_document}};
    std::vector<DocumentPlace> out = {{fmt::format("{}/model", kScenario), model_document}};
    if (scenario->contains("ranges")) {
      out.push_back({kRanges, ranges_document});
    }
    const json::json_pointer pools("/deployment/pools");
    if (scenario->contains(pools) && scenario->at(pools).is_object()) {
      for (const auto& pool : scenario->at(pools).items()) {
        out.push_back({fmt::format("{}/deployment/pools/{}/chip", kScenario,
                                   escape_pointer_token(pool.key())),
                       chip_document});
      }
    }
    return out;
  }

  [[nodiscard]] std::unique_ptr<Evaluator> prepare(const JsonNode& node,
                                                   const EvaluatorNeeds& needs) const override {
    // Much of a scenario is consumed when it is resolved: a chip by its kernel model, a precision
    // by the blocks that it changes. A number written to its old place later would be ignored, so
    // none has a place, and every point is read anew.
    SimulatedQuestion question;
    read_keys(node, question);
    if (!node.is_object() || !node.json().contains("scenario")) return nullptr;
    const scenario::LocatedScenario located{.file = node.file(),
                                            .pointer = node.pointer() + kScenario,
                                            .scenario = std::move(question.scenario)};
    auto scenario = scenario::resolve(located, *needs.library, *node.context().diagnostics);
    if (!node.context().diagnostics->ok()) return nullptr;
    if (!question.fixed.empty() && question.samples == 0) {
      node.child("fixed").error("of no effect without \"samples\": expected none");
      return nullptr;
    }
    std::optional<Intervals> intervals;
    if (question.samples > 0 && std::any_of(needs.columns.begin(), needs.columns.end(), of_draws)) {
      try {
        intervals = Intervals{.located = located,
                              .draws = scenario::InputDraws(
                                  scenario::ranges_of(located, *needs.library), question.fixed),
                              .samples = static_cast<int>(question.samples)};
      } catch (const UserError& e) {
        node.child("fixed").error(e.what());
        return nullptr;
      }
    }
    return std::make_unique<SimulationEvaluator>(std::move(scenario), std::move(intervals), needs);
  }
};

}  // namespace

const EvaluatorKind& simulation_evaluator() {
  static const SimulationEvaluatorKind kind;
  return kind;
}

}  // namespace ridge::sweep
