#include "decode_attention/attention.cuh"

namespace ridge::kernels::decode {
template void launch_attention<64, KvType::kE4m3>(const CacheMaps&, const Arguments&, int, Pairing,
                                                  Implementation, cudaStream_t);
}  // namespace ridge::kernels::decode
