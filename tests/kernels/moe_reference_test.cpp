#include "common/random.hpp"
#include "moe/reference.hpp"

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

namespace ridge::kernels::moe {
namespace {

std::vector<float> random_tokens(const LayerShape& shape, std::uint64_t seed) {
  std::vector<float> values;
  for (int i = 0; i < shape.tokens * shape.hidden; ++i)
    values.push_back(to_float(to_bf16(random_normal(seed, static_cast<std::uint64_t>(i)))));
  return values;
}

/// One token through one expert, element by element, with no notion of rows, groups or blocks of a
/// matrix beyond the scales.
std::vector<double> expert_of_token(const ExpertWeights& expert, const std::vector<float>& token) {
  const int hidden = expert.down.rows;
  const int intermediate = expert.gate.rows;
  const Quantized x = quantize_1x128(token, 1, hidden);
  std::vector<float> activated;
  for (int i = 0; i < intermediate; ++i) {
    double gate = 0.0;
    double up = 0.0;
    for (int k = 0; k < hidden; ++k) {
      gate += expert.gate.dequantized(i, k) * x.dequantized(0, k);
      up += expert.up.dequantized(i, k) * x.dequantized(0, k);
    }
    activated.push_back(static_cast<float>(gate / (1.0 + std::exp(-gate)) * up));
  }
  const Quantized h = quantize_1x128(activated, 1, intermediate);
  std::vector<double> out;
  for (int n = 0; n < hidden; ++n) {
    double sum = 0.0;
    for (int k = 0; k < intermediate; ++k)
      sum += expert.down.dequantized(n, k) * h.dequantized(0, k);
    out.push_back(sum);
  }
  return out;
}

/// The layer as its definition reads: for each token, the weighted experts it picked plus the
/// shared ones.
std::vector<double> dense_layer(const LayerShape& shape, const RouterOutput& router,
                                const std::vector<float>& tokens,
                                const std::vector<ExpertWeights>& experts) {
  std::vector<double> out;
  for (int t = 0; t < shape.tokens; ++t) {
    const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(t) * shape.hidden;
    const std::vector<float> token(first, first + shape.hidden);
    std::vector<double> sum(static_cast<std::size_t>(shape.hidden), 0.0);
    const auto add = [&](int group, double weight) {
      const std::vector<double> y =
          expert_of_token(experts[static_cast<std::size_t>(group)], token);
      for (std::size_t i = 0; i < y.size(); ++i) sum[i] += weight * y[i];
    };
    for (int k = 0; k < shape.top_k; ++k) {
      const auto pick = static_cast<std::size_t>(t * shape.top_k + k);
      if (shape.is_local(router.experts[pick]))
        add(router.experts[pick] - shape.first_expert, static_cast<double>(router.weights[pick]));
    }
    for (int s = 0; s < shape.shared_experts; ++s) add(shape.local_experts + s, 1.0);
    out.insert(out.end(), sum.begin(), sum.end());
  }
  return out;
}

TEST(MoeReference, EqualsTheDensePerTokenLoopForEveryRouting) {
  for (const Routing& routing :
       {Routing{RoutingKind::kBalanced}, Routing{RoutingKind::kUniform},
        Routing{RoutingKind::kPowerLaw, 1.01}, Routing{RoutingKind::kPowerLaw, 1.2},
        Routing{RoutingKind::kHotExpert}})
    for (const int tokens : {0, 1, 9}) {
      const LayerShape shape = whole_layer(tokens, 256, 128, 6, 2, 1);
      const auto experts = materialize({.hidden = 256, .intermediate = 128, .seed = 3}, 7);
      const RouterOutput router = draw_routing(shape, routing, 4);
      const std::vector<float> x = random_tokens(shape, 5);
      const std::vector<double> dense = dense_layer(shape, router, x, experts);
      EXPECT_LT(relative_error(layer(shape, router, x, experts), dense), 1e-12) << name(routing);
    }
}

TEST(MoeReference, LeavesOutputsNearOneSoThatErrorsAreVisible) {
  const LayerShape shape = whole_layer(4, 512, 256, 4, 2, 1);
  const auto experts = materialize({.hidden = 512, .intermediate = 256, .seed = 3}, 5);
  const std::vector<double> out =
      layer(shape, draw_routing(shape, {}, 1), random_tokens(shape, 2), experts);
  double square = 0.0;
  for (const double y : out) square += y * y / static_cast<double>(out.size());
  EXPECT_GT(std::sqrt(square), 0.05);
  EXPECT_LT(std::sqrt(square), 20.0);
}

TEST(MoeReference, ExpertParallelPartialSumsAddUpToTheLayer) {
  const LayerShape whole = whole_layer(11, 128, 128, 8, 3, 0);
  const auto experts = materialize({.hidden = 128, .intermediate = 128, .seed = 7}, 8);
  const RouterOutput router = draw_routing(whole, {RoutingKind::kUniform}, 8);
  const std::vector<float> x = random_tokens(whole, 9);
  std::vector<double> sum(x.size(), 0.0);
  for (int rank = 0; rank < 2; ++rank) {
    const std::vector<ExpertWeights> local(experts.begin() + rank * 4,
                                           experts.begin() + rank * 4 + 4);
    const std::vector<double> partial = layer(slice(whole, 1, 2, rank), router, x, local);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += partial[i];
  }
  EXPECT_LT(relative_error(sum, layer(whole, router, x, experts)), 1e-12);
}

/// Rows [first, first + count) of a quantized matrix; both multiples of 128.
Quantized row_slice(const Quantized& q, int first, int count) {
  Quantized out{.rows = count, .columns = q.columns, .scale_rows = 128, .values = {}, .scales = {}};
  out.values.assign(q.values.begin() + static_cast<std::ptrdiff_t>(first) * q.columns,
                    q.values.begin() + static_cast<std::ptrdiff_t>(first + count) * q.columns);
  const int blocks = q.columns / 128;
  out.scales.assign(q.scales.begin() + first / 128 * blocks,
                    q.scales.begin() + (first + count) / 128 * blocks);
  return out;
}

Quantized column_slice(const Quantized& q, int first, int count) {
  Quantized out{.rows = q.rows, .columns = count, .scale_rows = 128, .values = {}, .scales = {}};
  for (int row = 0; row < q.rows; ++row)
    for (int column = first; column < first + count; ++column)
      out.values.push_back(q.values[static_cast<std::size_t>(row * q.columns + column)]);
  for (int row = 0; row < q.rows; row += 128)
    for (int column = first; column < first + count; column += 128)
      out.scales.push_back(q.scale(row, column));
  return out;
}

TEST(MoeReference, TensorParallelSlicesAddUpToTheLayer) {
  // Slices along the intermediate dimension fall between scale blocks, so that even the
  // requantized activations agree.
  const LayerShape whole = whole_layer(5, 128, 384, 4, 2, 1);
  const auto experts = materialize({.hidden = 128, .intermediate = 384, .seed = 7}, 5);
  const RouterOutput router = draw_routing(whole, {}, 8);
  const std::vector<float> x = random_tokens(whole, 9);
  std::vector<double> sum(x.size(), 0.0);
  for (int rank = 0; rank < 3; ++rank) {
    std::vector<ExpertWeights> local;
    for (const ExpertWeights& e : experts)
      local.push_back({.gate = row_slice(e.gate, rank * 128, 128),
                       .up = row_slice(e.up, rank * 128, 128),
                       .down = column_slice(e.down, rank * 128, 128)});
    const std::vector<double> partial = layer(slice(whole, 3, 1, 0), router, x, local);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += partial[i];
  }
  EXPECT_LT(relative_error(sum, layer(whole, router, x, experts)), 1e-12);
}

TEST(MoeReference, GivesZerosToATokenWithoutLocalExperts) {
  LayerShape shape = whole_layer(1, 128, 128, 4, 1, 0);
  const RouterOutput router = draw_routing(shape, {}, 1);
  shape.local_experts = 1;
  shape.first_expert = router.experts[0] == 0 ? 1 : 0;
  const auto experts = materialize({.hidden = 128, .intermediate = 128, .seed = 7}, 1);
  for (const double y : layer(shape, router, random_tokens(shape, 2), experts)) EXPECT_EQ(y, 0.0);
}

TEST(MoeReference, RelativeErrorNeverPassesNan) {
  const std::vector<double> expected{1.0, 2.0};
  EXPECT_TRUE(std::isinf(relative_error(std::vector{1.0, std::nan("")}, expected)));
  EXPECT_TRUE(std::isinf(relative_error(expected, std::vector{0.0, 0.0})));
  EXPECT_EQ(relative_error(std::vector{0.0, 0.0}, std::vector{0.0, 0.0}), 0.0);
  EXPECT_THROW(relative_error(expected, std::vector{1.0}), std::invalid_argument);
}

}  // namespace
}  // namespace ridge::kernels::moe
