#pragma once

#include "decode_attention/arguments.hpp"

#include <cstdint>

namespace ridge::kernels::decode {

/// The pages of a segment, read by a whole warp: 32 entries of the block table at a time, one load
/// latency per 32 pages. Entries past the end are garbage and are not read.
class SegmentPages {
 public:
  __device__ SegmentPages(const Arguments& arguments, const Segment& segment) {
    const int log2 = arguments.page_log2;
    const int first_token = segment.first_tile * kTileTokens;
    const int last_token = min(segment.kv_tokens, first_token + segment.tiles * kTileTokens) - 1;
    first_ = first_token >> log2;
    last_ = (last_token >> log2) - first_;
    entries_ = arguments.block_table +
               static_cast<std::int64_t>(segment.request) * arguments.block_table_stride + first_;
  }

  /// Of a tile, whose first token is `token`: the page that holds it, or where a tile is several
  /// pages, the first of them to lane 0, the next to lane 1 and so on, over and over. The last page
  /// stands for those past the end, which thereby are numbers too. Calls go from the segment's
  /// first tile on, and all lanes call it together.
  __device__ std::int32_t page_of(int token, int log2) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int first = (token >> log2) - first_;
    if (first % 32 == 0) {
      fetched_ = first + lane <= last_ ? entries_[first + lane] : 0;
    }
    const int pages = log2 < kTileLog2 ? kTileTokens >> log2 : 1;
    return __shfl_sync(0xffffffffu, fetched_, min(first + lane % pages, last_) % 32);
  }

 private:
  const std::int32_t* entries_;
  int first_;
  int last_;
  std::int32_t fetched_ = 0;
};

/// The producer's walk: calls load(segment, tile, token, pages) for the tiles of segments
/// [begin, end), where `tile` counts over the CTA's whole work and `token` is the tile's first. All
/// lanes of a warp walk together.
template <typename Load>
__device__ __forceinline__ void for_each_tile(const Arguments& arguments, int begin, int end,
                                              Load load) {
  std::uint32_t tiles = 0;
  for (int index = begin; index < end; ++index) {
    const Segment segment = arguments.segments[index];
    SegmentPages pages(arguments, segment);
    for (int tile = 0; tile < segment.tiles; ++tile) {
      load(segment, tiles++, (segment.first_tile + tile) * kTileTokens, pages);
    }
  }
}

}  // namespace ridge::kernels::decode
