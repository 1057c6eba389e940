#include "bench/registry.hpp"

#include "decode_attention/family.hpp"
#include "elementwise/family.hpp"
#include "moe/family.hpp"

// The families of ridge-bench that check kernels of this project; the others time the machine and
// its libraries.

namespace ridge::kernels::bench {

const std::vector<Family>& families() {
  static const std::vector<Family> table = {
      elementwise::rms_norm_quantise_family(),
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
