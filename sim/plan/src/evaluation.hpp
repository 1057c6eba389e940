// What becomes of one structure: asked from any thread, and on any rank.
#pragma once

#include "ridge/plan/bounds.hpp"
#include "ridge/plan/plan.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace ridge::plan {

inline constexpr double kNothing = -std::numeric_limits<double>::infinity();

// Of a structure whose batches were looked at.
struct Judged {
  std::optional<Choice> choice;  // with the batch with which it is worth most
  bool pruned = false;           // bounds alone left it out
  std::size_t simulated = 0;     // batches
  std::size_t by_cycle = 0;      // likewise
};

// With some batch that is within the SLA.
struct Reached {
  double worth = kNothing;
  std::size_t by_cycle = 0;
};

class Evaluation {
 public:
  // All must outlive this object.
  Evaluation(const Stocktaking& stock, const Candidates& candidates, Bounds& bounds,
             const PlanOptions& options)
      : stock_(stock), all_(candidates.all), bounds_(bounds), options_(options) {}

  [[nodiscard]] double worth(const Structure& s, std::int64_t requests, Seconds tpot) const;
  // What so many requests are worth at most where no step takes less than this; nothing where that
  // is later than `limit`.
  [[nodiscard]] double most_worth(const Structure& s, std::int64_t requests, Seconds step,
                                  Seconds limit) const;

  // What each batch of a candidate may be worth as far as its attention tells, [requests - 1]:
  // nothing where it is late. None where all are.
  [[nodiscard]] std::vector<double> of_attention(std::size_t candidate, Seconds limit) const;
  // Of a candidate whose steps are known without a simulation: a few batches, from this one down.
  [[nodiscard]] Reached reach(std::size_t candidate, std::int64_t requests, Seconds limit) const;
  // Of a candidate that is of no use unless it is worth so much. `of_batch`: of_attention().
  [[nodiscard]] Judged judge(std::size_t candidate, const std::vector<double>& of_batch,
                             double needed, Seconds limit) const;
  // On another thread meanwhile: the floors that it comes to last, where it comes to them at all.
  // `part` of `parts`, of those that it comes to late; ends once `done`.
  void help_judge(std::size_t candidate, const std::vector<double>& of_batch, double needed,
                  std::size_t part, std::size_t parts, const std::atomic<bool>& done) const;

 private:
  [[nodiscard]] bool stopped() const {
    return options_.stop != nullptr && options_.stop->load(std::memory_order_relaxed);
  }
  // The longest step with which so many requests are worth so much, or the SLA.
  [[nodiscard]] Seconds longest(const Structure& s, std::int64_t requests, double worth_it,
                                Seconds limit) const;

  const Stocktaking& stock_;
  const std::vector<Candidates::One>& all_;
  Bounds& bounds_;
  const PlanOptions& options_;
};

}  // namespace ridge::plan
