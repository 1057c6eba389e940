// A deployment under draws of the calibrations: with which batch it is worth most, of those that
// are within the SLA often enough.
#pragma once

#include "ridge/plan/judge.hpp"
#include "ridge/plan/plan.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ridge::plan {

struct Drawn {
  Choice choice;
  std::vector<Verdict> draws;    // with its batch; empty where that was interrupted
  bool enough = false;           // are within the SLA
  bool more_would_hold = false;  // likewise, with one request more in each group and micro-batch
  std::size_t judged = 0;        // batches
};

// May be asked from any thread.
class Drawing {
 public:
  // All must outlive this object.
  Drawing(const Stocktaking& stock, scenario::Library& library, const std::string& file,
          int samples, const scenario::InputDraws& inputs, const std::atomic<bool>* stop)
      : stock_(stock),
        samples_(samples),
        stop_(stop),
        draws_(stock, library, file, samples, inputs) {}

  // `threads`: where it is simulated.
  [[nodiscard]] Drawn draw(Choice choice, unsigned threads) const;

 private:
  [[nodiscard]] bool stopped() const {
    return stop_ != nullptr && stop_->load(std::memory_order_relaxed);
  }
  // What each batch whose floor is within the SLA is worth at most, best first.
  [[nodiscard]] std::vector<std::pair<double, std::int64_t>> batches(Judge& judge,
                                                                     const Choice& choice) const;

  const Stocktaking& stock_;
  int samples_;
  const std::atomic<bool>* stop_;
  Draws draws_;
};

}  // namespace ridge::plan
