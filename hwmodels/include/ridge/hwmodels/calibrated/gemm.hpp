// Dense matrix products [m, k] x [k, n]: output tiles in waves over the compute units, the tile and
// the split of k that are fastest for the shape, a smooth corner to the memory roof.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/hwmodels/calibrated/form.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

struct Tile {
  double m;
  double n;
};

// Which tiles and splits a library's kernels offer.
enum class TileMenu : std::uint8_t {
  library,        // 64 to 256 wide, k split up to 16 ways (cuBLAS)
  library_fp8,    // the same without the widest, up to 8 ways
  fine,           // 16 to 160 wide in steps, never split
  least_traffic,  // 16 to 192 wide, never split: what moves least, not what is fastest (DeepGEMM)
  by_rows,        // 64 x 64 up to 256 rows, above 128 x 128, never split (SGLang's of CUTLASS)
};

[[nodiscard]] std::span<const Named<TileMenu>> menu_names();

struct GemmForm {
  struct Shape {
    using Form = GemmForm;
    double m = 1;
    double n = 1;
    double k = 1;
    double batch = 1;  // products with weights of their own in one launch
    double input_bytes = 2;
    double weight_bytes = 2;
  };

  // What a range is kept for.
  static constexpr std::array<std::string_view, 4> kRanges = {"m", "n", "k", "batch"};
  [[nodiscard]] static std::array<double, kRanges.size()> ranged(const Shape& s) {
    return {s.m, s.n, s.k, s.batch};
  }

  // By which the held-out error is told, since a decode step asks for few rows and many.
  [[nodiscard]] static double rows(const Shape& s) { return s.m; }

  struct Choice {
    TileMenu menu = TileMenu::library;
    // The call quantizes its BF16 input first: it reads two bytes per value, writes one, reads it
    // again.
    bool quantizes = false;
    friend bool operator==(const Choice&, const Choice&) = default;
  };
  template <typename C, typename Visit>
  static void choice_fields(C& choice, Visit&& visit) {
    visit("tiles", choice.menu, menu_names());
    visit("quantizes", choice.quantizes);
  }

  enum Index : std::uint8_t {
    launch_us,
    wave_us,
    tile_us,
    step_us,
    unit_TFLOPps,
    unit_TBps,
    memory_TBps,
    small_TBps,
    small_MB,
    softness,
    split_us,
    split_TBps,
    throttle,
    throttle_us,
    quantize_TBps,
    quantize_small_TBps,
    spill,
    ragged_us,
    kParameterCount
  };
  using Parameters = std::array<double, kParameterCount>;

  [[nodiscard]] static std::span<const ParameterInfo> parameters();
  [[nodiscard]] static Facts<Choice> facts(const CurveKey& key);

  [[nodiscard]] static Estimate time(const Machine& machine, const Choice& choice,
                                     const Parameters& p, const Shape& s);

  // Of the learned residual.
  static constexpr std::array<std::string_view, 15> kFeatures = {"log2_m",
                                                                 "log2_n",
                                                                 "log2_k",
                                                                 "log2_weights_MB",
                                                                 "m_fill_64",
                                                                 "m_fill_128",
                                                                 "m_last_128",
                                                                 "n_fill_64",
                                                                 "n_fill_128",
                                                                 "log2_tiles",
                                                                 "wave_fill_128x128",
                                                                 "wave_fill_64x64",
                                                                 "wave_fill_128x256",
                                                                 "k_fill_512",
                                                                 "log2_flop_per_byte"};
  [[nodiscard]] static std::array<double, kFeatures.size()> features(const Machine& machine,
                                                                     const Choice& /*choice*/,
                                                                     const Shape& s) {
    const double units = machine.compute_units;
    const Pair rows = {s.m / 64.0, s.m / 128.0};
    const Pair columns = {s.n / 64.0, s.n / 128.0};
    const Pair row_tiles = round_up(rows);
    const Pair column_tiles = round_up(columns);
    const double MB = 1e-6 * s.batch * s.n * s.k * s.weight_bytes;
    const Pair waves =
        Pair{s.batch * row_tiles[1] * column_tiles[1], s.batch * row_tiles[0] * column_tiles[0]} /
        units;
    const Pair wide = Pair{s.batch * row_tiles[1] * round_up(s.n / 256.0), s.m * s.n * s.k} /
                      Pair{units, s.m * s.k + s.n * s.k + s.m * s.n};
    const Pair row_fill = rows / row_tiles;
    const Pair column_fill = columns / column_tiles;
    const Pair wave_fill = fill(waves);
    const Pair wide_fill = fill(Pair{wide[0], s.k / 512.0});
    const Pair log_mn = rough_log2(Pair{s.m, s.n});
    const Pair log_k_MB = rough_log2(Pair{s.k, MB});
    const Pair log_tiles = rough_log2(Pair{waves[0], wide[1]});
    return {log_mn[0],
            log_mn[1],
            log_k_MB[0],
            log_k_MB[1],
            row_fill[0],
            row_fill[1],
            rows[1] - row_tiles[1] + 1.0,
            column_fill[0],
            column_fill[1],
            log_tiles[0],
            wave_fill[0],
            wave_fill[1],
            wide_fill[0],
            wide_fill[1],
            log_tiles[1]};
  }
};

}  // namespace ridge::hw::calibrated
