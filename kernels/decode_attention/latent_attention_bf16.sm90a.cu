#include "decode_attention/latent_attention.cuh"

namespace ridge::kernels::decode {

void launch_latent_attention(const CUtensorMap& latent, const Arguments& arguments, int ctas,
                             Implementation implementation, cudaStream_t stream) {
  switch (implementation) {
    case Implementation::kHopperOneTerm:
      return launch_latent_instance<KvType::kBf16, 1>(latent, arguments, ctas, stream);
    case Implementation::kHopperTurns:
      return launch_latent_instance<KvType::kBf16, 1, LatentTurns::kScoresFirst>(latent, arguments,
                                                                                 ctas, stream);
    default:
      return launch_latent_instance<KvType::kBf16, value_passes(KvType::kBf16)>(latent, arguments,
                                                                                ctas, stream);
  }
}

}  // namespace ridge::kernels::decode
