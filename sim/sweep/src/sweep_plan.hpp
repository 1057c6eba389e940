// How a sweep walks through its points: which axes are written straight into a prepared question,
// and which need the question read again.
#pragma once

#include "ridge/sweep/sweep_scenario.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ridge::sweep {

// The order of the points. Axes that need a new reading (names, number formats) turn slowest.
class SweepPlan {
 public:
  // Reads the question once for every combination of such axes, so that every mistake is told
  // before the first point is computed. Throws UserError. All arguments must outlive the plan.
  SweepPlan(const SweepScenario& scenario, LabelTable& labels, scenario::Library& library);

  [[nodiscard]] const SweepScenario& scenario() const { return scenario_; }
  [[nodiscard]] LabelTable& labels() const { return labels_; }
  [[nodiscard]] scenario::Library& library() const { return library_; }
  [[nodiscard]] std::uint64_t points() const { return points_; }
  // Axes in turning order, slowest first: the first rereading() of them need a new reading.
  [[nodiscard]] std::span<const std::size_t> order() const { return order_; }
  [[nodiscard]] std::size_t rereading() const { return rereading_; }
  // The position of an axis at a point.
  [[nodiscard]] std::size_t position(std::uint64_t point, std::size_t axis) const;

  [[nodiscard]] const std::string& provenance() const { return provenance_; }
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  [[nodiscard]] const std::vector<Bound>& bounds() const { return bounds_; }

 private:
  void set_order(const std::vector<bool>& reread);
  // Of every combination of rereading axes; the axes whose numbers turned out to have no place of
  // their own in the question.
  std::vector<std::size_t> check_combinations();

  const SweepScenario& scenario_;
  LabelTable& labels_;
  scenario::Library& library_;
  std::uint64_t points_ = 0;
  std::vector<std::size_t> order_;
  std::size_t rereading_ = 0;
  std::vector<std::uint64_t> stride_;  // by axis: points between two turns; 1 where zipped
  std::string provenance_;
  std::vector<std::string> notes_;
  std::vector<Bound> bounds_;
};

// A question with the values of the rereading axes in it, its documents in place.
class SweepQuestion {
 public:
  // `positions`: by axis; `stop`: see EvaluatorNeeds. Throws UserError.
  SweepQuestion(const SweepPlan& plan, std::span<const std::size_t> positions,
                const std::atomic<bool>* stop = nullptr);
  SweepQuestion(const SweepQuestion&) = delete;
  SweepQuestion& operator=(const SweepQuestion&) = delete;
  ~SweepQuestion();

  [[nodiscard]] Evaluator& evaluator() { return *evaluator_; }
  // Of a pointer of an axis; none where it has no place of its own.
  [[nodiscard]] const JsonPlace& place(std::size_t axis, std::size_t pointer) const {
    return places_[axis][pointer];
  }

 private:
  std::vector<std::vector<JsonPlace>> places_;  // by axis and pointer
  std::unique_ptr<Evaluator> evaluator_;
};

// One thread's question, moved from point to point.
class SweepCursor {
 public:
  explicit SweepCursor(const SweepPlan& plan, const std::atomic<bool>* stop = nullptr);

  // Cheapest in rising order: a step changes few axes.
  void move_to(std::uint64_t point);
  [[nodiscard]] Evaluator& evaluator() { return question_->evaluator(); }

 private:
  const SweepPlan& plan_;
  const std::atomic<bool>* stop_;
  std::vector<std::size_t> positions_;  // by axis
  std::unique_ptr<SweepQuestion> question_;
};

}  // namespace ridge::sweep
