// Decode attention: a few query rows against a long cache, split over the chip's compute units.
// Serves grouped heads (MHA, GQA, MQA, MFA) and the absorbed latent (MLA) alike: MLA is one KV head
// whose cache holds fewer values than its two products read.
#pragma once

#include "ridge/hwmodels/calibrated/form.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace ridge::hw::calibrated {

// How a kernel divides one sequence's cache over compute units.
enum class SplitPolicy : std::uint8_t {
  balanced,  // all tiles of the launch spread evenly, as a scheduler that knows the lengths does
  fill,      // as many splits as there are idle compute units
};

struct DecodeAttentionForm {
  struct Shape {
    double sequences = 1;
    double context = 1;
    double query_rows = 1;  // query heads x new tokens, per sequence
    double kv_heads = 1;
    double qk_dim = 1;
    double v_dim = 1;
    double values_per_token = 2;  // stored, all KV heads
    double bytes_per_value = 2;
  };

  // Facts of a kernel that are whole numbers, found by trying.
  struct Choice {
    double tile_tokens = 128;  // cache tokens per step of a block
    double tile_rows = 64;     // query rows that share one reading of the cache
    double min_tiles = 4;      // no split at or below this many tiles
    SplitPolicy split = SplitPolicy::balanced;
    friend bool operator==(const Choice&, const Choice&) = default;
  };

  enum Index : std::uint8_t {
    launch_us,
    block_us,
    sequence_us,
    tile_us,
    block_GBps,
    block_TFLOPps,
    combine_us,
    combine_TBps,
    memory_TBps,
    l2_TBps,
    l2_MB,
    softness,
    reread,
    row_TBps,
    kParameterCount
  };
  using Parameters = std::array<double, kParameterCount>;

  [[nodiscard]] static std::span<const ParameterInfo> parameters();
  [[nodiscard]] static std::vector<Choice> choices(bool latent);

  [[nodiscard]] static double splits(const Machine& machine, const Choice& choice, double blocks,
                                     double tiles) {
    if (tiles <= choice.min_tiles) return 1.0;
    if (choice.split == SplitPolicy::fill) {
      return std::clamp(
          static_cast<double>(static_cast<std::int64_t>(machine.compute_units / blocks)), 1.0,
          std::min(tiles, kMaxSplits));
    }
    if (blocks >= kFull * machine.compute_units) return 1.0;
    const double tiles_per_block = round_up(kSlack * blocks * tiles / machine.compute_units);
    return std::min(round_up(tiles / tiles_per_block), kMaxSplits);
  }

  // launch + sequences + queries and outputs + [split] combine
  //   + soft_max(waves of blocks, cache bytes / bandwidth).
  [[nodiscard]] static Estimate time(const Machine& machine, const Choice& choice,
                                     const Parameters& p, const Shape& s) {
    const double group = s.query_rows / s.kv_heads;
    const double row_tiles = round_up(group / choice.tile_rows);
    // The matrix units work on whole tiles: a group that fills half of one costs as much.
    const double rows = choice.tile_rows;
    const double blocks = row_tiles * s.sequences * s.kv_heads;
    const double tiles = std::max(1.0, round_up(s.context / choice.tile_tokens));
    const double split = splits(machine, choice, blocks, tiles);

    // The first reading comes from memory or, where the whole cache of the launch fits, from L2;
    // further row tiles read partly what the first left in L2.
    const double cache_MB = s.sequences * s.context * s.values_per_token * s.bytes_per_value * 1e-6;
    const double x2 = (cache_MB / p[l2_MB]) * (cache_MB / p[l2_MB]);
    const double x8 = (x2 * x2) * (x2 * x2);
    const double resident = 1.0 / (1.0 + x8);
    const double us_per_MB = resident / p[l2_TBps] + (1.0 - resident) / p[memory_TBps];
    const double memory = cache_MB * us_per_MB * (1.0 + p[reread] * (row_tiles - 1.0));

    const double tile_KB =
        choice.tile_tokens * s.values_per_token / s.kv_heads * s.bytes_per_value * 1e-3;
    const double tile_MFLOP = 2.0 * rows * choice.tile_tokens * (s.qk_dim + s.v_dim) * 1e-6;
    const double tile = p[tile_us] + tile_KB / p[block_GBps] + tile_MFLOP / p[block_TFLOPps];
    const double waves = round_up(blocks * split / machine.compute_units);
    const double core = waves * (p[block_us] + round_up(tiles / split) * tile);

    const double rows_MB = s.sequences * s.query_rows * (s.qk_dim + s.v_dim) * 2e-6;
    double fixed = p[launch_us] + p[sequence_us] * s.sequences + rows_MB / p[row_TBps];
    if (split > 1.0) {
      const double partial_MB = 2.0 * split * s.sequences * s.query_rows * s.v_dim * 4e-6;
      fixed += p[combine_us] + partial_MB / p[combine_TBps];
    }
    const double work = soft_max(core, memory, p[softness]);
    const Resource bound = fixed > work     ? Resource::launch
                           : memory >= core ? Resource::memory
                                            : Resource::compute;
    return {.us = fixed + work, .bound = bound};
  }

 private:
  static constexpr double kMaxSplits = 128.0;
  // A launch that nearly fills the chip is not split; a little slack keeps the splits from
  // spilling into another wave (both as FlashAttention's scheduler has it).
  static constexpr double kFull = 0.8;
  static constexpr double kSlack = 1.1;
};

}  // namespace ridge::hw::calibrated
