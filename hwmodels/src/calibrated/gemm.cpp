#include "ridge/hwmodels/calibrated/gemm.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace ridge::hw::calibrated {

namespace {

constexpr double kMultipliedRows = 64.0;  // by one instruction, at least

constexpr std::array<Tile, 6> kLibraryTiles = {
    {{64, 64}, {64, 128}, {128, 128}, {128, 256}, {256, 128}, {64, 256}}};
constexpr std::array<double, 4> kLibrarySplits = {2, 4, 8, 16};
// Of the library's FP8 kernels, which lack the last of each.
constexpr std::size_t kFp8Tiles = 5;
constexpr std::size_t kFp8Splits = 3;
// Of the library's tiles, by tile: what a row or column is of one, values multiplied and loaded for
// a step of k, the area in tiles of 128 x 128.
struct LibraryTiles {
  std::array<double, kLibraryTiles.size()> per_row, per_column, multiplied, edge, area;
};
constexpr LibraryTiles kLibrary = [] {
  LibraryTiles of{};
  for (std::size_t t = 0; t < kLibraryTiles.size(); ++t) {
    const Tile& tile = kLibraryTiles[t];
    of.per_row[t] = 1.0 / tile.m;
    of.per_column[t] = 1.0 / tile.n;
    of.multiplied[t] = std::max(tile.m, kMultipliedRows) * tile.n;
    of.edge[t] = tile.m + tile.n;
    of.area[t] = tile.m * tile.n / (128.0 * 128.0);
  }
  return of;
}();
constexpr std::array<double, 2> kFineRows = {64, 128};
constexpr std::array<double, 9> kFineColumns = {16, 32, 48, 64, 80, 96, 112, 128, 160};
constexpr Tile kTallOfFine = {256, 128};

// DeepGEMM's choice (csrc/jit_kernels/heuristics/sm90.hpp, kernels with scales of 128 x 128): the
// least cycles on the wires from L2 or within a compute unit, in whole waves; two tiles beside each
// other share what they load where there is more than one wave.
struct LeastTraffic {
  // The last stands twice: so they are looked at in pairs, without a branch.
  static constexpr std::array<double, 12> kColumns = {16,  32,  48,  64,  80,  96,
                                                      112, 128, 144, 160, 192, 192};
  static constexpr std::size_t kColumnsOfTall = 8;  // beside more than 128 rows
  struct Rows {
    double of_tile;
    double of_next_lower;
  };
  // In the order in which they are compared.
  static constexpr std::array<Rows, 5> kRows = {
      {{64, 32}, {128, 64}, {16, 0}, {32, 16}, {256, 128}}};
  using ByColumn = std::array<double, kColumns.size()>;
  using ByTile = std::array<ByColumn, kRows.size()>;
  // Of a tile, in values for each value of k: what it loads, alone and beside a neighbor, and what
  // moves within its compute unit besides the results.
  struct Moved {
    ByTile alone;
    ByTile with_neighbor;
    ByTile inside;
  };
  static constexpr Moved kMoved = [] {
    Moved moved{};
    for (std::size_t r = 0; r < kRows.size(); ++r) {
      const double rows = kRows[r].of_tile;
      for (std::size_t c = 0; c < kColumns.size(); ++c) {
        const double columns = kColumns[c];
        moved.alone[r][c] = rows + columns;
        moved.with_neighbor[r][c] = rows + columns - 0.5 * std::max(rows, columns);
        moved.inside[r][c] = rows + std::max(rows, kMultipliedRows) + 2.0 * columns;
      }
    }
    return moved;
  }();

  static constexpr double kNever = std::numeric_limits<double>::infinity();
  // Written in pairs: of columns beside each other the compiler takes some numbers one by one.
  static constexpr std::size_t kPairs = kColumns.size() / 2;
  using CyclesByColumn = std::array<Pair, kPairs>;
  using Cycles = std::array<CyclesByColumn, kRows.size()>;
  static Pair pair(const ByColumn& of, std::size_t i) { return Pair{of[2 * i], of[2 * i + 1]}; }

  // The first of the least: which rows and how many cycles.
  struct Best {
    double cycles = kNever;
    std::size_t rows = 0;

    // `least`: of these rows, of the columns of either place in a pair.
    void look(std::size_t r, Pair least) {
      const double either = std::min(least[0], least[1]);
      rows = either < cycles ? r : rows;
      cycles = either < cycles ? either : cycles;
    }
    [[nodiscard]] Tile tile(const Cycles& by_tile) const {
      std::size_t c = 0;
      while (c + 1 < kColumns.size() && by_tile[rows][c / 2][c % 2] != cycles) ++c;
      return {kRows[rows].of_tile, kColumns[c]};
    }
  };
};

Tile tile_of_least_traffic(double units, const GemmForm::Shape& s) {
  using T = LeastTraffic;
  constexpr double kTiny = 1e-9;                           // of a rounded quotient
  const double l2 = 1.0 / std::min(64.0 * units, 6153.0);  // cycles for a byte
  const double l1 = 1.0 / (128.0 * units);
  const double out_of_row = 2.0 / s.k;  // of a power of two of rows, to the same digits
  T::CyclesByColumn column_tiles;
  for (std::size_t i = 0; i < T::kPairs; ++i) {
    column_tiles[i] = round_up(s.n / T::pair(T::kColumns, i));
  }
  T::Cycles alone_cycles;
  T::Cycles shared_cycles;
  T::Best alone;
  T::Best shared;
  for (std::size_t r = 0; r < T::kRows.size(); ++r) {
    const auto [rows, next_lower] = T::kRows[r];
    if (rows < kMultipliedRows && s.m > rows) continue;
    if (s.m <= next_lower) continue;  // which holds all rows as well, and moves less
    const double row_tiles = s.batch * round_up(s.m / rows) / units;
    const double out = out_of_row * rows;
    Pair least_alone = {T::kNever, T::kNever};
    Pair least_shared = least_alone;
    const std::size_t pairs = rows > 128 ? T::kColumnsOfTall / 2 : T::kPairs;
    for (std::size_t i = 0; i < pairs; ++i) {
      const Pair waves = round_up(row_tiles * column_tiles[i] - kTiny);
      const Pair written = out * T::pair(T::kColumns, i);
      const Pair inside = l1 * (T::pair(T::kMoved.inside[r], i) + 2.0 * written);
      const Pair all = l2 * (T::pair(T::kMoved.alone[r], i) + written);
      const Pair halved = l2 * (T::pair(T::kMoved.with_neighbor[r], i) + written);
      const Pair alone_only = waves <= 1.0 ? Pair{T::kNever, T::kNever} : Pair{};
      const Pair by_itself = waves * (inside < all ? all : inside);
      const Pair beside = waves * (inside < halved ? halved : inside) + alone_only;
      alone_cycles[r][i] = by_itself;
      shared_cycles[r][i] = beside;
      least_alone = by_itself < least_alone ? by_itself : least_alone;
      least_shared = beside < least_shared ? beside : least_shared;
    }
    alone.look(r, least_alone);
    shared.look(r, least_shared);
  }
  return shared.cycles < alone.cycles * (1.0 - kTiny) ? shared.tile(shared_cycles)
                                                      : alone.tile(alone_cycles);
}

// Tiles whose two sets of sums, one of them scaled, leave a thread no registers for the rest.
bool spills(const Tile& tile) {
  return (tile.m >= 128.0 && tile.n >= 192.0) || tile.m * tile.n >= 256.0 * 128.0;
}

}  // namespace

std::span<const Named<TileMenu>> menu_names() {
  static constexpr std::array<Named<TileMenu>, 5> kNames = {
      {{"library", TileMenu::library},
       {"library_fp8", TileMenu::library_fp8},
       {"fine", TileMenu::fine},
       {"least_traffic", TileMenu::least_traffic},
       {"by_rows", TileMenu::by_rows}}};
  return kNames;
}

std::span<const ParameterInfo> GemmForm::parameters() {
  static constexpr std::array<ParameterInfo, kParameterCount> kInfo = {{
      {"launch_us", "launch, first loads, last store", 0.3, 3.0, 60.0, Role::launch},
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
      {"spill", "slowdown of tiles whose sums leave no registers", 1e-3, 0.5, 10.0},
      {"ragged_us", "each step of a last row of tiles, for the share of rows it lacks", 1e-4, 0.02,
       3.0},
  }};
  return kInfo;
}

Facts<GemmForm::Choice> GemmForm::facts(const CurveKey& key) {
  const bool narrow = matrix_bits(key.format) < 16;
  std::vector<Choice> all;
  for (const TileMenu menu : {TileMenu::library, TileMenu::library_fp8, TileMenu::fine,
                              TileMenu::least_traffic, TileMenu::by_rows}) {
    all.push_back({.menu = menu, .quantizes = false});
    if (narrow) all.push_back({.menu = menu, .quantizes = true});
  }
  return {.choices = std::move(all)};
}

Estimate GemmForm::time(const Machine& machine, const Choice& choice, const Parameters& p,
                        const Shape& s) {
  const double steps = round_up(s.k / kStepK);
  const double per_unit = 1.0 / machine.compute_units;
  const double us_per_area = 2e-6 * kStepK / p[unit_TFLOPps];
  const double us_per_edge = 1e-6 * kStepK * s.weight_bytes / p[unit_TBps];
  // Loads, arithmetic and the latency of a step run beside each other: the longest decides.
  const auto step_of = [&](const Tile& tile, double slowdown) {
    return std::max({p[step_us],
                     slowdown * std::max(tile.m, kMultipliedRows) * tile.n * us_per_area,
                     (tile.m + tile.n) * us_per_edge});
  };
  const auto ends_of = [&](const Tile& tile) {
    return p[wave_us] + p[tile_us] * (tile.m * tile.n / (128.0 * 128.0));
  };
  const auto unsplit = [&](const Tile& tile, double slowdown) {
    const double rows = s.m / tile.m;
    const double row_tiles = round_up(rows);
    const double columns = s.batch * round_up(s.n / tile.n) * per_unit;
    return round_up(columns * row_tiles) * (ends_of(tile) + steps * step_of(tile, slowdown)) +
           round_up(columns) * steps * (row_tiles - rows) * p[ragged_us];
  };
  double core = std::numeric_limits<double>::infinity();
  // All tiles side by side, of which a baseline build does two at a time. A quotient by a power of
  // two is as exact as a product.
  const auto library = [&](std::size_t tiles_offered, std::size_t splits_offered) {
    using PerTile = std::array<double, kLibraryTiles.size()>;
    PerTile ends_us, each_step_us, waves, us;
    for (std::size_t t = 0; t < us.size(); ++t) {
      const double rows = s.m * kLibrary.per_row[t];
      const double row_tiles = round_up(rows);
      const double column_tiles = round_up(s.n * kLibrary.per_column[t]);
      const double arithmetic_us = kLibrary.multiplied[t] * us_per_area;
      const double loads_us = kLibrary.edge[t] * us_per_edge;
      const double longer_us = arithmetic_us < loads_us ? loads_us : arithmetic_us;
      each_step_us[t] = p[step_us] < longer_us ? longer_us : p[step_us];
      ends_us[t] = p[wave_us] + p[tile_us] * kLibrary.area[t];
      const double columns = s.batch * column_tiles * per_unit;
      us[t] = round_up(columns * row_tiles) * (ends_us[t] + steps * each_step_us[t]) +
              round_up(columns) * steps * (row_tiles - rows) * p[ragged_us];
      waves[t] = s.batch * row_tiles * column_tiles * per_unit;
    }
    const double partial_us = 4e-6 * s.batch * s.m * s.n / p[split_TBps];
    for (std::size_t i = 0; i < splits_offered; ++i) {
      const double split = kLibrarySplits[i];
      const double steps_of_split = round_up(steps / split);
      const double partials_us = split * partial_us;
      for (std::size_t t = 0; t < us.size(); ++t) {
        const double in_parts_us =
            round_up(waves[t] * split) * (ends_us[t] + steps_of_split * each_step_us[t]) +
            p[split_us] + partials_us;
        us[t] = in_parts_us < us[t] ? in_parts_us : us[t];
      }
    }
    for (std::size_t t = 0; t < tiles_offered; ++t) core = std::min(core, us[t]);
  };
  switch (choice.menu) {
    case TileMenu::library:
      library(kLibraryTiles.size(), kLibrarySplits.size());
      break;
    case TileMenu::library_fp8:
      library(kFp8Tiles, kFp8Splits);
      break;
    case TileMenu::fine:
      core = unsplit(kTallOfFine, 1.0);
      for (const double rows : kFineRows) {
        std::array<double, kFineColumns.size()> us;
        for (std::size_t c = 0; c < us.size(); ++c) us[c] = unsplit({rows, kFineColumns[c]}, 1.0);
        for (const double each : us) core = std::min(core, each);
      }
      break;
    case TileMenu::least_traffic: {
      const Tile tile = tile_of_least_traffic(machine.compute_units, s);
      // Measured where one wave suffices; in several, neighbors share their loads.
      const bool alone =
          s.batch * round_up(s.m / tile.m) * round_up(s.n / tile.n) * per_unit <= 1.0;
      core = unsplit(tile, alone && spills(tile) ? 1.0 + p[spill] : 1.0);
      break;
    }
    case TileMenu::by_rows:
      core = unsplit(s.m <= 256.0 ? Tile{64, 64} : Tile{128, 128}, 1.0);
      break;
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
