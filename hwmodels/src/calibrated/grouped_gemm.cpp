#include "ridge/hwmodels/calibrated/grouped_gemm.hpp"

#include <algorithm>
#include <limits>

namespace ridge::hw::calibrated {

namespace {

constexpr double kLargestTileM = 128.0;
constexpr double kThrottle_us = 1000.0;  // duration at which half of the power limit has set in

}  // namespace

std::span<const ParameterInfo> GroupedGemmForm::parameters() {
  static constexpr std::array<ParameterInfo, kParameterCount> kInfo = {{
      {"launch_us", "launches, routing and permutation of one product", 0.5, 8.0, 60.0,
       Role::launch},
      {"expert_us", "each expert held, whether or not it has rows", 1e-5, 0.01, 1.0},
      {"wave_us", "start and end of a wave of tiles", 0.02, 0.5, 10.0},
      {"tile_us", "start and end of a 128-row tile", 1e-3, 0.3, 5.0},
      {"step_us", "latency of one step of 128 in k", 1e-4, 0.05, 2.0},
      {"unit_TFLOPps", "matrix rate of one compute unit", 0.3, 6.0, 40.0, Role::matrix_rate},
      {"unit_TBps", "bandwidth into one compute unit's tiles", 0.01, 0.5, 30.0},
      {"memory_TBps", "bandwidth for the weights of the active experts", 0.2, 3.0, 100.0,
       Role::memory_rate},
      {"softness", "imperfect overlap of loads and arithmetic", 1e-3, 0.3, 1.0, Role::overlap},
      {"row_TBps", "permutation and activation: bandwidth for the rows of this rank", 0.1, 2.0,
       200.0, Role::stream_rate},
      {"routed_TBps", "bandwidth for work on all routed rows, also those of other ranks", 0.1, 10.0,
       500.0, Role::stream_rate},
      {"throttle", "slowdown of long launches by the power limit", 1e-4, 0.05, 1.5, Role::throttle},
  }};
  return kInfo;
}

Facts<GroupedGemmForm::Choice> GroupedGemmForm::facts(const CurveKey& /*key*/) {
  std::vector<Choice> all;
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
  const double us_per_row = 2e-6 * kStepK * choice.tile_n / p[unit_TFLOPps];
  const double us_per_edge = 1e-6 * kStepK * s.weight_bytes / p[unit_TBps];
  const double class_size = active / s.profile.classes;
  const bool layer = s.n2 > 0.0;
  const double columns[2] = {round_up(s.n / choice.tile_n) / machine.compute_units,
                             round_up(s.n2 / choice.tile_n) / machine.compute_units};
  const double steps[2] = {round_up(s.k / kStepK), round_up(s.k2 / kStepK)};

  double core[2] = {std::numeric_limits<double>::infinity(),
                    std::numeric_limits<double>::infinity()};
  for (double tile_m = choice.smallest_tile_m; tile_m <= kLargestTileM; tile_m *= 2.0) {
    double row_tiles = 0.0;
    for (std::uint8_t c = 0; c < s.profile.classes; ++c) {
      row_tiles += round_up(mean_load * static_cast<double>(s.profile.load[c]) / tile_m);
    }
    row_tiles *= class_size;
    const double each_step_us =
        std::max({p[step_us], tile_m * us_per_row, (tile_m + choice.tile_n) * us_per_edge});
    const double ends_us = p[wave_us] + p[tile_us] * (tile_m / 128.0);
    for (int product = 0; product <= (layer ? 1 : 0); ++product) {
      const double filled = row_tiles * columns[product];
      // Blocks that take tiles as they finish end half a tile apart on average.
      const double waves =
          choice.persistent ? std::max(1.0, filled + (filled > 1.0 ? 0.5 : 0.0)) : round_up(filled);
      core[product] = std::min(core[product], waves * (ends_us + steps[product] * each_step_us));
    }
  }

  const auto product_us = [&](double n, double k, double core_us) {
    const double MB =
        1e-6 * (active * n * k * s.weight_bytes + s.rows * k * s.input_bytes + 2.0 * s.rows * n);
    return soft_max(core_us, MB / p[memory_TBps], p[softness]);
  };
  const double products = layer ? 2.0 : 1.0;
  const double width = s.n + s.k + s.n2 + s.k2;
  double work = product_us(s.n, s.k, core[0]);
  if (layer) work += product_us(s.n2, s.k2, core[1]);
  work *= 1.0 + p[throttle] * work / (work + products * kThrottle_us);
  work += 2e-6 * width * (s.rows / p[row_TBps] + s.routed_rows / p[routed_TBps]);
  const double fixed = products * (p[launch_us] + p[expert_us] * s.experts);

  const double weights_us =
      1e-6 * active * (s.n * s.k + s.n2 * s.k2) * s.weight_bytes / p[memory_TBps];
  const Resource bound = fixed > work               ? Resource::launch
                         : 2.0 * weights_us >= work ? Resource::memory
                                                    : Resource::compute;
  return {.us = fixed + work, .bound = bound};
}

}  // namespace ridge::hw::calibrated
