// What each GPU holds, and whether it fits.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/decode/deployment.hpp"
#include "ridge/decode/workload.hpp"

#include <string>
#include <vector>

namespace ridge::decode {

struct PoolMemory {
  std::string pool;
  Bytes capacity;   // of one GPU
  Bytes weights;    // on one GPU
  Bytes reserve;    // on one GPU, for neither weights nor KV
  Bytes kv_budget;  // left for KV on one GPU at the allowed utilization; 0 where it keeps none
};

struct MemoryPlan {
  // What does not fit and by how much, in words.
  struct Problem {
    std::string pool;
    std::string words;
  };

  std::vector<PoolMemory> pools;
  std::vector<Problem> problems;
};

// `workload`: whose steps need activations; none are counted without requests. Throws UserError
// where a chip's memory is unknown.
[[nodiscard]] MemoryPlan plan_memory(const Deployment& deployment, const Admission& admission,
                                     const Workload& workload = {});

// KV of one request of `tokens` tokens on each GPU of its group, whole pages.
[[nodiscard]] Bytes request_kv_bytes(const Deployment& deployment, const Admission& admission,
                                     std::int64_t tokens);

}  // namespace ridge::decode
