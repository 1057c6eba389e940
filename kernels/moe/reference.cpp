#include "moe/reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace ridge::kernels::moe {
namespace {

std::size_t at(int row, int column, int columns) {
  return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) +
         static_cast<std::size_t>(column);
}

Quantized materialize(const RandomWeights& random, int group, Projection p) {
  const int rows = random.rows(p);
  const int depth = random.depth(p);
  Quantized out{.rows = rows,
                .columns = depth,
                .scale_rows = kScaleBlock,
                .values = std::vector<E4m3>(at(rows, 0, depth)),
                .scales = {}};
  for (int row = 0; row < rows; ++row)
    for (int k = 0; k < depth; ++k) out.values[at(row, k, depth)] = random.value(p, group, row, k);
  for (int row_block = 0; row_block < rows / kScaleBlock; ++row_block)
    for (int k_block = 0; k_block < depth / kScaleBlock; ++k_block)
      out.scales.push_back(random.scale(p, group, row_block, k_block));
  return out;
}

std::vector<double> dequantize(const Quantized& q) {
  std::vector<double> out(q.values.size());
  for (int row = 0; row < q.rows; ++row)
    for (int column = 0; column < q.columns; ++column)
      out[at(row, column, q.columns)] = q.dequantized(row, column);
  return out;
}

}  // namespace

std::vector<ExpertWeights> materialize(const RandomWeights& random, int groups) {
  std::vector<ExpertWeights> out;
  out.reserve(static_cast<std::size_t>(groups));
  for (int group = 0; group < groups; ++group)
    out.push_back({.gate = materialize(random, group, Projection::kGate),
                   .up = materialize(random, group, Projection::kUp),
                   .down = materialize(random, group, Projection::kDown)});
  return out;
}

double silu(double x) {
  return x / (1.0 + std::exp(-x));
}

std::vector<double> grouped_gemm(const Quantized& tokens,
                                 std::span<const std::int32_t> group_offsets,
                                 std::span<const Quantized* const> weights) {
  if (group_offsets.size() != weights.size() + 1)
    throw std::invalid_argument("grouped GEMM needs one more offset than groups");
  if (weights.empty()) return {};
  const int columns = weights.front()->rows;
  const int depth = tokens.columns;
  const std::vector<double> x = dequantize(tokens);
  std::vector<double> out(at(tokens.rows, 0, columns));
  for (std::size_t group = 0; group < weights.size(); ++group) {
    if (group_offsets[group] == group_offsets[group + 1]) continue;
    const std::vector<double> w = dequantize(*weights[group]);
    for (int row = group_offsets[group]; row < group_offsets[group + 1]; ++row)
      for (int n = 0; n < columns; n += 4) {
        // Four sums at once, which do not wait for each other. Behind the last column, it comes again.
        const auto line = [&](int i) { return &w[at(std::min(n + i, columns - 1), 0, depth)]; };
        const double* const lines[4] = {line(0), line(1), line(2), line(3)};
        double sums[4] = {};
        for (int k = 0; k < depth; ++k)
          for (int i = 0; i < 4; ++i) sums[i] += x[at(row, k, depth)] * lines[i][k];
        std::copy_n(sums, std::min(4, columns - n), &out[at(row, n, columns)]);
      }
  }
  return out;
}

std::vector<double> gate_up_swiglu(const Quantized& tokens,
                                   std::span<const std::int32_t> group_offsets,
                                   std::span<const ExpertWeights> experts) {
  std::vector<const Quantized*> gates;
  std::vector<const Quantized*> ups;
  for (const ExpertWeights& expert : experts) {
    gates.push_back(&expert.gate);
    ups.push_back(&expert.up);
  }
  std::vector<double> activated = grouped_gemm(tokens, group_offsets, gates);
  const std::vector<double> up = grouped_gemm(tokens, group_offsets, ups);
  for (std::size_t i = 0; i < activated.size(); ++i) activated[i] = silu(activated[i]) * up[i];
  return activated;
}

Quantized permute_and_quantize(const LayerShape& shape, const Permutation& permutation,
                               std::span<const float> tokens) {
  const int slots = shape.top_k + shape.shared_experts;
  std::vector<float> rows;
  rows.reserve(at(permutation.rows(), 0, shape.hidden));
  for (const std::int32_t slot : permutation.slot_of_row) {
    const auto row =
        tokens.subspan(at(slot / slots, 0, shape.hidden), static_cast<std::size_t>(shape.hidden));
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return quantize_1x128(rows, permutation.rows(), shape.hidden);
}

std::vector<double> combine(const LayerShape& shape, const Permutation& permutation,
                            const RouterOutput& router, std::span<const double> expert_rows) {
  const int slots = shape.top_k + shape.shared_experts;
  std::vector<double> out(at(shape.tokens, 0, shape.hidden), 0.0);
  for (int token = 0; token < shape.tokens; ++token) {
    for (int slot = 0; slot < slots; ++slot) {
      const int row = permutation.row_of_slot[at(token, slot, slots)];
      if (row == kNotLocal) continue;
      const double weight = slot < shape.top_k
                                ? static_cast<double>(router.weights[at(token, slot, shape.top_k)])
                                : 1.0;
      for (int column = 0; column < shape.hidden; ++column)
        out[at(token, column, shape.hidden)] += weight * expert_rows[at(row, column, shape.hidden)];
    }
  }
  return out;
}

std::vector<double> layer(const LayerShape& shape, const RouterOutput& router,
                          std::span<const float> tokens, std::span<const ExpertWeights> experts) {
  if (static_cast<int>(experts.size()) != shape.groups())
    throw std::invalid_argument("the layer needs weights for each local and shared expert");
  const Permutation permutation = permute(shape, router);
  const Quantized rows = permute_and_quantize(shape, permutation, tokens);
  const std::vector<double> activated = gate_up_swiglu(rows, permutation.group_offsets, experts);
  const std::vector<float> activated_float(activated.begin(), activated.end());
  const Quantized requantized =
      quantize_1x128(activated_float, permutation.rows(), shape.intermediate);
  std::vector<const Quantized*> downs;
  for (const ExpertWeights& expert : experts) downs.push_back(&expert.down);
  return combine(shape, permutation, router,
                 grouped_gemm(requantized, permutation.group_offsets, downs));
}

double relative_error(std::span<const double> a, std::span<const double> b) {
  if (a.size() != b.size()) throw std::invalid_argument("relative_error: sizes differ");
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  if (difference == 0.0) return 0.0;
  if (std::isnan(difference) || norm == 0.0) return std::numeric_limits<double>::infinity();
  return std::sqrt(difference / norm);
}

}  // namespace ridge::kernels::moe
