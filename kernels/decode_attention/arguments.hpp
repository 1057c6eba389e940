#pragma once

#include "decode_attention/schedule.hpp"

#include <cstdint>

#include <cuda.h>
#include <cuda_runtime.h>

namespace ridge::kernels::decode {

/// Device pointers of one launch; layouts as in problem.hpp.
struct Arguments {
  const std::uint16_t* query = nullptr;
  const void* key = nullptr;
  const void* value = nullptr;     ///< The keys themselves where a value is the head of its key.
  const float* k_scale = nullptr;  ///< E4M3 only
  const float* v_scale = nullptr;
  const std::int32_t* block_table = nullptr;
  std::int32_t block_table_stride = 0;  ///< Entries per request.
  std::int64_t cache_pages = 0;         ///< Pages that key and value hold.
  std::int32_t page_log2 = 6;           ///< Of a page's tokens.

  void* output = nullptr;
  bool output_float = false;  ///< Otherwise BF16.
  float* lse = nullptr;

  std::int32_t query_heads = 0;
  std::int32_t kv_heads = 0;
  float softmax_scale = 0;

  // The schedule, on the device.
  const Segment* segments = nullptr;
  const std::int32_t* cta_begin = nullptr;
  const Merge* merges = nullptr;
  float* partial_output = nullptr;  ///< [partials][value_dim / 8][128][4]: PartLayout
  float* partial_lse = nullptr;     ///< [partials][64], base 2
};

/// The tensor maps of a cache whose tiles land by one, see tiles_by_map. MLA has no
/// values of its own.
struct CacheMaps {
  CUtensorMap key;
  CUtensorMap value;
};

/// The tensor maps of an MLA cache in E4M3: what a token's kCodedTokenBytes hold.
struct CodedLatentMaps {
  CUtensorMap codes;   ///< A box: 128 codes, those of a scale, of a page's tokens.
  CUtensorMap scales;  ///< A box: a page's.
  CUtensorMap rope;    ///< A box: a page's.
};

enum class Implementation {
  kHopper,
  kHopperOneTerm,  ///< With P in one BF16 term: value_passes.
  kHopperSeesaw,   ///< MLA over BF16 alone: P in one term too, see seesaw_plan.hpp.
  kPortable,       ///< For every chip from Ampere on; no MLA.
};

/// Enqueue the Hopper kernel for one instance of the family. Defined in one .cu file per instance,
/// so that they compile side by side.
template <int HeadDim, KvType Type>
void launch_attention(const CacheMaps& maps, const Arguments& arguments, int ctas, Pairing pairing,
                      Implementation implementation, cudaStream_t stream);

/// The MLA kernel; `latent` maps its one cache tensor, a panel of 64 elements per box.
void launch_latent_attention(const CUtensorMap& latent, const Arguments& arguments, int ctas,
                             Implementation implementation, cudaStream_t stream);

/// The same by the seesaw.
void launch_seesaw_attention(const CUtensorMap& latent, const Arguments& arguments, int ctas,
                             cudaStream_t stream);

/// The same for a cache in E4M3.
void launch_coded_latent_attention(const CodedLatentMaps& maps, const Arguments& arguments,
                                   int ctas, cudaStream_t stream);

/// The kernel for every chip from Ampere on.
void launch_portable_attention(int head_dim, KvType type, const Arguments& arguments, int ctas,
                               cudaStream_t stream);

/// Enqueue the merge of split results; `dependent`: as a programmatic dependent of the kernel
/// before it, which takes Hopper. `most_partials` is the largest number of parts of one merge;
/// `transposed` says how they lie, see PartLayout.
void launch_combine(int value_dim, const Arguments& arguments, int merges, int most_partials,
                    bool dependent, bool transposed, cudaStream_t stream);

/// Enqueue the simple version: one warp per (request, query head), no shared memory, no schedule.
void launch_simple(const Problem& problem, const Arguments& arguments,
                   const std::int32_t* kv_lengths, cudaStream_t stream);

}  // namespace ridge::kernels::decode
