#include "kinds.hpp"

namespace ridge::models {

void emit(const NoAttention& /*kind*/, const AttentionContext& /*c*/) {}
void count(const NoAttention& /*kind*/, double /*hidden*/, ProjectionParameters& /*out*/) {}
Bytes cache(const NoAttention& /*kind*/, Precision /*precision*/, double /*tokens*/) {
  return {};
}
std::int64_t cache_ranks(const NoAttention& /*kind*/, std::int64_t /*tensor_parallel*/) {
  return 1;
}
std::int64_t rank(const NoAttention& /*kind*/) {
  return 0;
}
std::int64_t split_heads(const NoAttention& /*kind*/) {
  return 0;
}
const KeyTable& keys_of(const NoAttention* /*of*/) {
  static const KeyTable table = key_table<NoAttention>("", "", {});
  return table;
}
Problem problem(const NoAttention& /*kind*/) {
  return {};
}

}  // namespace ridge::models
