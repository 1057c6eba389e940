#include "bench/registry.hpp"
#include "ceilings/family.hpp"
#include "decode_attention/family.hpp"
#include "elementwise/family.hpp"
#include "gemm/family.hpp"
#include "moe/family.hpp"

// One line here and one below join a family to ridge-bench; its header declares
// `const bench::Family& <name>_family()`.

namespace ridge::kernels::bench {

const std::vector<Family>& families() {
  static const std::vector<Family> table = {
      // The ceilings first: what follows is reported as fractions of them.
      ceilings::memory_bandwidth_family(),
      ceilings::launch_overhead_family(),
      gemm::dense_gemm_family(),
      elementwise::rms_norm_quantize_family(),
      elementwise::rope_family(),
      elementwise::router_top_k_family(),
      decode::decode_attention_family(),
      decode::latent_attention_family(),
      moe::moe_layer_family(),
      moe::grouped_gemm_family(),
  };
  return table;
}

}  // namespace ridge::kernels::bench
