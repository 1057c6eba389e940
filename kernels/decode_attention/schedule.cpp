#include "decode_attention/schedule.hpp"

#include <algorithm>
#include <stdexcept>

namespace ridge::kernels::decode {
namespace {

std::int64_t tiles_of(std::int32_t tokens) {
  return (static_cast<std::int64_t>(tokens) + kTileTokens - 1) / kTileTokens;
}

struct Item {
  Segment whole;  ///< All tiles of one (request, KV head, row block).
};

/// A run of tiles that a CTA was dealt.
struct Part {
  int cta;
  Segment segment;  ///< Its partial counts within the item, or is -1.
  int of = 1;       ///< Parts of the item.
};

std::vector<Item> list_items(const Problem& problem, int row_blocks) {
  std::vector<Item> items;
  items.reserve(static_cast<std::size_t>(problem.batch()) * problem.kv_heads * row_blocks);
  for (int request = 0; request < problem.batch(); ++request) {
    const std::int32_t tokens = problem.kv_lengths[request];
    for (int kv_head = 0; kv_head < problem.kv_heads; ++kv_head) {
      for (int row_block = 0; row_block < row_blocks; ++row_block) {
        Segment whole;
        whole.request = request;
        whole.kv_head = kv_head;
        whole.row_block = row_block;
        whole.tiles = static_cast<std::int32_t>(tiles_of(tokens));
        whole.kv_tokens = tokens;
        items.push_back({whole});
      }
    }
  }
  return items;
}

/// Payload of CTA `cta` when all of them together are given `total`: differs by at most 1 between
/// CTAs.
std::int64_t budget(std::int64_t total, int ctas, int cta) {
  return (cta + 1) * total / ctas - cta * total / ctas;
}

/// Deals the items in order, each CTA taking what fits its budget. Calls take(cta, item, first,
/// tiles). Returns whether everything fitted.
template <typename Take>
bool deal(const std::vector<Item>& items, std::int64_t total, int ctas, int segment_cost,
          Take&& take) {
  int cta = 0;
  std::int64_t room = budget(total, ctas, 0);
  for (const Item& item : items) {
    std::int64_t first = 0;
    const std::int64_t tiles = item.whole.tiles;
    do {
      const std::int64_t least = segment_cost + (tiles > 0 ? 1 : 0);
      while (room < least) {
        if (++cta == ctas) {
          return false;
        }
        room = budget(total, ctas, cta);
      }
      const std::int64_t taken = std::min(tiles - first, room - segment_cost);
      take(cta, item, first, taken);
      room -= segment_cost + taken;
      first += taken;
    } while (first < tiles);
  }
  return true;
}

/// The smallest total budget that fits. Splits cost extra, at most segment_cost per CTA, and a CTA
/// wastes at most segment_cost; twice that, and one for rounding, always suffices.
std::int64_t least_total(const std::vector<Item>& items, std::int64_t payload, int ctas,
                         int segment_cost) {
  std::int64_t low = payload;
  std::int64_t high = payload + static_cast<std::int64_t>(ctas) * (2 * segment_cost + 2);
  const auto ignore = [](int, const Item&, std::int64_t, std::int64_t) {};
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (deal(items, middle, ctas, segment_cost, ignore)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return high;
}

/// Bytes of a part of a result, written and read again, in tiles.
double part_tiles(const Problem& problem) {
  const double part =
      2.0 * std::min(problem.group(), kTileRows) * problem.value_dim() * sizeof(float);
  return part /
         (static_cast<double>(problem.cached_token_bytes()) / problem.kv_heads * kTileTokens);
}

bool in_one_pair(int cta, int other) {
  return cta / 2 == other / 2;
}

/// Into how many parts items are split when dealt so; with `pairs` those of a pair count as one.
int count_parts(const std::vector<Item>& items, std::int64_t total, int ctas, int segment_cost,
                bool pairs) {
  int parts = 0;
  int of_item = 0;
  int last_cta = 0;
  deal(items, total, ctas, segment_cost,
       [&](int cta, const Item& item, std::int64_t first, std::int64_t tiles) {
         of_item = first == 0 ? 1 : of_item + (pairs && in_one_pair(cta, last_cta) ? 0 : 1);
         last_cta = cta;
         if (first + tiles == item.whole.tiles) {
           parts += of_item > 1 ? of_item : 0;
         }
       });
  return parts;
}

struct Division {
  int ctas;
  std::int64_t total;  ///< The budgets of all of them.
};

/// All CTAs, or as many fewer as give each the same number of items or each item the same number of
/// CTAs: where items are equal none is then split in vain, and memory, which all CTAs wait for, is
/// as busy. What counts is the longest CTA and the CTA's share of the parts' bytes. With pairs, to
/// whom an even division leaves nothing to merge elsewhere, it is taken wherever it is nearly all:
/// 64 requests of 32K took an H200 531 us on 132 CTAs and 525 on 128, 289 and 285 in E4M3.
Division divide(const std::vector<Item>& items, std::int64_t payload, int most, int segment_cost,
                double part_tiles, bool pairs) {
  const auto count = static_cast<int>(items.size());
  const int even = count <= most
                       ? most / count * count
                       : (count + (count + most - 1) / most - 1) / ((count + most - 1) / most);
  constexpr int kNearlyAll = 32;  // One SM of so many is left idle.
  if (pairs && (most - even) * kNearlyAll <= most) {
    return {even, least_total(items, payload, even, segment_cost)};
  }
  Division best{};
  double best_cost = 0;
  for (const int ctas : {most, even}) {
    if (ctas == best.ctas) {
      continue;
    }
    const std::int64_t total = least_total(items, payload, ctas, segment_cost);
    const double longest = static_cast<double>((total + ctas - 1) / ctas);
    const double cost =
        longest + part_tiles * count_parts(items, total, ctas, segment_cost, pairs) / ctas;
    if (best.ctas == 0 || cost < best_cost) {
      best = {ctas, total};
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace

Schedule make_schedule(const Problem& problem, int max_ctas, int segment_cost, Pairing pairing) {
  problem.validate();
  if (max_ctas < 1 || segment_cost < 0) {
    throw std::invalid_argument(
        "decode attention: a schedule needs at least one CTA and no negative cost");
  }
  // CTAs that run at the same time stream the same pages for their row blocks, so that all but one
  // find them in L2: one row block is dealt, and the others do the same beside it.
  const int row_blocks = (problem.group() + kTileRows - 1) / kTileRows;
  const int abreast = max_ctas >= row_blocks ? row_blocks : 1;
  const bool pairs = pairing == Pairing::kPairs && abreast == 1;
  const std::vector<Item> items = list_items(problem, row_blocks / abreast);
  std::int64_t payload = 0;  // Without the cost of any split.
  std::int64_t pieces = 0;   // The most segments that are worth their while.
  for (const Item& item : items) {
    payload += segment_cost + item.whole.tiles;
    pieces += std::max((item.whole.tiles + kSplitTiles - 1) / kSplitTiles, 1);
  }
  const int dealt_to = pairs ? std::max(max_ctas / 2 * 2, 1) : max_ctas / abreast;
  const auto [ctas, total] =
      divide(items, payload, static_cast<int>(std::min<std::int64_t>(dealt_to, pieces)),
             segment_cost, part_tiles(problem), pairs);

  std::vector<Part> parts;
  deal(items, total, ctas, segment_cost,
       [&](int cta, const Item& item, std::int64_t first, std::int64_t tiles) {
         Part part{cta, item.whole};
         part.segment.first_tile = static_cast<std::int32_t>(first);
         part.segment.tiles = static_cast<std::int32_t>(tiles);
         if (tiles != item.whole.tiles) {
           const bool beside = pairs && first > 0 && in_one_pair(cta, parts.back().cta);
           part.segment.partial = first == 0 ? 0 : parts.back().segment.partial + (beside ? 0 : 1);
           if (beside) {
             part.segment.paired = parts.back().segment.paired = 1;
           }
         }
         parts.push_back(part);
       });

  Schedule schedule;
  schedule.pairing = pairing;
  for (auto part = parts.begin(); part != parts.end();) {
    auto end = part + 1;
    while (end != parts.end() && end->segment.first_tile > 0) {
      ++end;
    }
    const int count = std::max((end - 1)->segment.partial, 0) + 1;
    for (int block = 0; count > 1 && block < abreast; ++block) {
      const Segment& segment = part->segment;
      schedule.merges.push_back({segment.request, segment.kv_head, segment.row_block + block,
                                 schedule.partials + block * count, count});
    }
    for (; part != end; ++part) {
      part->of = count;
      part->segment.partial = count > 1 ? part->segment.partial + schedule.partials : -1;
    }
    schedule.partials += count > 1 ? count * abreast : 0;
  }

  schedule.cta_begin.push_back(0);
  auto part = parts.cbegin();
  for (int cta = 0; cta < ctas; ++cta) {
    const auto end =
        std::find_if(part, parts.cend(), [cta](const Part& p) { return p.cta != cta; });
    for (int block = 0; block < abreast; ++block) {
      for (auto mine = part; mine != end; ++mine) {
        Segment segment = mine->segment;
        segment.row_block += block;
        segment.partial += segment.partial >= 0 ? block * mine->of : 0;
        schedule.segments.push_back(segment);
      }
      schedule.cta_begin.push_back(static_cast<std::int32_t>(schedule.segments.size()));
    }
    part = end;
    // What a pair shares both do last, so that neither waits in the midst of its work.
    const auto first = schedule.segments.begin() + schedule.cta_begin[schedule.ctas() - 1];
    if (first != schedule.segments.end() && first->paired != 0) {
      std::rotate(first, first + 1, schedule.segments.end());
    }
  }
  if (pairing == Pairing::kPairs && schedule.ctas() % 2 != 0) {
    schedule.cta_begin.push_back(schedule.cta_begin.back());
  }
  return schedule;
}

Schedule make_best_schedule(const Problem& problem, int max_ctas) {
  Schedule alone = make_schedule(problem, max_ctas);
  if (alone.merges.empty() || problem.latent() || problem.group() > kTileRows) {
    return alone;
  }
  Schedule pairs = make_schedule(problem, max_ctas, kSegmentCostTiles, Pairing::kPairs);
  return pairs.merges.size() < alone.merges.size() ? pairs : alone;
}

}  // namespace ridge::kernels::decode
