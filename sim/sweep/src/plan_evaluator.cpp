#include "plan_evaluator.hpp"

#include "documents.hpp"
#include "ridge/answer/cost_report.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/plan/plan_figures.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

constexpr const char* kGoal = "/goal";

// Of the model first (what a design is), then of its best deployment (what it comes to).
struct PlanColumns {
  std::vector<view::FigureSpec> specs;
  std::size_t of_model = 0;

  PlanColumns() {
    for (const auto& figure : answer::model_figures()) specs.push_back(figure.spec);
    of_model = specs.size();
    for (const auto& figure : plan::plan_figures()) specs.push_back(figure.spec);
  }
};

const PlanColumns& plan_columns() {
  static const PlanColumns columns;
  return columns;
}

struct PlannedQuestion {
  plan::Goal goal;
  std::int64_t samples = 0;
  std::vector<std::string> fixed;
};

class PlanEvaluator final : public Evaluator {
 public:
  PlanEvaluator(std::unique_ptr<PlannedQuestion> question, std::string file,
                const EvaluatorNeeds& needs)
      : question_(std::move(question)),
        file_(std::move(file)),
        columns_(needs.columns.begin(), needs.columns.end()),
        filters_(needs.filters.begin(), needs.filters.end()),
        labels_(needs.labels),
        library_(needs.library),
        stop_(needs.stop) {
    for (const std::size_t column : columns_) {
      const std::size_t of_model = plan_columns().of_model;
      compares_ |=
          column >= of_model && plan::compares_strategies(plan::plan_figures()[column - of_model]);
    }
    sla_moves_ = std::find(needs.moving.begin(), needs.moving.end(), "/goal/sla_tpot_ms") !=
                 needs.moving.end();
  }

  [[nodiscard]] JsonPlace place(std::string_view pointer) override {
    return find_place(*question_, pointer);
  }

  // Why the goal makes no sense. A goal that nothing meets does: it is a row that says so.
  [[nodiscard]] std::string problem() const override {
    plan_.reset();
    const plan::Goal& goal = question_->goal;
    for (const auto& model : goal.models) {
      if (!model.spec) continue;
      if (const models::Problem problem = models::model_problem(*model.spec);
          !problem.text.empty()) {
        return problem.text;
      }
    }
    try {
      const bool stopped = stop_ != nullptr && stop_->load(std::memory_order_relaxed);
      if (stopped || model_is_filtered_out()) {
        (void)plan::Stocktaking(located(), *library_);
        return {};
      }
      plan_ = plan::make_plan(located(), *library_,
                              {.threads = 1,
                               .samples = static_cast<int>(question_->samples),
                               .fixed = question_->fixed,
                               .layouts = 1,
                               .each_strategy = compares_,
                               .stop = stop_});
    } catch (const UserError& e) {
      return e.what();
    }
    return {};
  }

  void evaluate(std::span<double> out) override {
    if (!plan_) {  // nobody wants to know
      std::fill(out.begin(), out.end(), view::kUnknown);
      return;
    }
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const double value = figure(columns_[i]);
      out[i] = std::isfinite(value) ? value : view::kUnknown;
    }
  }

  [[nodiscard]] std::string provenance() const override {
    std::vector<std::string> chips;
    try {
      const plan::Stocktaking stock(located(), *library_);
      for (const auto& chip : stock.chips()) {
        chips.push_back(fmt::format("{}: {}", chip.name, chip.provenance));
      }
    } catch (const UserError&) {
      return {};  // problem() tells
    }
    return fmt::format("planned with {}: {}",
                       question_->samples > 0
                           ? fmt::format("{} draws of the calibrations", question_->samples)
                           : std::string("kernel times as fitted"),
                       fmt::join(chips, ", "));
  }

  [[nodiscard]] std::vector<std::string> notes() const override {
    const net::Transport wires = question_->goal.assumptions.network.wire.transport();
    return {fmt::format("links between instances: {}", wires.source)};
  }

  [[nodiscard]] std::vector<Bound> bounds() const override {
    if (sla_moves_) return {};
    const double value = question_->goal.sla_tpot.value() * 1e3;
    const std::string label = fmt::format("SLA {:g} ms", value);
    std::vector<Bound> out;
    for (const char* figure : {"tpot_ms", "tpot_p95_ms"}) out.push_back({figure, value, label});
    return out;
  }

 private:
  [[nodiscard]] plan::LocatedGoal located() const {
    return {.file = file_, .pointer = std::string("/base") + kGoal, .goal = question_->goal};
  }

  // Whether the model alone, which takes no plan to know, fails a filter.
  [[nodiscard]] bool model_is_filtered_out() const {
    const auto& models = question_->goal.models;
    if (models.size() != 1 || !models.front().spec) return false;
    return std::any_of(filters_.begin(), filters_.end(), [&](const Filter& filter) {
      const std::size_t column = columns_[filter.column];
      return column < plan_columns().of_model &&
             !filter.keeps(answer::model_figures()[column].shown(*models.front().spec));
    });
  }

  // The one that is planned: of several, that of the best deployment.
  [[nodiscard]] const models::ModelSpec* model() const {
    const auto& models = plan_->stock->models();
    const plan::Ranked* best = plan::best_of(*plan_);
    if (best != nullptr) return models[best->choice.structure.model].get();
    return models.size() == 1 ? models.front().get() : nullptr;
  }

  [[nodiscard]] double figure(std::size_t column) const {
    const std::size_t of_model = plan_columns().of_model;
    if (column < of_model) {
      const models::ModelSpec* spec = model();
      return spec == nullptr ? view::kUnknown : answer::model_figures()[column].shown(*spec);
    }
    const plan::PlanFigure& figure = plan::plan_figures()[column - of_model];
    if (figure.label == nullptr) return figure.shown(*plan_);
    const std::string words = figure.label(*plan_);
    return words.empty() ? view::kUnknown : labels_->intern(words);
  }

  std::unique_ptr<PlannedQuestion> question_;
  std::string file_;
  std::vector<std::size_t> columns_;
  std::vector<Filter> filters_;
  LabelTable* labels_;
  scenario::Library* library_;
  const std::atomic<bool>* stop_;
  bool compares_ = false;
  bool sla_moves_ = false;
  mutable std::optional<plan::Plan> plan_;  // of the question as it now stands
};

JsonDocument goal_document(const std::string& name_or_path, scenario::Library& /*library*/) {
  return plan::goal_document(name_or_path);
}

class GoalType final : public JsonType {
 public:
  bool read(const JsonNode& node, void* out) const override {
    return read_keys(node, *static_cast<plan::Goal*>(out));
  }
  void write(const void* value, OrderedJson& out) const override {
    write_keys(*static_cast<const plan::Goal*>(value), out);
  }
  void describe(OrderedJson& out, SchemaDefinitions& /*definitions*/) const override {
    out["type"] = {"string", "object"};
  }
  [[nodiscard]] std::string words() const override { return "a name, a path or a goal"; }
  [[nodiscard]] JsonPlace find(void* value, std::span<const std::string> tokens) const override {
    if (tokens.empty()) return {*this, value};
    return plan::keys_of(static_cast<const plan::Goal*>(nullptr)).find(value, tokens);
  }
};

const KeyTable& keys_of(const PlannedQuestion* /*of*/) {
  using Q = PlannedQuestion;
  static const KeyTable table =
      key_table<Q>(
          "plan", "What the best deployment for a goal is.",
          {
              key_of_all<Q>("kind", "", keys::constant("plan", "a question of kind \"plan\"")),
              Key<Q>{{.key = "goal",
                      .doc = "A goal: a name, a path, or the goal itself. Axes reach into it: "
                             "\"/goal/models/0/hidden\", "
                             "\"/goal/chips/0/chip/nic_bandwidth_GBps/value\".",
                      .access = {keys::member_access<&Q::goal>()},
                      .type = std::make_shared<GoalType>()}},
              key<&Q::samples>("samples",
                               "Draws of the calibrations that each design's best deployment is "
                               "held to; 0 takes kernel times as fitted.",
                               between(0, 10000))
                  .optional(),
              key<&Q::fixed>("fixed",
                             "Inputs that these draws leave as they are, by their names; "
                             "\"inputs\": all of them. As --fixed says.")
                  .optional(),
          })
          .commented();
  return table;
}

class PlanEvaluatorKind final : public EvaluatorKind {
 public:
  [[nodiscard]] std::string_view name() const override { return "plan"; }
  [[nodiscard]] std::span<const view::FigureSpec> columns() const override {
    return plan_columns().specs;
  }
  [[nodiscard]] const KeyTable& keys() const override {
    return keys_of(static_cast<const PlannedQuestion*>(nullptr));
  }
  [[nodiscard]] std::string_view subject() const override { return "/goal/models/0"; }
  [[nodiscard]] std::size_t points_per_chunk() const override { return 1; }

  [[nodiscard]] std::string_view missing_for(std::size_t /*column*/,
                                             const JsonNode& /*question*/) const override {
    return {};
  }

  [[nodiscard]] std::vector<DocumentPlace> places(const JsonNode& question) const override {
    const auto goal = question.json().find("goal");
    if (goal == question.json().end()) return {};
    if (goal->is_string()) return {{kGoal, goal_document}};
    std::vector<DocumentPlace> out;
    const auto each = [&](const char* list, const char* place,
                          JsonDocument (*load)(const std::string&, scenario::Library&)) {
      if (!goal->is_object() || !goal->contains(list) || !goal->at(list).is_array()) return;
      for (std::size_t i = 0; i < goal->at(list).size(); ++i) {
        out.push_back({fmt::format("{}/{}/{}{}", kGoal, list, i, place), load});
      }
    };
    each("models", "", model_document);
    each("chips", "/chip", chip_document);
    if (goal->is_object() && goal->contains("ranges")) {
      out.push_back({fmt::format("{}/ranges", kGoal), ranges_document});
    }
    return out;
  }

  // Numbers are bound where they stand in the goal: a plan is made of it anew for every point.
  [[nodiscard]] std::unique_ptr<Evaluator> prepare(const JsonNode& node,
                                                   const EvaluatorNeeds& needs) const override {
    auto question = std::make_unique<PlannedQuestion>();
    read_keys(node, *question);
    if (!node.context().diagnostics->ok()) return nullptr;
    if (!question->fixed.empty()) {
      if (question->samples == 0) {
        node.child("fixed").error("of no effect without \"samples\": expected none");
        return nullptr;
      }
      try {
        const auto ranges =
            needs.library->ranges(question->goal.ranges, node.file(),
                                  node.pointer() + kGoal + "/ranges", *node.context().diagnostics);
        if (!ranges) return nullptr;
        (void)scenario::InputDraws(ranges, question->fixed);
      } catch (const UserError& e) {
        node.child("fixed").error(e.what());
        return nullptr;
      }
    }
    return std::make_unique<PlanEvaluator>(std::move(question), node.file(), needs);
  }
};

}  // namespace

const EvaluatorKind& plan_evaluator() {
  static const PlanEvaluatorKind kind;
  return kind;
}

}  // namespace ridge::sweep
