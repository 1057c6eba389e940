#pragma once

#include "common/async_copy.cuh"
#include "decode_attention/arguments.hpp"
#include "decode_attention/f16_pairs.cuh"
#include "decode_attention/pages.cuh"
#include "decode_attention/tile_plan.hpp"
#include "pipeline/slots.cuh"

#include <cstdint>

/// What the Hopper decode-attention kernels have in common: the roles of a CTA, its shared memory,
/// and the producer, which streams K and V tiles through a ring of slots. A slot is
/// empty when the four warps of the one consumer that reads it have arrived.
namespace ridge::kernels::decode {

namespace named {
inline constexpr int kConsumersTogether = 1;  // and 2, 3: each consumer alone.
inline constexpr int kFirstConsumer = 2;
}  // namespace named

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

  static constexpr std::uint32_t kRowBytes = HeadDim * kv_element_bytes(Type);
  static constexpr std::uint32_t kPanels = kRowBytes / kPanelRowBytes;
  static constexpr std::uint32_t kPanelBytes = kTileTokens * kPanelRowBytes;
  static constexpr int kCopiedPanels = kByMap ? int{kPanels} : 1;  ///< A page's copies.
  static_assert(kCopiedPanels * kTileTokens / kLeastPageTokens <= 32, "a lane for each");

  /// Starts the copy of a tile that lies together in the cache from `row` on; a box of the map is
  /// one.
  static __device__ void load_tile(std::uint32_t into, const CUtensorMap* map, const void* cache,
                                   std::uint32_t full, std::int64_t row, std::uint64_t policy) {
    if constexpr (kByMap) {
      tensor_load_3d(into, map, full, 0, static_cast<std::int32_t>(row), 0, policy);
    } else {
      bulk_load(into, static_cast<const unsigned char*>(cache) + row * kRowBytes, kPlan.slot_bytes,
                full, policy);
    }
  }
  /// The same of a page that is a part of a tile, of `rows` tokens, by map its part of `panel`,
  /// which is a box.
  static __device__ void load_part(std::uint32_t into, const CUtensorMap* map, const void* cache,
                                   std::uint32_t full, std::int64_t row, int rows, int panel,
                                   std::uint64_t policy) {
    if constexpr (kByMap) {
      tensor_load_3d(into + panel * kPanelBytes, map, full, 0, static_cast<std::int32_t>(row),
                     panel, policy);
    } else {
      bulk_load(into, static_cast<const unsigned char*>(cache) + row * kRowBytes, rows * kRowBytes,
                full, policy);
    }
  }

  static __device__ void produce(const Shared& shared, const CacheMaps& maps,
                                 const Arguments& arguments, int begin, int end) {
    // A KV head of more than 64 query heads is streamed once per row block: keep it in L2.
    const std::uint64_t policy =
        arguments.query_heads > kTileRows * arguments.kv_heads ? kEvictNormal : kEvictFirst;
    // Two walks, since one for both needs more registers than the producer has.
    if (arguments.page_log2 < kTileLog2) {
      produce_from_parts(shared, maps, arguments, begin, end, policy);
    } else {
      produce_from_tiles(shared, maps, arguments, begin, end, policy);
    }
  }

  static __device__ void produce_from_tiles(const Shared& shared, const CacheMaps& maps,
                                            const Arguments& arguments, int begin, int end,
                                            std::uint64_t policy) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for_each_tile(
        arguments, begin, end,
        [&](const Segment& segment, std::uint32_t tile, int token, SegmentPages& pages) {
          const int log2 = arguments.page_log2;
          const std::int64_t page = pages.page_of(token, log2);
          if (lane != 0) {
            return;
          }
          const std::int64_t row =
              ((page * arguments.kv_heads + segment.kv_head) << log2) + (token & ((1 << log2) - 1));
          const auto load = [&](Tensor tensor, const CUtensorMap* map, const void* cache) {
            const pipeline::RingPosition at = tile_position(tile, tensor, kPlan.slots);
            shared.slots.wait_empty(at);
            const std::uint32_t full = shared.slots.expect(at, kPlan.slot_bytes);
            load_tile(shared.slot(at.slot), map, cache, full, row, policy);
          };
          load(Tensor::kKey, &maps.key, arguments.key);
          load(Tensor::kValue, &maps.value, arguments.value);
        });
  }

  static __device__ void produce_from_parts(const Shared& shared, const CacheMaps& maps,
                                            const Arguments& arguments, int begin, int end,
                                            std::uint64_t policy) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for_each_tile(
        arguments, begin, end,
        [&](const Segment& segment, std::uint32_t tile, int token, SegmentPages& pages) {
          const int log2 = arguments.page_log2;
          const std::int64_t row =
              (static_cast<std::int64_t>(pages.page_of(token, log2)) * arguments.kv_heads +
               segment.kv_head)
              << log2;
          // A lane for each page, or for each page's part of a panel: one that copied all would
          // take longer to say so than the copies take.
          const int parts = kTileTokens >> log2;
          const int part = lane % parts;
          const int panel = lane / parts;
          const auto load = [&](Tensor tensor, const CUtensorMap* map, const void* cache) {
            const pipeline::RingPosition at = tile_position(tile, tensor, kPlan.slots);
            if (lane == 0) {
              shared.slots.wait_empty(at);
              shared.slots.expect(at, kPlan.slot_bytes);
            }
            __syncwarp();
            constexpr std::uint32_t kRowStride = kByMap ? kPanelRowBytes : kRowBytes;
            if (panel < kCopiedPanels) {
              load_part(shared.slot(at.slot) + (part << log2) * kRowStride, map, cache,
                        shared.slots.full_barrier(at.slot), row, 1 << log2, panel, policy);
            }
          };
          load(Tensor::kKey, &maps.key, arguments.key);
          load(Tensor::kValue, &maps.value, arguments.value);
        });
  }

  /// Tokens of the segment's `tile`-th tile that count.
  static __device__ int valid_tokens(const Segment& segment, int tile) {
    return min(segment.kv_tokens - (segment.first_tile + tile) * kTileTokens, kTileTokens);
  }
};

}  // namespace ridge::kernels::decode
