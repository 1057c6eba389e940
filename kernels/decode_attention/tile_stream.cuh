#pragma once

#include "common/async_copy.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/pages.cuh"
#include "decode_attention/tile_plan.hpp"
#include "pipeline/slots.cuh"

#include <cstdint>

#include <cuda_fp16.h>

/// What the Hopper decode-attention kernels have in common: the roles of a CTA, its shared memory,
/// and the producer, which streams K and V tiles (one page each) through a ring of slots. A slot is
/// empty when the four warps of the one consumer that reads it have arrived.
namespace ridge::kernels::decode {

namespace named {
inline constexpr int kConsumersTogether = 1;  // and 2, 3: each consumer alone.
inline constexpr int kFirstConsumer = 2;
}  // namespace named

__device__ __forceinline__ std::uint32_t pack_f16(float low, float high) {
  const __half2 pair = __floats2half2_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}
/// Two BF16 queries as two F16.
__device__ __forceinline__ std::uint32_t bf16_pair_as_f16(std::uint32_t pair) {
  return pack_f16(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}

/// What every role needs to know of shared memory.
template <int HeadDim, KvType Type>
struct SharedTiles {
  static constexpr TilePlan kPlan = tile_plan(HeadDim, Type);

  std::uint32_t origin;
  unsigned char* generic;  // The same place as an ordinary pointer.
  pipeline::Slots<> slots;

  __device__ std::uint32_t slot(std::uint32_t index) const {
    return origin + kPlan.slot_offset + index * kPlan.slot_bytes;
  }
};

template <int HeadDim, KvType Type>
struct TileStream {
  using Shared = SharedTiles<HeadDim, Type>;
  static constexpr TilePlan kPlan = Shared::kPlan;
  /// By tensor map, which swizzles, or as the plain bytes of the page.
  static constexpr bool kByMap = tiles_by_map(HeadDim, Type);

  static __device__ void load_tile(const Shared& shared, const CUtensorMap* map, const void* cache,
                                   const pipeline::RingPosition& at, std::int64_t tile_row,
                                   std::uint64_t policy) {
    shared.slots.wait_empty(at);
    const std::uint32_t full = shared.slots.expect(at, kPlan.slot_bytes);
    if constexpr (kByMap) {
      tensor_load_3d(shared.slot(at.slot), map, full, 0, static_cast<std::int32_t>(tile_row), 0,
                     policy);
    } else {
      bulk_load(shared.slot(at.slot), static_cast<const unsigned char*>(cache) + tile_row * HeadDim,
                kPlan.slot_bytes, full, policy);
    }
  }

  static __device__ void produce(const Shared& shared, const CacheMaps& maps,
                                 const Arguments& arguments, int begin, int end) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    // A KV head of more than 64 query heads is streamed once per row block: keep it in L2.
    const std::uint64_t policy =
        arguments.query_heads > kTileRows * arguments.kv_heads ? kEvictNormal : kEvictFirst;
    for_each_page(
        arguments, begin, end, [&](const Segment& segment, std::uint32_t tile, std::int64_t page) {
          if (lane != 0) {
            return;
          }
          const std::int64_t row = (page * arguments.kv_heads + segment.kv_head) * kPageTokens;
          load_tile(shared, &maps.key, arguments.key,
                    tile_position(tile, Tensor::kKey, kPlan.slots), row, policy);
          load_tile(shared, &maps.value, arguments.value,
                    tile_position(tile, Tensor::kValue, kPlan.slots), row, policy);
        });
  }

  /// Tokens of the segment's `tile`-th tile that count.
  static __device__ int valid_tokens(const Segment& segment, int tile) {
    return min(segment.kv_tokens - (segment.first_tile + tile) * kPageTokens, kPageTokens);
  }
};

}  // namespace ridge::kernels::decode
