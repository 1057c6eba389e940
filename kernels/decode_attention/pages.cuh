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

  /// That holds a token of the request; the last page for those past the end, which thereby are
  /// numbers too. Calls go from the segment's first token on, a tile or a page at a time, and may
  /// go through a tile again. All lanes call it together.
  __device__ std::int32_t page_of(int token, int log2) {
    const int index = min((token >> log2) - first_, last_);
    if (index % 32 == 0) {
      const int mine = index + static_cast<int>(threadIdx.x) % 32;
      fetched_ = mine <= last_ ? entries_[mine] : 0;
    }
    return __shfl_sync(0xffffffffu, fetched_, index % 32);
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
