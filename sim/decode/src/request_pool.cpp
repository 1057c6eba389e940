#include "request_pool.hpp"

namespace ridge::decode {

RequestPool::RequestPool(std::size_t groups, std::size_t micro_batches, const GroupLimits& limits,
                         RequestRouting routing)
    : groups_(groups),
      limits_(limits),
      routing_(routing),
      requests_(groups * micro_batches),
      batches_(groups * micro_batches),
      active_in_(micro_batches),
      active_of_(groups),
      kv_used_(groups) {}

void RequestPool::add(std::size_t micro_batch, std::size_t group, const ActiveRequest& request) {
  requests_[micro_batch * groups_ + group].push_back(request);
  GroupBatch& batch = batches_[micro_batch * groups_ + group];
  ++batch.requests;
  batch.cached_tokens += request.context;
  batch.longest = std::max(batch.longest, request.context);
  ++active_in_[micro_batch];
  ++active_of_[group];
  ++active_;
}

void RequestPool::remove(std::size_t micro_batch, std::size_t group, std::size_t index) {
  auto& requests = requests_[micro_batch * groups_ + group];
  GroupBatch& batch = batches_[micro_batch * groups_ + group];
  ActiveRequest& request = requests[index];
  batch.cached_tokens -= request.context;
  --batch.requests;
  --active_in_[micro_batch];
  --active_of_[group];
  --active_;
  kv_used_[group] -= request.kv_bytes;
  kv_filled_ -= request.filled_bytes;
  const bool was_longest = request.context == batch.longest;
  request = requests.back();
  requests.pop_back();
  if (!was_longest) return;
  batch.longest = 0;
  for (const ActiveRequest& each : requests) batch.longest = std::max(batch.longest, each.context);
}

void RequestPool::preempt(des::SimTime now, std::size_t micro_batch, std::size_t group) {
  const auto& requests = requests_[micro_batch * groups_ + group];
  const auto last = std::max_element(
      requests.begin(), requests.end(),
      [](const ActiveRequest& a, const ActiveRequest& b) { return a.joined < b.joined; });
  waiting_.push_front({.arrival = last->arrival,
                       .context = last->context,
                       .output = last->remaining,
                       .past = PendingRequest::Past{.admitted = last->admitted,
                                                    .generated = last->generated,
                                                    .first_token = last->first_token,
                                                    .left = now}});
  remove(micro_batch, group, static_cast<std::size_t>(last - requests.begin()));
}

std::size_t RequestPool::choose(std::size_t micro_batch, double kv_bytes) {
  std::size_t best = kNone;
  for (std::size_t step = 0; step < groups_; ++step) {
    const std::size_t g = (next_group_ + step) % groups_;
    const std::int64_t requests = batches_[micro_batch * groups_ + g].requests;
    if (requests >= limits_.requests_per_micro_batch) continue;
    if (active_of_[g] >= limits_.requests) continue;
    if (kv_used_[g] + kv_bytes > limits_.kv_bytes) continue;
    if (best == kNone) {
      best = g;
      if (routing_ == RequestRouting::round_robin) break;
      continue;
    }
    const bool better = routing_ == RequestRouting::least_load
                            ? requests < batches_[micro_batch * groups_ + best].requests
                            : kv_used_[g] < kv_used_[best];
    if (better) best = g;
  }
  if (best != kNone) next_group_ = (best + 1) % groups_;
  return best;
}

}  // namespace ridge::decode
