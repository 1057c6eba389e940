// The requests of one replica: waiting, and in decode on its groups and micro-batches.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/decode/stage_timer.hpp"
#include "ridge/decode/workload.hpp"
#include "ridge/des/sim_time.hpp"

#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <vector>

namespace ridge::decode {

struct PendingRequest {
  des::SimTime arrival;
  std::int64_t context = 1;
  std::int64_t output = 1;
};

struct ActiveRequest {
  std::int64_t context = 1;  // cached tokens
  std::int64_t remaining = 1;
  std::int64_t generated = 0;
  des::SimTime admitted;
  double kv_bytes = 0;  // reserved for its final length
};

// Limits on one group.
struct GroupLimits {
  double kv_bytes = 0;
  std::int64_t requests_per_micro_batch = 0;
  std::int64_t requests = std::numeric_limits<std::int64_t>::max();  // over all micro-batches
};

class RequestPool {
 public:
  RequestPool(std::size_t groups, std::size_t micro_batches, const GroupLimits& limits,
              Routing routing);

  void enqueue(const PendingRequest& request) { waiting_.push_back(request); }
  [[nodiscard]] const std::deque<PendingRequest>& waiting() const { return waiting_; }

  // Moves waiting requests, first come first served, into the micro-batch until none fits or the
  // micro-batch has its fair part of them. `kv_bytes(tokens)` is what a request needs;
  // `admitted(request)` is told of each.
  template <typename KvBytes, typename Admitted>
  void admit(des::SimTime now, std::size_t micro_batch, KvBytes&& kv_bytes, Admitted&& admitted) {
    while (!waiting_.empty() && active_in_[micro_batch] < fair_part()) {
      const PendingRequest& next = waiting_.front();
      const double need = kv_bytes(next.context + next.output);
      const std::size_t group = choose(micro_batch, need);
      if (group == kNone) return;
      place(micro_batch, group,
            {.context = next.context,
             .remaining = next.output,
             .generated = 0,
             .admitted = now,
             .kv_bytes = need});
      admitted(next);
      waiting_.pop_front();
    }
  }
  void place(std::size_t micro_batch, std::size_t group, const ActiveRequest& request);

  // One step of a micro-batch: each request gets tokens(request) more (at most what it wants);
  // `finished(request)` is told of those that are done, which leave.
  template <typename Tokens, typename Finished>
  void step(std::size_t micro_batch, Tokens&& tokens, Finished&& finished) {
    for (std::size_t g = 0; g < groups_; ++g) {
      auto& requests = requests_[micro_batch * groups_ + g];
      GroupBatch& batch = batches_[micro_batch * groups_ + g];
      for (std::size_t r = 0; r < requests.size();) {
        ActiveRequest& request = requests[r];
        const std::int64_t got = tokens(request);
        request.context += got;
        request.remaining -= got;
        request.generated += got;
        batch.cached_tokens += got;
        if (request.remaining > 0) {
          ++r;
          continue;
        }
        finished(request);
        batch.cached_tokens -= request.context;
        --batch.requests;
        --active_in_[micro_batch];
        --active_of_[g];
        --active_;
        kv_used_[g] -= request.kv_bytes;
        request = requests.back();
        requests.pop_back();
      }
    }
  }

  [[nodiscard]] std::span<const GroupBatch> batches(std::size_t micro_batch) const {
    return {batches_.data() + micro_batch * groups_, groups_};
  }
  [[nodiscard]] std::int64_t active() const { return active_; }
  [[nodiscard]] std::int64_t active_in(std::size_t micro_batch) const {
    return active_in_[micro_batch];
  }
  [[nodiscard]] std::span<const double> kv_used() const { return kv_used_; }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  // So that micro-batches stay equally full.
  [[nodiscard]] std::int64_t fair_part() const {
    const auto all = active_ + static_cast<std::int64_t>(waiting_.size());
    const auto parts = static_cast<std::int64_t>(active_in_.size());
    return (all + parts - 1) / parts;
  }
  std::size_t choose(std::size_t micro_batch, double kv_bytes);

  std::size_t groups_;
  GroupLimits limits_;
  Routing routing_;
  std::size_t next_group_ = 0;  // round robin
  std::deque<PendingRequest> waiting_;
  std::vector<std::vector<ActiveRequest>> requests_;  // [micro-batch][group]
  std::vector<GroupBatch> batches_;                   // [micro-batch][group]
  std::vector<std::int64_t> active_in_;               // [micro-batch]
  std::int64_t active_ = 0;
  std::vector<std::int64_t> active_of_;  // [group]
  std::vector<double> kv_used_;          // [group]
};

}  // namespace ridge::decode
