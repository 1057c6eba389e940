#pragma once

#include "decode_attention/problem.hpp"

#include <cstdint>
#include <vector>

namespace ridge::kernels::decode {

/// Query rows of one tile: the M of wgmma. A KV head with more query heads than this is processed
/// as several row blocks, each of which streams the cache again.
inline constexpr int kTileRows = 64;

/// A run of consecutive tiles of one (request, KV head, row block) that one CTA processes alone.
struct Segment {
  std::int32_t request = 0;
  std::int32_t kv_head = 0;
  std::int32_t row_block = 0;
  std::int32_t first_tile = 0;
  std::int32_t tiles = 0;      ///< 0 only for a request of length 0, whose output is still written.
  std::int32_t kv_tokens = 0;  ///< The request's whole length: masks the last tile.
  std::int32_t partial = -1;   ///< Where the unfinished result goes, or -1: this is all of it.
  /// 1: the CTA beside this one (2i and 2i + 1 are a pair) has the tiles before or behind these,
  /// and both results are merged between the two. Such a segment is its CTA's last.
  std::int32_t paired = 0;
};
static_assert(sizeof(Segment) == 32);

/// Whether CTAs 2i and 2i + 1 run as a cluster and merge what they share of a result between them.
enum class Pairing { kNone, kPairs };

/// The partial results of one (request, KV head, row block) that was split over CTAs.
struct Merge {
  std::int32_t request = 0;
  std::int32_t kv_head = 0;
  std::int32_t row_block = 0;
  std::int32_t first_partial = 0;
  std::int32_t partials = 0;
};

/// Who processes what. Made on the host once per decode step and shared by all layers, since it
/// depends on nothing but the lengths.
struct Schedule {
  std::vector<Segment> segments;        ///< In CTA order.
  std::vector<std::int32_t> cta_begin;  ///< CTA i runs segments [cta_begin[i], cta_begin[i + 1]).
  std::vector<Merge> merges;            ///< In the order of their partials.
  int partials = 0;                     ///< Total over all merges.
  Pairing pairing = Pairing::kNone;     ///< What it was made for.

  int ctas() const { return static_cast<int>(cta_begin.size()) - 1; }
};

/// What a segment costs beyond its tiles (loading Q, merging the two consumers, writing the result
/// and, where it is a part, merging it with the others), in tiles. On an H200 with 64 heads on one
/// KV head of 256, with 5 and with 10: 84 requests of 2K in E4M3 43.5 and 42.1 us, ragged batches
/// of 64 x 8K 100.8 and 99.8; in BF16, whose tiles take longer, 60.8 and 61.1, 160.2 and 159.6.
/// Before equal requests were given CTAs in even numbers (make_schedule), 64 requests of 2K
/// took 34.5 and 30.9 in E4M3. 8, between the two, was not tried alone.
inline constexpr int kSegmentCostTiles = 8;

/// No more CTAs are used than there are pieces of this many tiles: a CTA's two consumers take
/// alternate tiles, and one tile would leave one of them idle. A CTA's end may still be shorter.
inline constexpr int kSplitTiles = 2;

/// Splits the work over at most `max_ctas` CTAs so that each has the same payload: its tiles plus
/// `segment_cost` per segment. With segment_cost 0 any two CTAs differ by at most one tile;
/// otherwise a CTA may be up to segment_cost + 1 short, since a segment must have room for one
/// tile. Order is by request, then KV head, so the result is a function of its arguments alone. The
/// row blocks of a KV head go to neighboring CTAs, which do the same at the same time; with fewer
/// CTAs than row blocks, to one after another. A few CTAs fewer are used where that gives each the
/// same number of equal requests, or each request the same number of CTAs, and is judged cheaper.
///
/// With kPairs the CTAs are an even number (the last may have nothing to do, and two are used where
/// `max_ctas` is 1), and what two CTAs of a pair share counts as one part, of one result if there
/// is no other. Row blocks side by side, which are different results, leave nothing to pair.
Schedule make_schedule(const Problem& problem, int max_ctas, int segment_cost = kSegmentCostTiles,
                       Pairing pairing = Pairing::kNone);

/// The same by pairs where fewer results are then left to merge elsewhere. Where as many are, of
/// one request alone above all, a cluster's launch costs what a few parts less save.
Schedule make_best_schedule(const Problem& problem, int max_ctas);

}  // namespace ridge::kernels::decode
