#include "decode_attention/latent_attention.cuh"

namespace ridge::kernels::decode {

void launch_coded_latent_attention(const CodedLatentMaps& maps, const Arguments& arguments,
                                   int ctas, Implementation implementation, cudaStream_t stream) {
  constexpr int kPasses = value_passes(KvType::kE4m3);
  implementation == Implementation::kHopperTurns
      ? launch_latent_instance<KvType::kE4m3, kPasses, LatentTurns::kScoresFirst>(maps, arguments,
                                                                                  ctas, stream)
      : launch_latent_instance<KvType::kE4m3, kPasses>(maps, arguments, ctas, stream);
}

}  // namespace ridge::kernels::decode
