#pragma once

#include "moe/permutation.hpp"
#include "moe/quantize.hpp"
#include "moe/shape.hpp"
#include "moe/weights.hpp"

#include <cstdint>
#include <span>
#include <vector>

/// The layer in double precision, from the very E4M3 values and scales the kernels read: what is
/// left between this and a kernel's output is the kernel's own error.
namespace ridge::kernels::moe {

/// One expert's weights, E4M3 with 128 x 128 scales. Gate and up are [intermediate][hidden] and not
/// interleaved; down is [hidden][intermediate].
struct ExpertWeights {
  Quantized gate;
  Quantized up;
  Quantized down;
};

/// Experts 0..groups-1 of `random`, materialised.
std::vector<ExpertWeights> materialize(const RandomWeights& random, int groups);

/// x sigmoid(x)
double silu(double x);

/// out[r][n] = sum over k of tokens[r][k] weights[group of r][n][k], row-major [rows][N].
/// `group_offsets` has one entry more than `weights`.
std::vector<double> grouped_gemm(const Quantized& tokens,
                                 std::span<const std::int32_t> group_offsets,
                                 std::span<const Quantized* const> weights);

/// silu(gate) * up for every row of the permuted tokens: [rows][intermediate].
std::vector<double> gate_up_swiglu(const Quantized& tokens,
                                   std::span<const std::int32_t> group_offsets,
                                   std::span<const ExpertWeights> experts);

/// Row-major [tokens][hidden] values to quantized rows in the order of `permutation`.
Quantized permute_and_quantize(const LayerShape& shape, const Permutation& permutation,
                               std::span<const float> tokens);

/// Weighted sum of each token's rows, shared experts with weight 1: [tokens][hidden]. A token none
/// of whose experts is local gets zeros.
std::vector<double> combine(const LayerShape& shape, const Permutation& permutation,
                            const RouterOutput& router, std::span<const double> expert_rows);

/// The whole layer; activations are quantized before gate_up and again before down, as the kernels
/// do, everything else is double.
std::vector<double> layer(const LayerShape& shape, const RouterOutput& router,
                          std::span<const float> tokens, std::span<const ExpertWeights> experts);

/// ||a - b|| / ||b||; infinite when any element is NaN, or when b is zero and a is not.
double relative_error(std::span<const double> a, std::span<const double> b);

}  // namespace ridge::kernels::moe
