// Prompts on the GPUs that decode: what one costs the requests that decode meanwhile.
#pragma once

#include "ridge/decode/deployment.hpp"

namespace ridge::evidence {

struct Prefill {
  double tokens = 1;    // of a prompt
  double decoding = 1;  // requests that decode meanwhile
  bool mixed = false;   // a prompt shares a step with them; otherwise they wait for it
};

// By how much a prompt lengthens the step that it comes into: products, norms and collectives at
// the prompt's rows beside those of the decoding requests, and its attention to itself. The
// deployment is one group of GPUs (tensor parallelism).
[[nodiscard]] Seconds prefill_wait(const decode::Deployment& deployment, const Prefill& prefill);

}  // namespace ridge::evidence
