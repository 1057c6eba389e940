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
                                                                 "n_fill_128",
                                                                 "n_fill_256",
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
    const double tiles = s.batch * round_up(s.m / 128.0) * round_up(s.n / 128.0) / units;
    const double MB = 1e-6 * s.batch * s.n * s.k * s.weight_bytes;
    return {rough_log2(s.m),
            rough_log2(s.n),
            rough_log2(s.k),
            rough_log2(MB),
            fill(s.m / 64.0),
            fill(s.m / 128.0),
            s.m / 128.0 - round_up(s.m / 128.0) + 1.0,
            fill(s.n / 128.0),
            fill(s.n / 256.0),
            rough_log2(tiles),
            fill(tiles),
            fill(s.batch * round_up(s.m / 64.0) * round_up(s.n / 64.0) / units),
            fill(s.batch * round_up(s.m / 128.0) * round_up(s.n / 256.0) / units),
            fill(s.k / 512.0),
            rough_log2(s.m * s.n * s.k / (s.m * s.k + s.n * s.k + s.m * s.n))};
  }
};

}  // namespace ridge::hw::calibrated
