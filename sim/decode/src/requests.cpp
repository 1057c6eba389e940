#include "requests.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace ridge::decode {

using des::SimTime;

namespace {

// Of one in decode, or that has just got its last token.
RequestRecord record_of(const ActiveRequest& request) {
  RequestRecord record{.arrival = request.arrival,
                       .admitted = request.admitted,
                       .context_tokens = request.context - request.generated,
                       .output_tokens = request.generated};
  if (request.generated > 0) record.first_token = request.first_token;
  return record;
}

[[noreturn]] void refuse(const std::string& pointer, const std::string& message) {
  throw UserError(fmt::format("{}: {}: {}", kScenario, pointer, message),
                  {{std::string(kScenario), pointer, message}});
}

// The largest number below `too_many` that fits, where every smaller one does too.
template <typename Fits>
std::int64_t most(std::int64_t too_many, Fits&& fits) {
  std::int64_t least = 0;
  while (too_many - least > 1) {
    const std::int64_t middle = least + (too_many - least) / 2;
    (fits(middle) ? least : too_many) = middle;
  }
  return least;
}

}  // namespace

Requests::Requests(const SimulationInput& input, const MemoryPlan& memory, Accounting& accounting)
    : input_(input),
      memory_(memory.pools[input.deployment.index_of(Role::attention)]),
      accounting_(accounting),
      micro_batches_(static_cast<std::size_t>(input.deployment.micro_batches)),
      arrivals_(input.seed, kArrivals),
      lengths_(input.seed, kLengths),
      drafting_(input.seed, kDrafting),
      size_{*this} {
  for (std::int64_t r = 0; r < input.deployment.replicas; ++r) {
    pools_.emplace_back(static_cast<std::size_t>(input.deployment.groups()), micro_batches_,
                        limits(), input.admission.routing);
  }
}

std::int64_t Requests::requests_of_group(std::size_t group) const {
  const Workload& w = input_.workload;
  const Deployment& d = input_.deployment;
  if (w.requests > 0) {
    const auto groups = static_cast<std::size_t>(d.replicas * d.groups());
    const auto all = static_cast<std::size_t>(w.requests);
    return static_cast<std::int64_t>(all / groups + (group < all % groups ? 1 : 0));
  }
  if (w.requests_per_group > 0) return w.requests_per_group;
  const double requests = w.requests_per_gpu * static_cast<double>(d.attention_tensor_parallel);
  const double whole = std::round(requests);
  if (whole < 1.0 || std::abs(requests - whole) > 1e-9 * whole) {
    refuse("/workload/requests_per_gpu",
           fmt::format("{} on groups of {} GPUs that share requests are {} a group: expected a "
                       "whole number of at least 1; requests_per_group says it directly",
                       w.requests_per_gpu, d.attention_tensor_parallel, requests));
  }
  return static_cast<std::int64_t>(whole);
}

std::int64_t Requests::requests_in(std::size_t group, std::size_t micro_batch) const {
  const auto all = static_cast<std::size_t>(requests_of_group(group));
  return static_cast<std::int64_t>(all / micro_batches_ +
                                   (micro_batch < all % micro_batches_ ? 1 : 0));
}

GroupLimits Requests::limits() const {
  GroupLimits limits{.kv_bytes = memory_.kv_budget.value(),
                     .requests_per_micro_batch = std::numeric_limits<std::int64_t>::max(),
                     .policy = input_.admission.policy,
                     .page_tokens = input_.admission.page_tokens,
                     .tokens_per_step = input_.deployment.queries_per_step()};
  if (input_.workload.kind == Workload::Kind::closed_loop) {
    limits.requests_per_micro_batch = requests_in(0, 0);
  } else if (input_.admission.max_requests_per_gpu > 0) {
    limits.requests =
        input_.admission.max_requests_per_gpu * input_.deployment.attention_tensor_parallel;
    const auto parts = static_cast<std::int64_t>(micro_batches_);
    limits.requests_per_micro_batch = (limits.requests + parts - 1) / parts;
  }
  return limits;
}

void Requests::fill_closed_loop() {
  const Workload& w = input_.workload;
  const double budget = memory_.kv_budget.value();
  const std::int64_t longest = w.context.largest() + (w.steady ? 0 : w.output.largest());
  if (const double need = kv_bytes(longest); need > budget) {
    const std::int64_t fits =
        most(longest, [&](std::int64_t tokens) { return kv_bytes(tokens) <= budget; });
    refuse(
        "/workload/context",
        fmt::format("a request of {} tokens, the longest context and output, needs {} of KV on a "
                    "GPU, {} more than the {} left beside its weights in pool \"{}\"; at most {} "
                    "tokens fit",
                    longest, si(need, "B"), si(need - budget, "B"), si(budget, "B"), memory_.pool,
                    fits));
  }
  const auto groups = static_cast<std::size_t>(input_.deployment.groups());
  for (std::size_t replica = 0; replica < pools_.size(); ++replica) {
    RequestPool& pool = pools_[replica];
    for (std::size_t m = 0; m < micro_batches_; ++m) {
      for (std::size_t g = 0; g < groups; ++g) {
        const std::int64_t each = requests_in(replica * groups + g, m);
        for (std::int64_t i = 0; i < each; ++i) {
          ActiveRequest request{.context = w.context.sample(lengths_), .remaining = 0};
          if (!w.steady) {
            // Caught somewhere in its life, so that departures do not come all at once.
            const std::int64_t output = w.output.sample(lengths_);
            request.remaining =
                1 + static_cast<std::int64_t>(lengths_.below(static_cast<std::uint64_t>(output)));
            request.context += output - request.remaining;
          }
          pool.place(m, g, request, size_);
        }
      }
    }
    pool.lengthen(w.longest_context);
    const double fullest = *std::max_element(pool.kv_used().begin(), pool.kv_used().end());
    if (fullest > budget) refuse_requests(fullest);
  }
  tell_holdings(SimTime());
  for (const RequestPool& pool : pools_) accounting_.fills(SimTime(), 0.0, pool.kv_filled());
}

void Requests::refuse_requests(double fullest) const {
  const Workload& w = input_.workload;
  const Deployment& d = input_.deployment;
  const double budget = memory_.kv_budget.value();
  const std::int64_t asked = requests_of_group(0);
  const double each = fullest / static_cast<double>(asked);
  // Fewer requests also work on less at once, which leaves more for KV.
  const std::int64_t fits = most(asked, [&](std::int64_t requests) {
    Workload fewer = w;
    fewer.requests = 0;
    fewer.requests_per_group = requests;
    const MemoryPlan plan = plan_memory(d, input_.admission, fewer);
    const Bytes left = plan.pools[d.index_of(Role::attention)].kv_budget;
    return plan.problems.empty() && static_cast<double>(requests) * each <= left.value();
  });
  const bool alike = w.steady && w.context.kind == LengthDistribution::Kind::fixed;
  const auto of_group = static_cast<double>(fits);
  std::string_view key = "requests_per_gpu";
  double value = of_group / static_cast<double>(d.attention_tensor_parallel);
  if (w.requests > 0) {
    key = "requests";
    value = of_group * static_cast<double>(d.replicas * d.groups());
  } else if (w.requests_per_group > 0) {
    key = "requests_per_group";
    value = of_group;
  }
  refuse(fmt::format("/workload/{}", key),
         fmt::format("the requests of a GPU need {} of KV, {} more than the {} left beside its "
                     "weights in pool \"{}\"; {} {:g} fit, more with a smaller KV precision",
                     si(fullest, "B"), si(fullest - budget, "B"), si(budget, "B"), memory_.pool,
                     alike ? "at most" : "about", value));
}

void Requests::tell_holdings(SimTime now) {
  double used = 0.0;
  double fullest = 0.0;
  std::int64_t active = 0;
  for (const RequestPool& pool : pools_) {
    active += pool.active();
    for (const double group : pool.kv_used()) {
      used += group;
      fullest = std::max(fullest, group);
    }
  }
  accounting_.holds(now, active, used, fullest);
  accounting_.waiting(waiting());
}

void Requests::tell_full(SimTime now) {
  accounting_.full(now, std::count_if(pools_.begin(), pools_.end(),
                                      [](const RequestPool& pool) { return pool.full(); }));
}

std::optional<SimTime> Requests::next_arrival(SimTime now) {
  const Workload& w = input_.workload;
  if (w.kind == Workload::Kind::poisson) {
    return now + SimTime::from(Seconds{arrivals_.exponential() / w.requests_per_second});
  }
  if (next_in_trace_ == w.trace.size()) return std::nullopt;
  return std::max(now, SimTime::from(w.trace[next_in_trace_].arrival));
}

PendingRequest Requests::draw_request(SimTime now) {
  const Workload& w = input_.workload;
  PendingRequest request{.arrival = now};
  request.context = w.context.sample(lengths_);
  request.output = w.output.sample(lengths_);
  return request;
}

std::optional<std::size_t> Requests::arrive(SimTime now) {
  PendingRequest request{.arrival = now};
  if (input_.workload.kind == Workload::Kind::trace) {
    const TraceRequest& recorded = input_.workload.trace[next_in_trace_++];
    request.context = recorded.context_tokens;
    request.output = recorded.output_tokens;
  } else {
    request = draw_request(now);
  }
  const bool refused = kv_bytes(request.context + request.output) > memory_.kv_budget.value();
  accounting_.arrived(request.output, refused);
  if (refused) {
    if (input_.record_requests) {
      gone_.push_back(
          {.arrival = now, .context_tokens = request.context, .output_tokens = 0, .refused = true});
    }
    return std::nullopt;
  }
  const std::size_t replica = choose_replica();
  pools_[replica].enqueue(request);
  return replica;
}

std::size_t Requests::choose_replica() {
  if (input_.admission.routing == RequestRouting::round_robin)
    return next_replica_++ % pools_.size();
  std::size_t best = 0;
  const auto load = [&](std::size_t r) {
    return pools_[r].active() + static_cast<std::int64_t>(pools_[r].waiting().size());
  };
  for (std::size_t r = 1; r < pools_.size(); ++r) {
    if (load(r) < load(best)) best = r;
  }
  return best;
}

bool Requests::admit(SimTime now, std::size_t lane) {
  bool any = false;
  RequestPool& pool = pools_[lane / micro_batches_];
  const double filled = pool.kv_filled();
  pool.admit(now, lane % micro_batches_, size_, [&](const PendingRequest& request) {
    any = true;
    if (!request.past) accounting_.admitted(now - request.arrival);
  });
  tell_full(now);
  if (any) {
    tell_holdings(now);
    accounting_.fills(now, filled, pool.kv_filled());
  }
  return any;
}

bool Requests::step(SimTime now, std::size_t lane, double seconds) {
  RequestPool& pool = pools_[lane / micro_batches_];
  const std::size_t m = lane % micro_batches_;
  if (steady() && input_.deployment.drafting.tokens == 0) {
    accounting_.count_tokens(now, seconds, 1, pool.active_in(m));
    return false;
  }
  std::array<std::int64_t, kMaxDrafts + 2> by_tokens{};
  if (steady()) {
    for (std::int64_t r = pool.active_in(m); r > 0; --r) {
      ++by_tokens[static_cast<std::size_t>(accepted_tokens())];
    }
    for (std::size_t k = 1; k < by_tokens.size(); ++k) {
      accounting_.count_tokens(now, seconds, static_cast<std::int64_t>(k), by_tokens[k]);
    }
    return false;
  }
  std::size_t left = 0;
  const double filled = pool.kv_filled();
  const std::size_t preempted = pool.step(
      now, m,
      [&](const ActiveRequest& request) {
        const std::int64_t got = std::min(accepted_tokens(), request.remaining);
        if (request.paused > SimTime()) {
          accounting_.count_tokens(now, seconds + request.paused.seconds().value(), got, 1);
        } else {
          ++by_tokens[static_cast<std::size_t>(got)];
        }
        return got;
      },
      [&](const ActiveRequest& request) {
        ++left;
        if (input_.record_requests) {
          gone_.push_back(record_of(request));
          gone_.back().finished = now;
        }
        accounting_.finished(
            (now - request.admitted).seconds().value() / static_cast<double>(request.generated),
            now - request.arrival);
      },
      size_);
  for (std::size_t k = 1; k < by_tokens.size(); ++k) {
    accounting_.count_tokens(now, seconds, static_cast<std::int64_t>(k), by_tokens[k]);
  }
  accounting_.preempted(preempted);
  accounting_.fills(now, filled, pool.kv_filled());
  const bool grows = input_.admission.policy == AdmissionPolicy::current_length;
  const bool freed = left > 0 || preempted > 0;
  if (freed || grows) tell_holdings(now);
  if (!freed) return false;
  if (input_.workload.kind == Workload::Kind::closed_loop) {
    for (std::size_t i = 0; i < left; ++i) pool.enqueue(draw_request(now));
  }
  return true;
}

std::int64_t Requests::accepted_tokens() {
  std::int64_t got = 1;
  const Drafting& d = input_.deployment.drafting;
  while (got <= d.tokens && drafting_.uniform() < d.acceptance_of(got - 1)) ++got;
  return got;
}

std::vector<RequestRecord> Requests::records() const {
  if (!input_.record_requests) return {};
  std::vector<RequestRecord> out = gone_;
  for (const RequestPool& pool : pools_) {
    pool.for_each_active([&](const ActiveRequest& request) { out.push_back(record_of(request)); });
    for (const PendingRequest& request : pool.waiting()) {
      RequestRecord& record = out.emplace_back();
      record.arrival = request.arrival;
      record.context_tokens = request.context;
      if (!request.past) continue;
      record.admitted = request.past->admitted;
      record.first_token = request.past->first_token;
      record.context_tokens -= request.past->generated;
      record.output_tokens = request.past->generated;
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const RequestRecord& a, const RequestRecord& b) {
    return a.arrival < b.arrival;
  });
  return out;
}

std::uint64_t Requests::in_decode() const {
  std::uint64_t sum = 0;
  for (const RequestPool& pool : pools_) sum += static_cast<std::uint64_t>(pool.active());
  return sum;
}

std::uint64_t Requests::waiting() const {
  std::uint64_t sum = 0;
  for (const RequestPool& pool : pools_) sum += pool.waiting().size();
  return sum;
}

}  // namespace ridge::decode
