#include "decode_attention/latent_attention.cuh"

namespace ridge::kernels::decode {

void launch_coded_latent_attention(const CodedLatentMaps& maps, const Arguments& arguments,
                                   int ctas, cudaStream_t stream) {
  launch_latent<KvType::kE4m3, value_passes(KvType::kE4m3)>(maps, arguments, ctas, stream);
}

}  // namespace ridge::kernels::decode
