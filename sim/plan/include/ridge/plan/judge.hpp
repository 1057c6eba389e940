// What a structure delivers with a batch: simulated, or, where its schedule is cyclic, the maximum
// cycle ratio of its steps.
#pragma once

#include "ridge/decode/cyclic_steps.hpp"
#include "ridge/plan/structure.hpp"
#include "ridge/scenario/input_draws.hpp"

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

namespace ridge::plan {

// Of a GPU's time per token, in seconds.
struct TimePerToken {
  double attention = 0;  // its kernels
  double ffn = 0;
  double head = 0;
  double waiting = 0;  // for another stage, the network, or links

  [[nodiscard]] double all() const { return attention + ffn + head + waiting; }
};

struct Verdict {
  Seconds tpot;  // what the SLA is compared with: a percentile
  Seconds mean_tpot;
};

// Of one structure, by one thread at a time.
class Judge {
 public:
  // `draws`: what else the kernels may be, all of them other draws of the same calibrations; where
  // they are simulated, on so many threads.
  Judge(const Stocktaking& stock, const Structure& structure,
        std::vector<decode::KernelDraw> draws = {}, unsigned threads = 1);

  // What no step is shorter than, as fitted.
  [[nodiscard]] Seconds floor(std::int64_t requests);
  // As fitted. What is later than `limit` may be told as infinitely late.
  [[nodiscard]] Verdict verdict(std::int64_t requests,
                                Seconds limit = Seconds{std::numeric_limits<double>::infinity()});
  // Where its GPUs' time goes with this verdict.
  [[nodiscard]] TimePerToken time_per_token(std::int64_t requests, const Verdict& verdict);
  // Under one draw.
  [[nodiscard]] Verdict drawn_verdict(std::size_t draw, std::int64_t requests);
  // Under each draw, in their order.
  [[nodiscard]] std::vector<Verdict> drawn_verdicts(std::int64_t requests);
  // The same, or nothing where fewer than `wanted` of them would be within `limit`.
  [[nodiscard]] std::vector<Verdict> drawn_verdicts(std::int64_t requests, Seconds limit,
                                                    std::size_t wanted);

 private:
  [[nodiscard]] Verdict simulated(const decode::KernelDraw& draw, std::int64_t requests) const;
  [[nodiscard]] Verdict of_step(Seconds step) const;
  [[nodiscard]] Seconds step_within(Seconds tpot) const;  // the longest
  [[nodiscard]] decode::CyclicSteps& steps();
  [[nodiscard]] const decode::ReplicaTimes& times_as_fitted(std::int64_t requests);

  const Stocktaking& stock_;
  Structure structure_;
  unsigned threads_;
  std::vector<decode::KernelDraw> draws_;  // the first: as fitted
  std::unique_ptr<decode::CyclicSteps> steps_;
  std::int64_t requests_timed_ = 0;  // of times_
  decode::ReplicaTimes times_;       // the last that were asked for
};

// What draws draw, of the inputs that a goal leaves open; experts are equally likely in a plan.
[[nodiscard]] std::vector<scenario::DrawnInput> drawn_inputs(const Stocktaking& stock,
                                                             const scenario::InputDraws& inputs);

// The kernel models of a structure's pools under each of `samples` draws, and what host gap there
// is between its steps: the same draws for all structures. The seed of what else is drawn moves
// with them, as in `ridge simulate`.
class Draws {
 public:
  Draws(const Stocktaking& stock, scenario::Library& library, const std::string& file, int samples,
        const scenario::InputDraws& inputs);
  [[nodiscard]] std::vector<decode::KernelDraw> of(const Structure& structure) const;

 private:
  const Stocktaking& stock_;
  std::vector<std::vector<std::shared_ptr<const hw::KernelModel>>> kernels_;  // [chip][draw]
  std::vector<std::vector<std::optional<Seconds>>> step_overheads_;           // likewise
};

}  // namespace ridge::plan
