#pragma once

#include "common/numeric.hpp"
#include "common/portable.hpp"
#include "common/random.hpp"
#include "moe/fragments.hpp"
#include "moe/scale_layout.hpp"
#include "moe/shape.hpp"

#include <cstdint>

/// Random expert weights as a pure function of their position, so that gigabytes of them appear on
/// the device without a transfer and any element can be recomputed on the host.
namespace ridge::kernels::moe {

/// Of the weights that are checked and of those that are timed.
inline constexpr std::uint64_t kWeightSeed = 11;

enum class Projection : std::uint8_t { kGate, kUp, kDown };

struct RandomWeights {
  int hidden = 0;
  int intermediate = 0;
  std::uint64_t seed = 0;

  RIDGE_HOST_DEVICE constexpr int rows(Projection p) const {
    return p == Projection::kDown ? hidden : intermediate;
  }
  RIDGE_HOST_DEVICE constexpr int depth(Projection p) const {
    return p == Projection::kDown ? intermediate : hidden;
  }

  /// E4M3 element [row][k] of a projection of a group.
  RIDGE_HOST_DEVICE constexpr E4m3 value(Projection p, int group, int row, int k) const {
    const auto at = static_cast<std::uint64_t>(row) * static_cast<std::uint64_t>(depth(p)) +
                    static_cast<std::uint64_t>(k);
    return to_e4m3(random_normal(stream(p, group), at) * kSpread);
  }

  /// Scale of a 128 x 128 block, spread over a factor of three so that a wrong one shows; sized
  /// such that a dot product with activations near 1 stays near 1.
  RIDGE_HOST_DEVICE constexpr float scale(Projection p, int group, int row_block,
                                          int k_block) const {
    const auto at =
        static_cast<std::uint64_t>(row_block) * 65536u + static_cast<std::uint64_t>(k_block);
    return (0.5f + random_uniform(~stream(p, group), at)) / kSpread * inverse_sqrt(depth(p));
  }

 private:
  static constexpr float kSpread = 64.0f;  // 3.46 standard deviations stay below 448.

  RIDGE_HOST_DEVICE constexpr std::uint64_t stream(Projection p, int group) const {
    return random_bits(seed,
                       static_cast<std::uint64_t>(group) * 3u + static_cast<std::uint64_t>(p));
  }
  /// A power of two near 1 / sqrt(depth): exact on host and device alike.
  RIDGE_HOST_DEVICE static constexpr float inverse_sqrt(int depth) {
    float x = 1.0f;
    while (x * x * static_cast<float>(depth) > 1.0f) x *= 0.5f;
    return x;
  }
};

/// The same weights in the layout the kernels read: gate and up interleaved into one matrix
/// [group][2 intermediate][hidden], and down as [group][hidden][intermediate].
struct DeviceLayout {
  RandomWeights source;

  RIDGE_HOST_DEVICE constexpr E4m3 gate_up(int group, int row, int k) const {
    return source.value(is_up(row) ? Projection::kUp : Projection::kGate, group,
                        activation_column(row), k);
  }
  RIDGE_HOST_DEVICE constexpr E4m3 down(int group, int row, int k) const {
    return source.value(Projection::kDown, group, row, k);
  }

  struct ScalePair {
    float first = 0.0f;
    float second = 0.0f;
  };

  /// Gate and up scale of the 128 activations that come of weight block `weight_block`.
  RIDGE_HOST_DEVICE constexpr ScalePair gate_up_scales(int group, int weight_block,
                                                       int k_block) const {
    return {source.scale(Projection::kGate, group, weight_block, k_block),
            source.scale(Projection::kUp, group, weight_block, k_block)};
  }
  /// Scales of the two halves of a weight block; the second half may lie past the matrix.
  RIDGE_HOST_DEVICE constexpr ScalePair down_scales(int group, int weight_block,
                                                    int k_block) const {
    const int second = 2 * weight_block + 1;
    return {source.scale(Projection::kDown, group, 2 * weight_block, k_block),
            second < source.hidden / kScaleBlock
                ? source.scale(Projection::kDown, group, second, k_block)
                : 0.0f};
  }
};

}  // namespace ridge::kernels::moe
