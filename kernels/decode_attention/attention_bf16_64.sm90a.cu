#include "decode_attention/attention.cuh"

namespace ridge::kernels::decode {
template void launch_attention<64, KvType::kBf16>(const CacheMaps&, const Arguments&, int, Pairing,
                                                  Implementation, cudaStream_t);
}  // namespace ridge::kernels::decode
