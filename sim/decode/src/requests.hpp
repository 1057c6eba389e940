// The requests of a run: how they come, where they are admitted, what they hold, when they leave.
#pragma once

#include "accounting.hpp"
#include "request_pool.hpp"
#include "ridge/decode/memory_plan.hpp"
#include "ridge/decode/simulation.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ridge::decode {

class Requests {
 public:
  // All must outlive this object. Throws UserError for a closed loop without whole requests.
  Requests(const SimulationInput& input, const MemoryPlan& memory, Accounting& accounting);

  // All requests of a closed loop. Throws UserError if they do not fit in memory.
  void fill_closed_loop();

  // When the next request comes, after the one that came at `now`; none if no more do.
  [[nodiscard]] std::optional<des::SimTime> next_arrival(des::SimTime now);
  // The request that was announced comes. The replica in whose queue it waits; none if it is larger
  // than a GPU's whole memory.
  [[nodiscard]] std::optional<std::size_t> arrive(des::SimTime now);

  // Waiting requests join a lane. True if any did.
  bool admit(des::SimTime now, std::size_t lane);
  // A step of this lane is over: its requests got their tokens. True if any left.
  bool step(des::SimTime now, std::size_t lane, double seconds);
  // Whether batches keep their size and contexts for ever.
  [[nodiscard]] bool steady() const {
    return input_.workload.kind == Workload::Kind::closed_loop && input_.workload.steady;
  }

  [[nodiscard]] bool waiting_in(std::size_t replica) const {
    return !pools_[replica].waiting().empty();
  }
  [[nodiscard]] std::int64_t active_in(std::size_t lane) const {
    return pools_[lane / micro_batches_].active_in(lane % micro_batches_);
  }
  [[nodiscard]] std::span<const GroupBatch> batches(std::size_t lane) const {
    return pools_[lane / micro_batches_].batches(lane % micro_batches_);
  }
  [[nodiscard]] std::uint64_t in_decode() const;
  [[nodiscard]] std::uint64_t waiting() const;
  // Every request so far, by arrival, where SimulationInput says to record them.
  [[nodiscard]] std::vector<RequestRecord> records() const;
  // Whether all of a trace came and went.
  [[nodiscard]] bool over() const {
    return input_.workload.kind == Workload::Kind::trace &&
           next_in_trace_ == input_.workload.trace.size() && in_decode() + waiting() == 0;
  }
  // After an arrival that found no place at once.
  void tell_waiting() { accounting_.waiting(waiting()); }
  // What is held and waits at the beginning of measurement.
  void tell(des::SimTime now) {
    tell_holdings(now);
    tell_full(now);
  }

 private:
  static constexpr std::size_t kMaxDrafts = 64;

  // Of a closed loop: what a group has, groups numbered through the replicas.
  [[nodiscard]] std::int64_t requests_of_group(std::size_t group) const;
  // The first micro-batches take what does not divide.
  [[nodiscard]] std::int64_t requests_in(std::size_t group, std::size_t micro_batch) const;
  [[nodiscard]] GroupLimits limits() const;
  [[nodiscard]] double kv_bytes(std::int64_t tokens) const {
    return request_kv_bytes(input_.deployment, input_.admission, tokens).value();
  }
  [[nodiscard]] std::size_t choose_replica();
  [[nodiscard]] std::int64_t accepted_tokens();
  [[nodiscard]] PendingRequest draw_request(des::SimTime now);
  // Says how many would fit, by the key that asked for these.
  [[noreturn]] void refuse_requests(double fullest) const;
  void tell_holdings(des::SimTime now);
  void tell_full(des::SimTime now);

  const SimulationInput& input_;
  const PoolMemory& memory_;  // of the pool that keeps the requests
  Accounting& accounting_;
  std::size_t micro_batches_;
  Random arrivals_;
  Random lengths_;
  Random drafting_;
  // What so many tokens need of a group's memory: mostly as many as were asked for last.
  struct Size {
    const Requests& of;
    std::int64_t tokens = -1;
    double bytes = 0;
    double operator()(std::int64_t asked) {
      if (asked != tokens) bytes = of.kv_bytes(asked);
      tokens = asked;
      return bytes;
    }
  } size_;
  std::vector<RequestPool> pools_;   // [replica]
  std::vector<RequestRecord> gone_;  // finished or refused
  std::size_t next_in_trace_ = 0;
  std::size_t next_replica_ = 0;
};

}  // namespace ridge::decode
