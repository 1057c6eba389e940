#pragma once

#include <cstdint>
#include <vector>

/// CPU references, in double, of the small kernels around attention and experts.
namespace ridge::kernels::elementwise {

inline constexpr int kQuantGroup = 128;  ///< Consecutive elements that share a scale.
inline constexpr float kRmsEpsilon = 1e-6f;
inline constexpr double kRopeBase = 10000.0;

struct Quantized {
  std::vector<double> normalized;  ///< [tokens][hidden], before quantization
  std::vector<double> scale;  ///< [tokens][hidden / 128]: largest magnitude of the group over 448
};

/// y = x / sqrt(mean(x^2) + epsilon) * weight, then one scale per group. `x` and `weight` are BF16
/// bits.
Quantized rms_norm_quantize(const std::vector<std::uint16_t>& x,
                            const std::vector<std::uint16_t>& weight, int tokens, int hidden);

/// Rotates the pairs (i, i + head_dim / 2) of every head by position * base^(-2 i / head_dim).
/// `x` is [tokens][heads][head_dim] in BF16 bits.
std::vector<double> rope(const std::vector<std::uint16_t>& x,
                         const std::vector<std::int32_t>& positions, int heads, int head_dim);

struct Routes {
  std::vector<std::int32_t>
      expert;                  ///< [tokens][top_k], by falling weight; equal logits by rising id
  std::vector<double> weight;  ///< softmax over the chosen experts' logits
};

Routes router_top_k(const std::vector<float>& logits, int tokens, int experts, int top_k);

}  // namespace ridge::kernels::elementwise
