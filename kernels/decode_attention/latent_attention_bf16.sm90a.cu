#include "decode_attention/latent_attention.cuh"

namespace ridge::kernels::decode {

void launch_latent_attention(const CUtensorMap& latent, const Arguments& arguments, int ctas,
                             Implementation implementation, cudaStream_t stream) {
  implementation == Implementation::kHopperOneTerm
      ? launch_latent<KvType::kBf16, 1>(latent, arguments, ctas, stream)
      : launch_latent<KvType::kBf16, value_passes(KvType::kBf16)>(latent, arguments, ctas, stream);
}

}  // namespace ridge::kernels::decode
