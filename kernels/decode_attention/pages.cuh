#pragma once

#include "decode_attention/arguments.hpp"

#include <cstdint>

namespace ridge::kernels::decode {

/// The pages of a segment, tile by tile, read by a whole warp: 32 entries of the block table at a
/// time, one load latency per 32 tiles. Entries past the end are garbage and are not read.
class SegmentPages {
 public:
  __device__ SegmentPages(const Arguments& arguments, const Segment& segment)
      : entries_(arguments.block_table +
                 static_cast<std::int64_t>(segment.request) * arguments.block_table_stride +
                 segment.first_tile),
        tiles_(segment.tiles) {}

  /// Of `tile`, which rises by one from call to call, from 0. All lanes call it together.
  __device__ std::int32_t page(int tile) {
    if (tile % 32 == 0) {
      const int mine = tile + static_cast<int>(threadIdx.x) % 32;
      fetched_ = mine < tiles_ ? entries_[mine] : 0;
    }
    return __shfl_sync(0xffffffffu, fetched_, tile % 32);
  }

 private:
  const std::int32_t* entries_;
  int tiles_;
  std::int32_t fetched_ = 0;
};

/// The producer's walk: calls load(segment, tile, page) for the tiles of segments [begin, end),
/// where `tile` counts over the CTA's whole work. All lanes of a warp walk together.
template <typename Load>
__device__ __forceinline__ void for_each_page(const Arguments& arguments, int begin, int end,
                                              Load load) {
  std::uint32_t tiles = 0;
  for (int index = begin; index < end; ++index) {
    const Segment segment = arguments.segments[index];
    SegmentPages pages(arguments, segment);
    for (int tile = 0; tile < segment.tiles; ++tile) {
      load(segment, tiles++, pages.page(tile));
    }
  }
}

}  // namespace ridge::kernels::decode
