// Decode attention: a few query rows against a long cache, split over the chip's compute units.
// Serves grouped heads (MHA, GQA, MQA, MFA) and the absorbed latent (MLA) alike: MLA is one KV head
// whose cache holds fewer values than its two products read.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/hwmodels/calibrated/form.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

// How a kernel divides one sequence's cache over compute units.
enum class SplitPolicy : std::uint8_t {
  balanced,   // all tiles of the launch spread evenly, as a scheduler that knows the lengths does
  fill,       // as many splits as find room on the compute units
  dealt,      // persistent blocks are dealt equal runs of tiles, across the ends of sequences
  efficient,  // the fewest splits that use nearly as much of the compute units as any would
  narrow,     // as fill, and three heights by what narrow_tiles() says
};

[[nodiscard]] std::span<const Named<SplitPolicy>> split_names();

struct DecodeAttentionForm {
  struct Shape {
    using Form = DecodeAttentionForm;
    double sequences = 1;
    double context = 1;     // mean
    double longest = 0;     // of the longest sequence; 0: all are alike
    double query_rows = 1;  // query heads x new tokens, per sequence
    double kv_heads = 1;
    double qk_dim = 1;
    double v_dim = 1;
    double values_per_token = 2;  // stored, all KV heads
    double bytes_per_value = 2;
    bool cold = false;  // nothing of the cache is in L2, however small it is
  };

  // What a range is kept for.
  static constexpr std::array<std::string_view, 4> kRanges = {"sequences", "context", "query_rows",
                                                              "kv_heads"};
  [[nodiscard]] static std::array<double, kRanges.size()> ranged(const Shape& s) {
    return {s.sequences, s.context, s.query_rows, s.kv_heads};
  }

  // Facts of a kernel that are whole numbers: stated where its source is public (kernel_facts.hpp),
  // found by trying otherwise.
  struct Choice {
    double tile_tokens = 128;  // cache tokens per step of a block
    // Query rows that share one reading of the cache: the heights offered, rising, 0 for none. A
    // group takes the first that holds it, or several of the last; where the split is narrow, what
    // narrow_tiles() says.
    std::array<double, 3> tile_rows{64, 0, 0};
    double min_tiles = 4;  // no split at or below this many tiles
    SplitPolicy split = SplitPolicy::balanced;
    double resident_blocks = 1;  // that one compute unit holds at a time
    friend bool operator==(const Choice&, const Choice&) = default;
  };
  template <typename C, typename Visit>
  static void choice_fields(C& choice, Visit&& visit) {
    visit("tile_tokens", choice.tile_tokens, positive(1e6));
    visit("tile_rows", choice.tile_rows);
    visit("min_tiles", choice.min_tiles, at_least(0));
    visit("split", choice.split, split_names());
    visit("resident_blocks", choice.resident_blocks, between(1, 32));
  }

  enum Index : std::uint8_t {
    launch_us,
    block_us,
    sequence_us,
    tile_us,
    block_GBps,
    block_TFLOPps,
    combine_us,
    split_us,
    combine_TBps,
    memory_TBps,
    l2_TBps,
    l2_MB,
    softness,
    reread,
    row_TBps,
    cold_us,
    kParameterCount
  };
  using Parameters = std::array<double, kParameterCount>;

  [[nodiscard]] static std::span<const ParameterInfo> parameters();
  // On a chip of this name, any where empty.
  [[nodiscard]] static Facts<Choice> facts(const CurveKey& key, std::string_view chip = {});

  // The latent attention of TensorRT-LLM's generated kernels for compute capability 10 (FlashInfer
  // v0.6.9, include/flashinfer/trtllm/fmha/fmhaKernels.cuh: selectMlaGenerationKernel and
  // useSwapsMmaAbMlaGenKernel). At most 32 query rows, and more where that leaves a block at most
  // 1,024 tokens, are the narrow side of the product, in tiles of the first two heights; else they
  // are its wide side, in tiles of the third, and two blocks share the reading of 128.
  struct NarrowTiles {
    double rows = 1;
    bool paired = false;
  };
  [[nodiscard]] static NarrowTiles narrow_tiles(double units, const Choice& choice,
                                                double sequences, double group, double context) {
    constexpr double kMostNarrow = 32.0;
    constexpr double kTokensOfASplit = 256.0;
    constexpr double kTokensOfABlock = 1024.0;
    constexpr double kPaired = 128.0;
    const auto [lowest, higher, wide] = choice.tile_rows;
    const double blocks = sequences * round_up(group / higher);
    const double splits = std::clamp(static_cast<double>(static_cast<std::int64_t>(units / blocks)),
                                     1.0, std::max(1.0, round_up(context / kTokensOfASplit)));
    const bool narrow =
        group <= kMostNarrow || (blocks <= units && round_up(context / splits) <= kTokensOfABlock);
    if (!narrow) return {.rows = wide, .paired = group == kPaired};
    return {.rows = group <= lowest ? lowest : higher};
  }

  // Height of the row tile that `group` rows of one KV head take.
  [[nodiscard]] static double tile_height(const Choice& choice, double group) {
    double rows = choice.tile_rows[0];
    if (group > rows && choice.tile_rows[1] > 0.0) rows = choice.tile_rows[1];
    if (group > rows && choice.tile_rows[2] > 0.0) rows = choice.tile_rows[2];
    return rows;
  }

  // The tile that the shape's group would just fill, in as many tiles as it takes.
  [[nodiscard]] static Choice without_padding(Choice choice, const Shape& s) {
    const double group = s.query_rows / s.kv_heads;
    if (choice.split == SplitPolicy::narrow) {
      for (double& rows : choice.tile_rows) rows = group / round_up(group / rows);
    } else {
      choice.tile_rows = {group / round_up(group / tile_height(choice, group)), 0, 0};
    }
    return choice;
  }

  // How the launch is cut: `splits` of each sequence; the busiest compute unit runs `blocks` blocks
  // one after the other, `tiles` tiles in all.
  struct Cut {
    double splits;
    double blocks;
    double tiles;
  };
  // `columns`: row tiles of one sequence, over all KV heads; `tiles` of one sequence's cache.
  [[nodiscard]] static Cut cut(const Machine& machine, const Choice& choice, double sequences,
                               double columns, double tiles) {
    const double blocks = sequences * columns;
    const double units = machine.compute_units;
    if (choice.split == SplitPolicy::dealt) return deal(units, sequences, columns, tiles);
    double splits = 1.0;
    if (tiles > choice.min_tiles) {
      if (choice.split == SplitPolicy::fill || choice.split == SplitPolicy::narrow) {
        const double slots = units * choice.resident_blocks;
        const double most =
            choice.split == SplitPolicy::fill ? tiles : round_up(tiles / choice.min_tiles);
        splits = std::clamp(static_cast<double>(static_cast<std::int64_t>(slots / blocks)), 1.0,
                            std::min(most, kMaxSplits));
      } else if (choice.split == SplitPolicy::efficient) {
        splits = efficient_splits(units, blocks, tiles);
      } else {
        const double tiles_per_block = round_up(kSlack * blocks * tiles / units);
        splits = std::min(round_up(tiles / tiles_per_block), kMaxSplits);
      }
    }
    const Pair parts = round_up(Pair{blocks * splits, tiles} / Pair{units, splits});
    return {.splits = splits, .blocks = parts[0], .tiles = parts[0] * parts[1]};
  }

  // What a launch does, whatever the parameters.
  struct Plan {
    double group;      // query rows of one KV head
    double tile_rows;  // the matrix units work on whole tiles: one half filled costs as much
    double row_tiles;
    double readings;  // of the cache, by blocks that do not share one
    double tiles;     // of one sequence's cache
    double cache_MB;
    Cut parts;
    double further_tiles;  // of the busiest compute unit, since sequences are not alike
  };
  [[nodiscard]] static Plan plan(const Machine& machine, const Choice& choice, const Shape& s);

  [[nodiscard]] static Estimate time(const Machine& machine, const Choice& choice,
                                     const Parameters& p, const Shape& s) {
    return time(choice, p, s, plan(machine, choice, s));
  }
  // launch + [from memory] first bytes + sequences + queries and outputs + [split] combine
  //   + soft_max(waves of blocks, cache bytes / bandwidth).
  [[nodiscard]] static Estimate time(const Choice& choice, const Parameters& p, const Shape& s,
                                     const Plan& plan);

  // Of the learned residual.
  static constexpr std::array<std::string_view, 11> kFeatures = {
      "log2_sequences", "log2_context",  "log2_group",  "log2_kv_heads",
      "tile_fill",      "log2_blocks",   "log2_splits", "log2_tiles",
      "log2_run_tiles", "log2_cache_MB", "wave_fill"};
  [[nodiscard]] static std::array<double, kFeatures.size()> features(const Machine& machine,
                                                                     const Shape& s,
                                                                     const Plan& plan) {
    const double units = machine.compute_units;
    const double blocks = s.sequences * plan.row_tiles * s.kv_heads;
    const Pair shares = Pair{plan.group, blocks} / Pair{plan.tile_rows * plan.row_tiles, units};
    const Pair log_batch = rough_log2(Pair{s.sequences, s.context});
    const Pair log_heads = rough_log2(Pair{plan.group, s.kv_heads});
    const Pair log_blocks = rough_log2(Pair{shares[1], plan.parts.splits});
    const Pair log_tiles = rough_log2(Pair{plan.tiles, plan.parts.tiles});
    return {log_batch[0],
            log_batch[1],
            log_heads[0],
            log_heads[1],
            shares[0],
            log_blocks[0],
            log_blocks[1],
            log_tiles[0],
            log_tiles[1],
            rough_log2(plan.cache_MB),
            fill(blocks * plan.parts.splits / units)};
  }

 private:
  // Whether the longest sequence decides into how many parts each is cut (num_splits_heuristic in
  // FlashAttention-2's csrc/flash_attn/flash_api.cpp; computeNumCtas in FlashInfer's
  // include/flashinfer/trtllm/fmha/fmhaKernels.cuh). Of "fill" some kernels do and some do not:
  // FlashInfer's own cut by tokens.
  [[nodiscard]] static constexpr bool cut_by_longest(SplitPolicy split) {
    return split == SplitPolicy::efficient || split == SplitPolicy::narrow;
  }

  // What the busiest compute unit takes for its blocks, each tile of which is `work_us` of copying
  // or arithmetic behind a latency. Blocks that it holds at a time hide each other's latency, not
  // each other's work.
  [[nodiscard]] static double core_us(const Choice& choice, const Cut& parts, const Parameters& p,
                                      double work_us) {
    const double at_a_time = choice.resident_blocks;
    if (at_a_time <= 1.0) return parts.blocks * p[block_us] + parts.tiles * (p[tile_us] + work_us);
    const double tiles = parts.tiles / parts.blocks;
    const auto round_us = [&](double blocks) {
      return p[block_us] + tiles * std::max(p[tile_us] + work_us, blocks * work_us);
    };
    const double full = static_cast<double>(static_cast<std::int64_t>(parts.blocks / at_a_time));
    const double rest = parts.blocks - full * at_a_time;
    return full * round_us(at_a_time) + (rest > 0.0 ? round_us(rest) : 0.0);
  }

  // FlashAttention-2's heuristic (csrc/flash_attn/flash_api.cpp, num_splits_heuristic): one split
  // from 0.8 of the units on, else the least number that leaves at most 15 % more idle than the
  // best.
  [[nodiscard]] static double efficient_splits(double units, double blocks, double tiles) {
    if (blocks >= 0.8 * units) return 1.0;
    const double most = std::min({kMaxSplits, units, tiles});
    const auto efficiency = [&](double splits) {
      // As many tiles to a split as with one split less: no split of its own.
      if (splits > 1.0 && round_up(tiles / splits) == round_up(tiles / (splits - 1.0))) return 0.0;
      const double waves = blocks * splits / units;
      return waves / round_up(waves);
    };
    double best = 0.0;
    for (double splits = 1.0; splits <= most; splits += 1.0) {
      best = std::max(best, efficiency(splits));
    }
    double splits = 1.0;
    while (efficiency(splits) < 0.85 * best) splits += 1.0;
    return splits;
  }

  // As FlashMLA's tile scheduler deals: every part gets the same payload of tiles, the end of a
  // sequence costing as much as kSeam of them.
  [[nodiscard]] static Cut deal(double units, double sequences, double columns, double tiles) {
    constexpr double kSeam = 5.0;
    const double parts =
        std::max(1.0, static_cast<double>(static_cast<std::int64_t>(units / columns)));
    const double rounds = std::max(1.0, round_up(columns / units));
    const double payload = round_up(sequences * (tiles + kSeam) / parts) + kSeam;
    const double pieces = round_up(payload / (tiles + kSeam));
    const double run = std::max(payload - kSeam * pieces, round_up(sequences * tiles / parts));
    return {.splits = std::max(1.0, tiles / run), .blocks = rounds * pieces, .tiles = rounds * run};
  }

  static constexpr double kMaxSplits = 128.0;
  // A little slack keeps the splits from spilling into another wave, as FlashAttention's scheduler
  // has it (hopper/flash_prepare_scheduler.cu).
  static constexpr double kSlack = 1.1;
};

}  // namespace ridge::hw::calibrated
