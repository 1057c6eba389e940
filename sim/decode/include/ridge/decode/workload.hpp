// Who asks for tokens: a fixed batch, Poisson arrivals, or a recorded trace. Prefill happens
// elsewhere: a request arrives with its context in the KV cache.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/base/random.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace ridge::decode {

// A number of tokens.
struct LengthDistribution {
  enum class Kind : std::uint8_t { fixed, uniform, lognormal };
  Kind kind = Kind::fixed;
  double tokens = 1;  // fixed: the value; lognormal: the median
  double sigma = 0;   // lognormal: standard deviation of the logarithm
  double min = 1;     // uniform, lognormal: inclusive bounds
  double max = 1;

  [[nodiscard]] std::int64_t sample(Random& random) const;
  [[nodiscard]] double mean() const;
  // No sample is larger.
  [[nodiscard]] std::int64_t largest() const {
    return static_cast<std::int64_t>(kind == Kind::fixed ? tokens : max);
  }
};

struct TraceRequest {
  Seconds arrival;
  std::int64_t context_tokens = 1;
  std::int64_t output_tokens = 1;
};

struct Workload {
  enum class Kind : std::uint8_t { closed_loop, poisson, trace };
  Kind kind = Kind::closed_loop;

  // closed_loop: always this many requests, over all micro-batches: one of the three is given. A
  // group of GPUs that share requests has whole ones.
  double requests_per_gpu = 0;  // of the attention pool
  std::int64_t requests_per_group = 0;
  std::int64_t requests = 0;  // of all replicas together
  // closed_loop: contexts neither grow nor end, as papers measure; otherwise a request that ends is
  // replaced at once.
  bool steady = false;
  // steady: cached tokens of the longest request, taken to be in every micro-batch of every group;
  // 0: those of the longest drawn.
  std::int64_t longest_context = 0;

  double requests_per_second = 0.0;  // poisson
  LengthDistribution context;        // closed_loop, poisson
  LengthDistribution output;         // closed_loop (unless steady), poisson
  std::vector<TraceRequest> trace;   // by arrival
};

// Among the groups of a micro-batch (and the replicas), who gets a new request.
enum class RequestRouting : std::uint8_t { round_robin, least_load, least_kv };

// What memory a request must find free to be admitted.
enum class AdmissionPolicy : std::uint8_t {
  final_length,    // for all tokens that it will have, which is set aside
  current_length,  // for those that it has; where memory runs out later, the request that was
                   // admitted last gives its place up and waits again
};

// A step that an engine runs before it sizes the cache, to see what a step takes beside it: so many
// tokens of prompts on each group, and samples for so many sequences, for which every GPU has the
// logits of the whole vocabulary and sorts them.
struct ProfiledStep {
  std::int64_t tokens = 1;
  std::int64_t sequences = 1;
  friend bool operator==(const ProfiledStep&, const ProfiledStep&) = default;
};

struct Admission {
  RequestRouting routing = RequestRouting::least_kv;
  AdmissionPolicy policy = AdmissionPolicy::final_length;
  std::int64_t max_requests_per_gpu = 0;  // over all micro-batches; 0: memory alone decides
  std::int64_t page_tokens = 64;
  double memory_utilization = 0.9;  // of a GPU's memory, for weights and KV together
  // What it took is kept free, whatever the batch; where absent, what the workload's steps take.
  std::optional<ProfiledStep> profile;
};

}  // namespace ridge::decode
