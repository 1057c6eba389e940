#include "ridge/hwmodels/calibrated/decode_attention.hpp"

#include "ridge/hwmodels/calibrated/kernel_facts.hpp"

namespace ridge::hw::calibrated {

std::span<const Named<SplitPolicy>> split_names() {
  static constexpr std::array<Named<SplitPolicy>, 5> kNames = {
      {{"balanced", SplitPolicy::balanced},
       {"fill", SplitPolicy::fill},
       {"dealt", SplitPolicy::dealt},
       {"efficient", SplitPolicy::efficient},
       {"narrow", SplitPolicy::narrow}}};
  return kNames;
}

std::span<const ParameterInfo> DecodeAttentionForm::parameters() {
  static constexpr std::array<ParameterInfo, kParameterCount> kInfo = {{
      {"launch_us", "launch, first loads, last store", 1.0, 8.0, 60.0, Role::launch},
      {"block_us", "start and end of one block, per wave", 0.05, 2.0, 20.0},
      {"sequence_us", "scheduling and page table of one sequence", 1e-4, 0.01, 0.3},
      {"tile_us", "latency of one tile's loop iteration", 1e-3, 0.1, 5.0},
      {"block_GBps", "bytes that one block draws into its compute unit", 2.0, 60.0, 5000.0},
      {"block_TFLOPps", "matrix rate of one compute unit inside the loop", 0.3, 3.0, 10.0,
       Role::matrix_rate, 0.65},
      {"combine_us", "merging the splits: the second kernel", 0.05, 2.0, 20.0},
      {"split_us", "merging one split of a sequence after another", 1e-4, 0.06, 3.0},
      {"combine_TBps", "bandwidth for the partial results", 0.3, 4.0, 30.0, Role::stream_rate},
      {"memory_TBps", "bandwidth for a cache that comes from memory", 0.2, 3.0, 100.0,
       Role::memory_rate},
      {"l2_TBps", "bandwidth for a cache that stays in L2", 0.5, 6.0, 20.0, Role::l2_rate},
      {"l2_MB", "largest cache that stays in L2 from launch to launch", 4.0, 36.0, 100.0,
       Role::l2_size},
      {"softness", "imperfect overlap of loads and arithmetic", 1e-3, 0.2, 1.0, Role::overlap},
      {"reread", "share of the cache read again by each further tile of rows", 1e-4, 0.1, 1.0},
      {"row_TBps", "bandwidth for queries and outputs", 0.1, 2.0, 100.0, Role::stream_rate},
      {"cold_us", "getting a stream from memory going, where L2 holds nothing of it", 0.05, 5.0,
       60.0},
  }};
  return kInfo;
}

namespace {

// Where a kernel's source is not public.
std::vector<DecodeAttentionForm::Choice> guesses(bool latent) {
  std::vector<DecodeAttentionForm::Choice> all;
  const std::vector<double> tokens =
      latent ? std::vector<double>{64, 128} : std::vector<double>{64, 80, 96, 128, 160, 192, 224};
  const std::vector<double> min_tiles =
      latent ? std::vector<double>{1, 2, 4} : std::vector<double>{4};
  for (const SplitPolicy split : {SplitPolicy::balanced, SplitPolicy::fill}) {
    for (const double tile_tokens : tokens) {
      for (const double tile_rows : {64.0, 128.0}) {
        for (const double least : min_tiles) {
          all.push_back({.tile_tokens = tile_tokens,
                         .tile_rows = {tile_rows, 0, 0},
                         .min_tiles = least,
                         .split = split});
        }
      }
    }
  }
  return all;
}

}  // namespace

Facts<DecodeAttentionForm::Choice> DecodeAttentionForm::facts(const CurveKey& key,
                                                              std::string_view chip) {
  return stated(key, chip, guesses(key.family == Family::latent_attention));
}

DecodeAttentionForm::Plan DecodeAttentionForm::plan(const Machine& machine, const Choice& choice,
                                                    const Shape& s) {
  Plan of;
  of.group = s.query_rows / s.kv_heads;
  const NarrowTiles tiles =
      choice.split == SplitPolicy::narrow
          ? narrow_tiles(machine.compute_units, choice, s.sequences, of.group, s.context)
          : NarrowTiles{.rows = tile_height(choice, of.group)};
  of.tile_rows = tiles.rows;
  const Pair whole = round_up(Pair{of.group, s.context} / Pair{of.tile_rows, choice.tile_tokens});
  of.row_tiles = whole[0];
  of.readings = tiles.paired ? 1.0 : of.row_tiles;
  of.tiles = std::max(1.0, whole[1]);
  of.cache_MB = s.sequences * s.context * s.values_per_token * s.bytes_per_value * 1e-6;
  of.parts = cut(machine, choice, s.sequences, of.row_tiles * s.kv_heads, of.tiles);
  // Cut by the longest, each block on its own: the busiest unit works off a part of the longest
  // behind parts of others.
  of.further_tiles = 0.0;
  if (s.longest > s.context && cut_by_longest(choice.split)) {
    const double longest = round_up(s.longest / choice.tile_tokens);
    const Cut by_longest = cut(machine, choice, s.sequences, of.row_tiles * s.kv_heads, longest);
    const double busiest = (by_longest.blocks - 1.0) * round_up(of.tiles / by_longest.splits) +
                           round_up(longest / by_longest.splits);
    of.further_tiles = std::max(0.0, busiest - of.parts.tiles);
  }
  return of;
}

Estimate DecodeAttentionForm::time(const Choice& choice, const Parameters& p, const Shape& s,
                                   const Plan& plan) {
  const double cache_MB = plan.cache_MB;
  const Cut& parts = plan.parts;
  // The first reading comes from memory or, where the whole cache of the launch fits, from L2;
  // further row tiles read partly what the first left in L2.
  const double x2 = (cache_MB / p[l2_MB]) * (cache_MB / p[l2_MB]);
  const double x8 = (x2 * x2) * (x2 * x2);
  const double resident = s.cold ? 0.0 : 1.0 / (1.0 + x8);
  const Pair us_of_MB = Pair{resident, 1.0 - resident} / Pair{p[l2_TBps], p[memory_TBps]};
  const double us_per_MB = us_of_MB[0] + us_of_MB[1];
  double memory = cache_MB * us_per_MB * (1.0 + p[reread] * (plan.readings - 1.0));
  // Blocks that run side by side read the same from memory once, and each of them from L2.
  if (choice.split == SplitPolicy::narrow) {
    memory = cache_MB * std::max(us_per_MB, plan.readings / p[l2_TBps]);
  }

  const double tile_KB =
      choice.tile_tokens * s.values_per_token / s.kv_heads * s.bytes_per_value * 1e-3;
  const double tile_MFLOP = 2.0 * plan.tile_rows * choice.tile_tokens * (s.qk_dim + s.v_dim) * 1e-6;
  // Copies into shared memory run beside the matrix units: a tile takes the longer of the two.
  const Pair tile_us_of = Pair{tile_KB, tile_MFLOP} / Pair{p[block_GBps], p[block_TFLOPps]};
  const double work_us = std::max(tile_us_of[0], tile_us_of[1]);
  const double core =
      core_us(choice, parts, p, work_us) + plan.further_tiles * (p[tile_us] + work_us);

  const double rows_MB = s.sequences * s.query_rows * (s.qk_dim + s.v_dim) * 2e-6;
  const double partial_MB = 2.0 * parts.splits * s.sequences * s.query_rows * s.v_dim * 4e-6;
  const Pair results_us = Pair{rows_MB, partial_MB} / Pair{p[row_TBps], p[combine_TBps]};
  double fixed =
      p[launch_us] + p[cold_us] * (1.0 - resident) + p[sequence_us] * s.sequences + results_us[0];
  if (parts.splits > 1.0) fixed += p[combine_us] + p[split_us] * parts.splits + results_us[1];
  const double work = soft_max(core, memory, p[softness]);
  const Resource bound = fixed > work     ? Resource::launch
                         : memory >= core ? Resource::memory
                                          : Resource::compute;
  return {.us = fixed + work, .bound = bound};
}

}  // namespace ridge::hw::calibrated
