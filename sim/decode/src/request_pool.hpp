// The requests of one replica: waiting, and in decode on its groups and micro-batches.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/decode/stage_timer.hpp"
#include "ridge/decode/workload.hpp"
#include "ridge/des/sim_time.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace ridge::decode {

struct PendingRequest {
  des::SimTime arrival;
  std::int64_t context = 1;
  std::int64_t output = 1;
  // Of one that gave its place up.
  struct Past {
    des::SimTime admitted;
    std::int64_t generated = 0;
    des::SimTime first_token;
    des::SimTime left;
  };
  std::optional<Past> past = {};
};

struct ActiveRequest {
  std::int64_t context = 1;  // cached tokens
  std::int64_t remaining = 1;
  std::int64_t generated = 0;
  des::SimTime arrival;
  des::SimTime admitted;         // for the first time
  des::SimTime joined;           // for the last time
  des::SimTime first_token;      // meaningless before there is one
  des::SimTime paused;           // since its last token, it had no place for so long
  double kv_bytes = 0;           // set aside
  double filled_bytes = 0;       // whole pages that hold tokens
  std::int64_t filled_to = 0;    // tokens that these pages can hold
  std::int64_t reserved_to = 0;  // tokens that what is set aside can hold
};

// Limits on one group, and how requests take memory.
struct GroupLimits {
  double kv_bytes = 0;
  std::int64_t requests_per_micro_batch = 0;
  std::int64_t requests = std::numeric_limits<std::int64_t>::max();  // over all micro-batches
  AdmissionPolicy policy = AdmissionPolicy::final_length;
  std::int64_t page_tokens = 1;
  std::int64_t tokens_per_step = 1;  // that a request may get
};

class RequestPool {
 public:
  RequestPool(std::size_t groups, std::size_t micro_batches, const GroupLimits& limits,
              RequestRouting routing);

  void enqueue(const PendingRequest& request) { waiting_.push_back(request); }
  [[nodiscard]] const std::deque<PendingRequest>& waiting() const { return waiting_; }

  // Moves waiting requests, first come first served, into the micro-batch until none fits or the
  // micro-batch has its fair part of them. `kv_bytes(tokens)` is what so many tokens need;
  // `admitted(request)` is told of each.
  template <typename KvBytes, typename Admitted>
  void admit(des::SimTime now, std::size_t micro_batch, KvBytes&& kv_bytes, Admitted&& admitted) {
    full_ = false;
    while (!waiting_.empty() && active_in_[micro_batch] < fair_part()) {
      const PendingRequest& next = waiting_.front();
      ActiveRequest request{.context = next.context,
                            .remaining = next.output,
                            .arrival = next.arrival,
                            .admitted = now,
                            .joined = now};
      if (next.past) {
        request.generated = next.past->generated;
        request.first_token = next.past->first_token;
        request.admitted = next.past->admitted;
        request.paused = now - next.past->left;
      }
      const std::size_t group = choose(micro_batch, kv_bytes(tokens_to_hold(request)));
      full_ = group == kNone;
      if (full_) return;
      place(micro_batch, group, request, kv_bytes);
      admitted(next);
      waiting_.pop_front();
    }
  }
  // Whether the first in the queue found no memory, or too many requests, when it last asked.
  [[nodiscard]] bool full() const { return full_ && !waiting_.empty(); }

  // Takes what it needs of the group's memory.
  template <typename KvBytes>
  void place(std::size_t micro_batch, std::size_t group, ActiveRequest request,
             KvBytes&& kv_bytes) {
    hold(group, request, kv_bytes);
    add(micro_batch, group, request);
  }

  // The longest request of each group has at least so many cached tokens, whichever it is.
  void lengthen(std::int64_t longest) {
    for (GroupBatch& batch : batches_) {
      if (batch.requests > 0) batch.longest = std::max(batch.longest, longest);
    }
  }

  // One step of a micro-batch: each request gets tokens(request) more (at most what it wants);
  // `finished(request)` is told of those that are done, which leave. Where what the others need
  // next is not free, those admitted last go back to the head of the queue: their number.
  template <typename Tokens, typename Finished, typename KvBytes>
  std::size_t step(des::SimTime now, std::size_t micro_batch, Tokens&& tokens, Finished&& finished,
                   KvBytes&& kv_bytes) {
    std::size_t preempted = 0;
    for (std::size_t g = 0; g < groups_; ++g) {
      auto& requests = requests_[micro_batch * groups_ + g];
      GroupBatch& batch = batches_[micro_batch * groups_ + g];
      for (std::size_t r = 0; r < requests.size();) {
        ActiveRequest& request = requests[r];
        const std::int64_t got = tokens(request);
        request.context += got;
        request.remaining -= got;
        request.generated += got;
        if (request.generated == got) request.first_token = now;
        request.paused = {};
        batch.cached_tokens += got;
        batch.longest = std::max(batch.longest, request.context);
        if (request.remaining > 0) {
          hold(g, request, kv_bytes);
          ++r;
          continue;
        }
        finished(request);
        remove(micro_batch, g, r);
      }
      while (kv_used_[g] > limits_.kv_bytes && !requests.empty()) {
        preempt(now, micro_batch, g);
        ++preempted;
      }
    }
    return preempted;
  }

  [[nodiscard]] std::span<const GroupBatch> batches(std::size_t micro_batch) const {
    return {batches_.data() + micro_batch * groups_, groups_};
  }
  [[nodiscard]] std::int64_t active() const { return active_; }
  [[nodiscard]] std::int64_t active_in(std::size_t micro_batch) const {
    return active_in_[micro_batch];
  }
  // In decode, in no order.
  template <typename See>
  void for_each_active(See&& see) const {
    for (const auto& requests : requests_) {
      for (const ActiveRequest& request : requests) see(request);
    }
  }
  [[nodiscard]] std::span<const double> kv_used() const { return kv_used_; }  // [group], set aside
  [[nodiscard]] double kv_filled() const { return kv_filled_; }               // of all groups

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  // So that micro-batches stay equally full.
  [[nodiscard]] std::int64_t fair_part() const {
    const auto all = active_ + static_cast<std::int64_t>(waiting_.size());
    const auto parts = static_cast<std::int64_t>(active_in_.size());
    return (all + parts - 1) / parts;
  }
  std::size_t choose(std::size_t micro_batch, double kv_bytes);
  void add(std::size_t micro_batch, std::size_t group, const ActiveRequest& request);
  void remove(std::size_t micro_batch, std::size_t group, std::size_t index);
  void preempt(des::SimTime now, std::size_t micro_batch, std::size_t group);

  // For which it must have memory.
  [[nodiscard]] std::int64_t tokens_to_hold(const ActiveRequest& request) const {
    const bool all = limits_.policy == AdmissionPolicy::final_length;
    return request.context +
           (all ? request.remaining : std::min(request.remaining, limits_.tokens_per_step));
  }
  template <typename KvBytes>
  void hold(std::size_t group, ActiveRequest& request, KvBytes&& kv_bytes) {
    const auto grow = [&](std::int64_t tokens, std::int64_t& up_to, double& bytes, double& total) {
      if (tokens <= up_to) return;
      const std::int64_t pages = (tokens + limits_.page_tokens - 1) / limits_.page_tokens;
      up_to = pages * limits_.page_tokens;
      const double now = kv_bytes(tokens);
      total += now - bytes;
      bytes = now;
    };
    grow(tokens_to_hold(request), request.reserved_to, request.kv_bytes, kv_used_[group]);
    grow(request.context, request.filled_to, request.filled_bytes, kv_filled_);
  }

  std::size_t groups_;
  GroupLimits limits_;
  RequestRouting routing_;
  std::size_t next_group_ = 0;  // round robin
  std::deque<PendingRequest> waiting_;
  std::vector<std::vector<ActiveRequest>> requests_;  // [micro-batch][group]
  std::vector<GroupBatch> batches_;                   // [micro-batch][group]
  std::vector<std::int64_t> active_in_;               // [micro-batch]
  std::int64_t active_ = 0;
  std::vector<std::int64_t> active_of_;  // [group]
  std::vector<double> kv_used_;          // [group]
  double kv_filled_ = 0;
  bool full_ = false;
};

}  // namespace ridge::decode
