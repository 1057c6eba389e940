// One product per expert in one launch, and the mixture-of-experts layer made of two of them.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/hwmodels/calibrated/form.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ridge::hw::calibrated {

// How unevenly rows fall on the experts that have any: mean load of each eighth of them, in units
// of the overall mean, rising. Even routing is one class of 1.
struct LoadProfile {
  static constexpr std::size_t kClasses = 8;
  std::array<float, kClasses> load{1.0F};
  std::uint8_t classes = 1;
};

// What one block of a kernel works on at a time.
struct ExpertTile {
  double rows = 64;     // of one expert
  double columns = 64;  // of its weights
  double depth = 64;    // of k, a step
};

// The tiles that a kernel takes on one chip where its source says so: by a rule for any shape, and
// by tables that were tuned for some.
struct ExpertTiles {
  struct UpTo {
    double tokens_per_expert = 0;  // that the launch is handed, for each expert held
    ExpertTile tile;
  };
  struct From {
    double tokens = 0;
    ExpertTile tile;
  };
  struct Tuned {
    std::int64_t experts = 0;
    std::int64_t intermediate = 0;
    std::vector<From> tiles;  // rising, the first from 0
  };
  std::vector<UpTo> rule;    // rising; the last is without an end
  std::vector<Tuned> tuned;  // rising by experts and intermediate

  // `intermediate`: of one expert on this rank; 0 where unknown.
  [[nodiscard]] ExpertTile at(double tokens, double experts, double intermediate) const;
};

// Tiles as high as the choices that a launch is handed for each expert held, as if all of them fell
// on these experts: with expert parallelism most do not, and the rest of a tile is padding.
struct PaddedTiles {
  double smallest = 8;
  double largest = 128;
  double share = 1;  // of the least power of two that holds the choices of an expert

  [[nodiscard]] double rows(double routed_rows, double experts) const {
    const double choices = std::clamp(std::ceil(routed_rows / experts), 1.0, 1e9);
    const auto held = static_cast<double>(std::bit_ceil(static_cast<std::uint64_t>(choices)));
    return std::clamp(share * held, smallest, largest);
  }
  friend bool operator==(const PaddedTiles&, const PaddedTiles&) = default;
};

// How a kernel's tiles are known: stated or padded where its source is public (kernel_facts.hpp),
// never both; the fastest tile is taken where neither is known.
struct TileSource {
  const ExpertTiles* stated = nullptr;
  bool padded = false;
  friend bool operator==(const TileSource&, const TileSource&) = default;
};

struct GroupedGemmForm {
  struct Shape {
    using Form = GroupedGemmForm;
    double rows = 1;         // token-expert pairs on this rank
    double routed_rows = 1;  // token-expert pairs of the tokens it was given, on any rank
    double tokens = 1;       // it was given
    double experts = 1;      // held by this rank
    double active_experts = 1;
    double n = 1;
    double k = 1;
    double n2 = 0;  // with k2: a second product over the same rows; 0 if there is none
    double k2 = 0;
    double intermediate = 0;  // of one expert, where a product is known to be one of its layer's
    double input_bytes = 2;
    double weight_bytes = 2;
    LoadProfile profile;
  };

  // What a range is kept for.
  static constexpr std::array<std::string_view, 4> kRanges = {"rows", "experts", "narrowest",
                                                              "widest"};
  [[nodiscard]] static std::array<double, kRanges.size()> ranged(const Shape& s) {
    if (s.n2 <= 0.0) return {s.rows, s.experts, std::min(s.n, s.k), std::max(s.n, s.k)};
    return {s.rows, s.experts, std::min({s.n, s.k, s.n2, s.k2}), std::max({s.n, s.k, s.n2, s.k2})};
  }

  struct Choice {
    TileSource tiles;
    double tile_n = 128;          // where they are not stated
    double smallest_tile_m = 16;  // of the fastest that is taken: then 32, 64, 128
    PaddedTiles padded;           // where they are padded
    bool persistent = true;       // blocks take tiles as they finish, against whole waves
    friend bool operator==(const Choice&, const Choice&) = default;
  };
  template <typename C, typename Visit>
  static void choice_fields(C& choice, Visit&& visit) {
    visit("tiles", choice.tiles);
    if (choice.tiles.stated == nullptr) visit("tile_n", choice.tile_n, positive(1e6));
    if (choice.tiles.padded) {
      visit("smallest_tile_m", choice.padded.smallest, between(1, 1024));
      visit("largest_tile_m", choice.padded.largest, between(1, 1024));
      visit("tile_share", choice.padded.share, positive(16));
    } else if (choice.tiles.stated == nullptr) {
      visit("smallest_tile_m", choice.smallest_tile_m, between(1, 128));
    }
    visit("persistent", choice.persistent);
  }

  enum Index : std::uint8_t {
    launch_us,
    expert_us,
    wave_us,
    tile_us,
    step_us,
    unit_TFLOPps,
    unit_TBps,
    memory_TBps,
    softness,
    row_TBps,
    token_TBps,
    routed_TBps,
    throttle,
    kParameterCount
  };
  using Parameters = std::array<double, kParameterCount>;

  [[nodiscard]] static std::span<const ParameterInfo> parameters();
  // On a chip of this name.
  [[nodiscard]] static Facts<Choice> facts(const CurveKey& key, std::string_view chip);

  // A layer is the sum of its two products; launch, permutation and activation count half to each.
  [[nodiscard]] static Estimate time(const Machine& machine, const Choice& choice,
                                     const Parameters& p, const Shape& s);

  // Where it is known; elsewhere always the same.
  [[nodiscard]] static ExpertTile tile_of(const Choice& choice, const Shape& s) {
    if (choice.tiles.padded) {
      return {.rows = choice.padded.rows(s.routed_rows, s.experts), .columns = choice.tile_n};
    }
    return choice.tiles.stated == nullptr
               ? ExpertTile{}
               : choice.tiles.stated->at(s.tokens, s.experts, s.intermediate);
  }

  // Of the learned residual.
  static constexpr std::array<std::string_view, 15> kFeatures = {"log2_rows",
                                                                 "log2_experts",
                                                                 "active_share",
                                                                 "log2_load",
                                                                 "load_fill_16",
                                                                 "load_fill_64",
                                                                 "log2_busiest",
                                                                 "log2_n",
                                                                 "log2_k",
                                                                 "log2_weights_MB",
                                                                 "log2_tiles",
                                                                 "wave_fill",
                                                                 "log2_routed_share",
                                                                 "log2_tokens_per_expert",
                                                                 "log2_tile_area"};
  [[nodiscard]] static std::array<double, kFeatures.size()> features(const Machine& machine,
                                                                     const Choice& choice,
                                                                     const Shape& s) {
    const double active = std::max(s.active_experts, 1e-3);
    const double load = s.rows / active;
    const ExpertTile tile = tile_of(choice, s);
    const auto busiest = static_cast<double>(s.profile.load[s.profile.classes - 1U]);
    const double rows = choice.tiles.padded ? tile.rows : 64.0;
    const Pair loads = Pair{load, s.n} / Pair{rows, choice.tile_n};
    const Pair whole = round_up(loads);
    const double MB = 1e-6 * active * (s.n * s.k + s.n2 * s.k2) * s.weight_bytes;
    const Pair shares =
        Pair{active * whole[0] * whole[1], active} / Pair{machine.compute_units, s.experts};
    const Pair routed = Pair{s.routed_rows, s.tokens} / Pair{s.rows, s.experts};
    const Pair fills = fill(Pair{load / 16.0, shares[0]});
    const Pair log_rows = rough_log2(Pair{s.rows, s.experts});
    const Pair log_load = rough_log2(Pair{load, busiest});
    const Pair log_nk = rough_log2(Pair{s.n, s.k});
    const Pair log_work = rough_log2(Pair{MB, shares[0]});
    const Pair log_routed = rough_log2(routed);
    return {log_rows[0],   log_rows[1],   shares[1],
            log_load[0],   fills[0],      loads[0] / whole[0],
            log_load[1],   log_nk[0],     log_nk[1],
            log_work[0],   log_work[1],   fills[1],
            log_routed[0], log_routed[1], rough_log2(tile.rows * tile.columns)};
  }
};

}  // namespace ridge::hw::calibrated
