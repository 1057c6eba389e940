#include "ridge/hwmodels/calibrated/grouped_gemm.hpp"

#include "ridge/hwmodels/calibrated/kernel_facts.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace ridge::hw::calibrated {

namespace {

constexpr double kLargestTileM = 128.0;
constexpr double kThrottle_us = 1000.0;  // duration at which half of the power limit has set in

// Blocks that share a compute unit hide each other's latency, not each other's work. How many find
// room: by shared memory, which holds as many stages of both operands as Triton keeps by default,
// and by threads (2,048 in blocks of 128). The shared memory is that of compute capability 9.0 on
// (CUDA C++ Programming Guide, technical specifications); a chip file does not say what an earlier
// chip has, which is less: its step_us, fitted with the blocks counted here, comes out longer.
double resident_blocks(const ExpertTile& tile, double bytes_per_value) {
  constexpr double kSharedBytes = 228.0 * 1024.0;
  constexpr double kStages = 3.0;
  constexpr double kMostBlocks = 16.0;
  const double block = kStages * (tile.rows + tile.columns) * tile.depth * bytes_per_value;
  return std::clamp(std::floor(kSharedBytes / block), 1.0, kMostBlocks);
}

}  // namespace

ExpertTile ExpertTiles::at(double tokens, double experts, double intermediate) const {
  const std::pair asked(static_cast<std::int64_t>(experts),
                        static_cast<std::int64_t>(intermediate));
  const auto found = std::partition_point(tuned.begin(), tuned.end(), [&](const Tuned& each) {
    return std::pair(each.experts, each.intermediate) < asked;
  });
  if (found != tuned.end() && std::pair(found->experts, found->intermediate) == asked) {
    const auto above =
        std::partition_point(found->tiles.begin(), found->tiles.end(),
                             [&](const From& each) { return each.tokens <= tokens; });
    return std::prev(above)->tile;
  }
  auto each = rule.begin();
  while (std::next(each) != rule.end() && tokens > each->tokens_per_expert * experts) ++each;
  return each->tile;
}

std::span<const ParameterInfo> GroupedGemmForm::parameters() {
  static constexpr std::array<ParameterInfo, kParameterCount> kInfo = {{
      {"launch_us", "launches, routing and permutation of one product", 0.5, 8.0, 60.0,
       Role::launch},
      {"expert_us", "each expert held, whether or not it has rows", 1e-5, 0.01, 1.0},
      {"wave_us", "start and end of a wave of tiles", 0.02, 0.5, 10.0},
      {"tile_us", "start and end of a 128-row tile, or of a stated 128 x 128", 1e-3, 0.3, 5.0},
      {"step_us", "latency of one step in k: of 128, or of a stated tile's depth", 1e-4, 0.05, 2.0},
      {"unit_TFLOPps", "matrix rate of one compute unit", 0.3, 6.0, 40.0, Role::matrix_rate},
      {"unit_TBps", "bandwidth into one compute unit's tiles", 0.01, 0.5, 30.0},
      {"memory_TBps", "bandwidth for the weights of the active experts", 0.2, 3.0, 100.0,
       Role::memory_rate},
      {"softness", "imperfect overlap of loads and arithmetic", 1e-3, 0.3, 1.0, Role::overlap},
      {"row_TBps", "permutation and activation: bandwidth for the rows of this rank", 0.1, 2.0,
       200.0, Role::stream_rate},
      {"token_TBps", "quantizing and finalizing: bandwidth for the tokens, whoever computes them",
       0.1, 5.0, 500.0, Role::stream_rate},
      {"routed_TBps", "bandwidth for work on all routed rows, also those of other ranks", 0.1, 30.0,
       500.0, Role::stream_rate},
      {"throttle", "slowdown of long launches by the power limit", 1e-4, 0.05, 1.5, Role::throttle},
  }};
  return kInfo;
}

Facts<GroupedGemmForm::Choice> GroupedGemmForm::facts(const CurveKey& key, std::string_view chip) {
  std::vector<Choice> all;
  if (const ExpertTiles* tiles = stated_expert_tiles(key, chip)) {
    for (const bool persistent : {true, false}) {
      all.push_back({.tiles = {.stated = tiles}, .persistent = persistent});
    }
    return {.choices = std::move(all)};
  }
  if (const std::vector<PaddedTiles> tiles = padded_expert_tiles(key); !tiles.empty()) {
    for (const PaddedTiles& each : tiles) {
      for (const bool persistent : {true, false}) {
        for (const double tile_n : {64.0, 128.0, 256.0}) {
          all.push_back({.tiles = {.padded = true},
                         .tile_n = tile_n,
                         .padded = each,
                         .persistent = persistent});
        }
      }
    }
    return {.choices = std::move(all)};
  }
  for (const bool persistent : {true, false}) {
    for (const double tile_n : {64.0, 128.0, 256.0}) {
      for (const double smallest : {16.0, 64.0, 128.0}) {
        all.push_back({.tile_n = tile_n, .smallest_tile_m = smallest, .persistent = persistent});
      }
    }
  }
  return {.choices = std::move(all)};
}

Estimate GroupedGemmForm::time(const Machine& machine, const Choice& choice, const Parameters& p,
                               const Shape& s) {
  const double active = std::max(s.active_experts, 1e-9);
  const double mean_load = s.rows / active;
  const double us_per_edge = 1e-6 * kStepK * s.weight_bytes / p[unit_TBps];
  const double class_size = active / s.profile.classes;
  const bool layer = s.n2 > 0.0;
  const double n[2] = {s.n, s.n2};
  const double k[2] = {s.k, s.k2};
  const int products = layer ? 2 : 1;
  const auto row_tiles_of = [&](double rows) {
    double each_class = 0.0;
    for (std::uint8_t c = 0; c < s.profile.classes; ++c) {
      each_class += round_up(mean_load * static_cast<double>(s.profile.load[c]) / rows);
    }
    return class_size * each_class;
  };
  // Blocks that take tiles as they finish end half a tile apart on average.
  const auto waves_of = [&](double filled) {
    return choice.persistent ? std::max(1.0, filled + (filled > 1.0 ? 0.5 : 0.0))
                             : round_up(filled);
  };

  double core[2] = {std::numeric_limits<double>::infinity(),
                    std::numeric_limits<double>::infinity()};
  if (choice.tiles.stated != nullptr) {
    const ExpertTile tile = tile_of(choice, s);
    const double row_tiles = row_tiles_of(tile.rows);
    const double resident = resident_blocks(tile, s.weight_bytes);
    const double arithmetic_us = 2e-6 * tile.depth * tile.rows * tile.columns / p[unit_TFLOPps];
    const double loads_us = (tile.rows + tile.columns) * us_per_edge * tile.depth / kStepK;
    const double step_work_us = soft_max(arithmetic_us, loads_us, p[softness]);
    const double ends_us = p[tile_us] * (tile.rows * tile.columns / (128.0 * 128.0));
    for (int product = 0; product < products; ++product) {
      const double filled = row_tiles * round_up(n[product] / tile.columns) / machine.compute_units;
      const double steps = round_up(k[product] / tile.depth);
      const double shared = filled / resident;
      const double latency_us = (choice.persistent ? std::max(1.0, shared) : round_up(shared)) *
                                (p[wave_us] + steps * p[step_us]);
      const double work_us = waves_of(filled) * (ends_us + steps * step_work_us);
      core[product] = soft_max(latency_us, work_us, p[softness]);
    }
  } else {
    const double us_per_row = 2e-6 * kStepK * choice.tile_n / p[unit_TFLOPps];
    const double columns[2] = {round_up(s.n / choice.tile_n) / machine.compute_units,
                               round_up(s.n2 / choice.tile_n) / machine.compute_units};
    const double steps[2] = {round_up(s.k / kStepK), round_up(s.k2 / kStepK)};
    double tile_m = choice.smallest_tile_m;
    double last = kLargestTileM;
    if (choice.tiles.padded) tile_m = last = tile_of(choice, s).rows;
    for (; tile_m <= last; tile_m *= 2.0) {
      const double row_tiles = row_tiles_of(tile_m);
      const double each_step_us =
          std::max({p[step_us], tile_m * us_per_row, (tile_m + choice.tile_n) * us_per_edge});
      const double ends_us = p[wave_us] + p[tile_us] * (tile_m / 128.0);
      for (int product = 0; product < products; ++product) {
        const double waves = waves_of(row_tiles * columns[product]);
        core[product] = std::min(core[product], waves * (ends_us + steps[product] * each_step_us));
      }
    }
  }

  const double width = s.n + s.k + s.n2 + s.k2;
  double work = 0.0;
  for (int product = 0; product < products; ++product) {
    const double MB = 1e-6 * (active * n[product] * k[product] * s.weight_bytes +
                              s.rows * k[product] * s.input_bytes + 2.0 * s.rows * n[product]);
    work += soft_max(core[product], MB / p[memory_TBps], p[softness]);
  }
  work *= 1.0 + p[throttle] * work / (work + products * kThrottle_us);
  work += 2e-6 * (width * (s.rows / p[row_TBps] + s.routed_rows / p[routed_TBps]) +
                  s.k * s.tokens / p[token_TBps]);
  const double fixed = products * (p[launch_us] + p[expert_us] * s.experts);

  const double weights_us =
      1e-6 * active * (s.n * s.k + s.n2 * s.k2) * s.weight_bytes / p[memory_TBps];
  const Resource bound = fixed > work               ? Resource::launch
                         : 2.0 * weights_us >= work ? Resource::memory
                                                    : Resource::compute;
  return {.us = fixed + work, .bound = bound};
}

}  // namespace ridge::hw::calibrated
