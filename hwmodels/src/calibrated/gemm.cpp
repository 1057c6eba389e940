#include "ridge/hwmodels/calibrated/gemm.hpp"

#include <algorithm>
#include <limits>

namespace ridge::hw::calibrated {

namespace {

struct Menu {
  std::span<const Tile> tiles;
  std::span<const double> splits;
};

Menu menu_of(TileMenu menu) {
  static constexpr std::array<Tile, 6> kLibrary = {
      {{64, 64}, {64, 128}, {128, 128}, {128, 256}, {256, 128}, {64, 256}}};
  static constexpr std::array<Tile, 19> kFine = {{{64, 16},
                                                  {64, 32},
                                                  {64, 48},
                                                  {64, 64},
                                                  {64, 80},
                                                  {64, 96},
                                                  {64, 112},
                                                  {64, 128},
                                                  {64, 160},
                                                  {128, 16},
                                                  {128, 32},
                                                  {128, 48},
                                                  {128, 64},
                                                  {128, 80},
                                                  {128, 96},
                                                  {128, 112},
                                                  {128, 128},
                                                  {128, 160},
                                                  {256, 128}}};
  static constexpr std::array<double, 5> kSplits = {1, 2, 4, 8, 16};
  switch (menu) {
    case TileMenu::library:
      return {kLibrary, kSplits};
    case TileMenu::library_fp8:
      return {std::span(kLibrary).first(5), std::span(kSplits).first(4)};
    case TileMenu::fine:
      break;
  }
  return {kFine, std::span(kSplits).first(1)};
}

}  // namespace

std::span<const Named<TileMenu>> menu_names() {
  static constexpr std::array<Named<TileMenu>, 3> kNames = {{{"library", TileMenu::library},
                                                             {"library_fp8", TileMenu::library_fp8},
                                                             {"fine", TileMenu::fine}}};
  return kNames;
}

std::span<const ParameterInfo> GemmForm::parameters() {
  static constexpr std::array<ParameterInfo, kParameterCount> kInfo = {{
      {"launch_us", "launch, first loads, last store", 0.3, 3.0, 60.0},
      {"wave_us", "start and end of a wave of tiles", 0.02, 0.3, 8.0},
      {"tile_us", "start and end of a 128 x 128 tile, growing with its area", 1e-3, 0.3, 3.0},
      {"step_us", "latency of one step of 128 in k", 1e-4, 0.05, 2.0},
      {"unit_TFLOPps", "matrix rate of one compute unit", 0.3, 8.0, 40.0, Role::matrix_rate},
      {"unit_TBps", "bandwidth into one compute unit's tiles", 0.01, 0.3, 30.0},
      {"memory_TBps", "bandwidth of large launches", 0.2, 3.0, 100.0, Role::memory_rate},
      {"small_TBps", "bandwidth of small launches: L2 helps, ramping up costs", 0.5, 3.0, 15.0,
       Role::stream_rate},
      {"small_MB", "operands at which a launch counts half as small", 4.0, 30.0, 100.0,
       Role::l2_size},
      {"softness", "imperfect overlap of loads and arithmetic", 1e-3, 0.2, 1.0, Role::overlap},
      {"split_us", "reducing a split k: the second kernel", 0.05, 1.5, 10.0},
      {"split_TBps", "bandwidth for the partial sums", 0.1, 5.0, 30.0, Role::stream_rate},
      {"throttle", "slowdown of long launches by the power limit", 1e-4, 0.1, 1.0, Role::throttle},
      {"throttle_us", "duration at which half of it has set in", 50.0, 1000.0, 20000.0},
      {"quantize_TBps", "bandwidth of quantizing a large input", 0.2, 2.5, 30.0, Role::stream_rate},
      {"quantize_small_TBps", "bandwidth of quantizing a small input", 0.2, 3.0, 50.0,
       Role::stream_rate},
  }};
  return kInfo;
}

Facts<GemmForm::Choice> GemmForm::facts(const CurveKey& key) {
  const bool narrow = matrix_bits(key.format) < 16;
  std::vector<Choice> all;
  for (const TileMenu menu : {TileMenu::library, TileMenu::library_fp8, TileMenu::fine}) {
    all.push_back({.menu = menu, .quantizes = false});
    if (narrow) all.push_back({.menu = menu, .quantizes = true});
  }
  return {.choices = std::move(all)};
}

Estimate GemmForm::time(const Machine& machine, const Choice& choice, const Parameters& p,
                        const Shape& s) {
  const Menu menu = menu_of(choice.menu);
  const double steps = round_up(s.k / kStepK);
  const double per_unit = 1.0 / machine.compute_units;
  const double us_per_area = 2e-6 * kStepK / p[unit_TFLOPps];
  const double us_per_edge = 1e-6 * kStepK * s.weight_bytes / p[unit_TBps];
  const double partial_us = 4e-6 * s.batch * s.m * s.n / p[split_TBps];
  double core = std::numeric_limits<double>::infinity();
  for (const Tile& tile : menu.tiles) {
    const double area = tile.m * tile.n;
    // Loads, arithmetic and the latency of a step run beside each other: the longest decides.
    const double each_step_us =
        std::max({p[step_us], area * us_per_area, (tile.m + tile.n) * us_per_edge});
    const double ends_us = p[wave_us] + p[tile_us] * (area / (128.0 * 128.0));
    const double tiles = s.batch * round_up(s.m / tile.m) * round_up(s.n / tile.n) * per_unit;
    for (const double split : menu.splits) {
      double us = round_up(tiles * split) * (ends_us + round_up(steps / split) * each_step_us);
      if (split > 1.0) us += p[split_us] + split * partial_us;
      if (us < core) core = us;
    }
  }

  const double MB =
      1e-6 * s.batch * (s.m * s.k * s.input_bytes + s.n * s.k * s.weight_bytes + 2.0 * s.m * s.n);
  const double x = MB / p[small_MB];
  const double small = 1.0 / (1.0 + x * x);
  const double memory = MB * (small / p[small_TBps] + (1.0 - small) / p[memory_TBps]);

  double work = soft_max(core, memory, p[softness]);
  work *= 1.0 + p[throttle] * work / (work + p[throttle_us]);
  if (choice.quantizes) {
    constexpr double kBytes = 4.0;  // BF16 read, FP8 written and read again
    const double quantized_MB = 1e-6 * kBytes * s.batch * s.m * s.k;
    const double y = quantized_MB / p[small_MB];
    const double few = 1.0 / (1.0 + y * y);
    work += quantized_MB * (few / p[quantize_small_TBps] + (1.0 - few) / p[quantize_TBps]);
  }
  const Resource bound = p[launch_us] > work ? Resource::launch
                         : memory >= core    ? Resource::memory
                                             : Resource::compute;
  return {.us = p[launch_us] + work, .bound = bound};
}

}  // namespace ridge::hw::calibrated
