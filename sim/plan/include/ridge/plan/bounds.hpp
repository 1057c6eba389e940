// What no schedule of a structure is faster than, at a price of a table look-up: the busiest of its
// instances, and the path of a micro-batch. Attention and FFN are timed apart, in deployments of
// one instance of the other side, so that structures share what they have in common.
#pragma once

#include "ridge/plan/structure.hpp"

#include <cstdint>
#include <memory>

namespace ridge::plan {

// Of what the long run takes, the least that a simulation may measure: its window may hold steps
// that are still ahead of it. A cycle ratio is the long run itself.
[[nodiscard]] inline double measured_share(decode::Schedule schedule) {
  return schedule == decode::Schedule::cyclic ? 1.0 - 1e-8 : 0.995;
}

class Bounds {
 public:
  // Of these candidates. The stock must outlive the bounds.
  Bounds(const Stocktaking& stock, const Candidates& candidates);
  ~Bounds();

  // Of a step with as many requests in each group and micro-batch; from any thread. Attention and
  // LM head alone:
  [[nodiscard]] Seconds attention_floor(const Structure& structure, std::int64_t requests);
  [[nodiscard]] Seconds floor(const Structure& structure, std::int64_t requests);

  // Stage times that were computed.
  [[nodiscard]] std::size_t entries() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ridge::plan
