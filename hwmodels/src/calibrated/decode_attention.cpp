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

}  // namespace ridge::hw::calibrated
