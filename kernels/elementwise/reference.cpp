#include "elementwise/reference.hpp"

#include "common/numeric.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ridge::kernels::elementwise {

Quantized rms_norm_quantize(const std::vector<std::uint16_t>& x,
                            const std::vector<std::uint16_t>& weight, int tokens, int hidden) {
  Quantized result;
  result.normalized.resize(static_cast<std::size_t>(tokens) * hidden);
  result.scale.resize(static_cast<std::size_t>(tokens) * hidden / kQuantGroup);
  for (int token = 0; token < tokens; ++token) {
    const std::size_t row = static_cast<std::size_t>(token) * hidden;
    double squares = 0;
    for (int i = 0; i < hidden; ++i) {
      const double v = to_float(Bf16{x[row + i]});
      squares += v * v;
    }
    const double factor = 1 / std::sqrt(squares / hidden + kRmsEpsilon);
    for (int i = 0; i < hidden; ++i) {
      const double y = to_float(Bf16{x[row + i]}) * factor * to_float(Bf16{weight[i]});
      result.normalized[row + i] = y;
      double& scale = result.scale[(row + i) / kQuantGroup];
      scale = std::max(scale, std::abs(y) / kE4m3Max);
    }
  }
  return result;
}

std::vector<double> rope(const std::vector<std::uint16_t>& x,
                         const std::vector<std::int32_t>& positions, int heads, int head_dim) {
  std::vector<double> result(x.size());
  const int half = head_dim / 2;
  for (std::size_t token = 0; token < positions.size(); ++token) {
    for (int head = 0; head < heads; ++head) {
      const std::size_t row = (token * heads + head) * head_dim;
      for (int i = 0; i < half; ++i) {
        const double angle = positions[token] * std::pow(kRopeBase, -2.0 * i / head_dim);
        const double a = to_float(Bf16{x[row + i]});
        const double b = to_float(Bf16{x[row + i + half]});
        result[row + i] = a * std::cos(angle) - b * std::sin(angle);
        result[row + i + half] = a * std::sin(angle) + b * std::cos(angle);
      }
    }
  }
  return result;
}

Routes router_top_k(const std::vector<float>& logits, int tokens, int experts, int top_k) {
  Routes routes;
  for (int token = 0; token < tokens; ++token) {
    const float* row = logits.data() + static_cast<std::size_t>(token) * experts;
    std::vector<std::int32_t> order(experts);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [row](int a, int b) { return row[a] > row[b]; });
    double sum = 0;
    for (int i = 0; i < top_k; ++i) {
      sum += std::exp(static_cast<double>(row[order[i]]) - row[order[0]]);
    }
    for (int i = 0; i < top_k; ++i) {
      routes.expert.push_back(order[i]);
      routes.weight.push_back(std::exp(static_cast<double>(row[order[i]]) - row[order[0]]) / sum);
    }
  }
  return routes;
}

}  // namespace ridge::kernels::elementwise
