#include "common/device.hpp"
#include "common/numeric.hpp"
#include "moe/activations.hpp"
#include "moe/bench_shape.hpp"
#include "moe/family.hpp"
#include "moe/layer.hpp"
#include "moe/permutation.hpp"
#include "moe/reference.hpp"
#include "moe/scale_layout.hpp"
#include "moe/simple.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <utility>

namespace ridge::kernels::moe {
namespace {

/// The device state of one case.
struct DeviceCase {
  DeviceCase(const LayerShape& layer_shape, const RouterOutput& router,
             const std::vector<Bf16>& host_tokens, int sm_count)
      : shape(layer_shape),
        weights(make_device_weights(
            {.hidden = shape.hidden, .intermediate = shape.intermediate, .seed = kWeightSeed},
            shape.groups(), nullptr)),
        workspace(shape),
        layer(shape, weights, workspace, sm_count),
        tokens(host_tokens),
        experts(router.experts),
        router_weights(router.weights),
        sums(static_cast<std::size_t>(std::max(1, shape.row_capacity())) *
             std::max(2 * shape.intermediate, shape.hidden)),
        out(host_tokens.size()) {}

  LayerInputs inputs() const {
    return {reinterpret_cast<const __nv_bfloat16*>(tokens.data()), experts.data(),
            router_weights.data()};
  }

  LayerShape shape;
  DeviceWeights weights;
  LayerWorkspace workspace;
  Layer layer;
  DeviceBuffer<Bf16> tokens;
  DeviceBuffer<std::int32_t> experts;
  DeviceBuffer<float> router_weights;
  DeviceBuffer<float> sums;
  DeviceBuffer<Bf16> out;
};

/// Everything a run wrote.
struct Outputs {
  std::vector<std::int32_t> group_offsets;
  std::vector<std::int32_t> row_of_slot;
  std::vector<std::uint8_t> rows;
  std::vector<float> row_scales;
  std::vector<std::uint8_t> activated;
  std::vector<float> activated_scales;
  std::vector<float> down_sums;
  std::vector<__nv_bfloat16> expert_rows;
  std::vector<Bf16> out;
};

/// One complete, poisoned execution. `down_sums` are the second GEMM's before rounding.
Outputs execute(const std::string& kernel, DeviceCase& device, int sm_count) {
  device.workspace.poison();
  device.sums.fill_bytes(0xff);
  device.out.fill_bytes(0xff);
  auto* const out = reinterpret_cast<__nv_bfloat16*>(device.out.data());
  if (kernel == "simple") {
    device.layer.launch_simple(device.inputs(), device.sums.data(), out, nullptr);
  } else {
    device.layer.launch(device.inputs(), out, nullptr);
    GroupedGemmOperands unrounded = device.layer.down().operands;
    unrounded.out = device.sums.data();
    launch(make_grouped_gemm(unrounded, Epilogue::kFloat), sm_count, nullptr);
  }
  RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  const LayerWorkspace& w = device.workspace;
  return {w.group_offsets.download(), w.row_of_slot.download(), w.rows.download(),
          w.row_scales.download(),    w.activated.download(),   w.activated_scales.download(),
          device.sums.download(),     w.expert_rows.download(), device.out.download()};
}

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

bool same_bits(const Outputs& a, const Outputs& b) {
  return same_bits(a.group_offsets, b.group_offsets) && same_bits(a.row_of_slot, b.row_of_slot) &&
         same_bits(a.rows, b.rows) && same_bits(a.row_scales, b.row_scales) &&
         same_bits(a.activated, b.activated) && same_bits(a.activated_scales, b.activated_scales) &&
         same_bits(a.down_sums, b.down_sums) && same_bits(a.expert_rows, b.expert_rows) &&
         same_bits(a.out, b.out);
}

/// The first `rows` rows of quantized values in the device's layout.
Quantized collect(const std::vector<std::uint8_t>& values, const std::vector<float>& scales,
                  int rows, int columns, int pitch) {
  Quantized q{.rows = rows, .columns = columns, .scale_rows = 1, .values = {}, .scales = {}};
  const std::size_t count = static_cast<std::size_t>(rows) * columns;
  q.values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) q.values.push_back(E4m3{values[i]});
  for (int row = 0; row < rows; ++row)
    for (int block = 0; block < columns / kScaleBlock; ++block)
      q.scales.push_back(scales[static_cast<std::size_t>(block) * pitch + row]);
  return q;
}

bool same_bits(const Quantized& a, const Quantized& b) {
  return a.values.size() == b.values.size() && same_bits(a.scales, b.scales) &&
         std::equal(a.values.begin(), a.values.end(), b.values.begin(),
                    [](E4m3 x, E4m3 y) { return x.bits == y.bits; });
}

/// The first element further from its reference than its bound, as text; nothing when all are in.
template <typename Bound>
std::optional<std::string> first_outside(const char* what, const std::vector<double>& got,
                                         const std::vector<double>& want, int columns,
                                         Bound bound) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (std::abs(got[i] - want[i]) <= bound(i)) continue;
    char text[200];
    std::snprintf(text, sizeof text, "%s: row %zu, column %zu: got %g, expected %g +- %g", what,
                  i / static_cast<std::size_t>(columns), i % static_cast<std::size_t>(columns),
                  got[i], want[i], bound(i));
    return text;
  }
  return std::nullopt;
}

std::vector<double> dequantize(const Quantized& q) {
  std::vector<double> values;
  for (int row = 0; row < q.rows; ++row)
    for (int column = 0; column < q.columns; ++column) values.push_back(q.dequantized(row, column));
  return values;
}

}  // namespace

/// Checks stage by stage, each on what the device's previous stage produced, so that the first
/// message names the kernel that is wrong and no error hides in a requantization.
bench::CheckReport check_layer(const bench::Case& test, const bench::DeviceFacts& facts) {
  const LayerShape shape = layer_shape_of(test.shape);
  const RouterOutput router = draw_routing(shape, routing_of(test.shape), kRoutingSeed);
  const Permutation permutation = permute(shape, router);
  std::vector<Bf16> tokens(static_cast<std::size_t>(shape.tokens) * shape.hidden);
  std::vector<float> token_values;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = random_activation(kTokenSeed, i, shape.hidden);
    token_values.push_back(to_float(tokens[i]));
  }
  DeviceCase device(shape, router, tokens, facts.sm_count);
  const Outputs first = execute(test.kernel, device, facts.sm_count);
  const Outputs second = execute(test.kernel, device, facts.sm_count);

  bench::CheckReport report;
  report.tolerance = 1e-3;
  report.relative_error = 0.0;
  const auto fail = [&](std::string message) {
    report.message = std::move(message);
    return report;
  };

  if (first.group_offsets != permutation.group_offsets)
    return fail("sort: the group offsets differ from a stable sort's");
  if (first.row_of_slot != permutation.row_of_slot)
    return fail("sort: the rows differ from a stable sort's");

  const int rows = permutation.rows();
  const int pitch = scale_pitch(shape.row_capacity());
  const Quantized quantized = collect(first.rows, first.row_scales, rows, shape.hidden, pitch);
  if (!same_bits(quantized, permute_and_quantize(shape, permutation, token_values)))
    return fail("permute + quantize: rows or scales differ from the host's bits");

  const std::vector<ExpertWeights> experts = materialize(device.weights.source, shape.groups());
  const std::vector<double> activated =
      gate_up_swiglu(quantized, permutation.group_offsets, experts);
  const Quantized requantized =
      collect(first.activated, first.activated_scales, rows, shape.intermediate, pitch);
  const Quantized expected_quantized = quantize_1x128(
      std::vector<float>(activated.begin(), activated.end()), rows, shape.intermediate);
  // A scale hangs on a single gate and a single up sum, each of which Hopper's FP8 matrix unit
  // truncates (arXiv 2412.19437, section 3.5.2): now and then by more than 1e-3, though sums taken
  // together are off by far less.
  constexpr float kScaleTolerance = 5e-3f;
  for (std::size_t i = 0; i < expected_quantized.scales.size(); ++i) {
    const float got = requantized.scales[i];
    const float want = expected_quantized.scales[i];
    if (!(std::abs(got - want) <= kScaleTolerance * want))
      return fail("gate_up + SwiGLU: scale " + std::to_string(i) + " is " + std::to_string(got) +
                  ", expected " + std::to_string(want));
  }
  // Half an E4M3 spacing, and 1e-3 of the block's largest value for the sums under it.
  const auto requantized_bound = [&](std::size_t i) {
    const auto columns = static_cast<std::size_t>(shape.intermediate);
    const double scale =
        expected_quantized.scale(static_cast<int>(i / columns), static_cast<int>(i % columns));
    return std::max(std::abs(activated[i]) * 0x1p-4, scale * 0x1p-10) + 1e-3 * kE4m3Max * scale;
  };
  if (const auto outside = first_outside("gate_up + SwiGLU", dequantize(requantized), activated,
                                         shape.intermediate, requantized_bound))
    return fail(*outside);

  std::vector<const Quantized*> downs;
  for (const ExpertWeights& expert : experts) downs.push_back(&expert.down);
  const std::vector<double> down = grouped_gemm(requantized, permutation.group_offsets, downs);
  const std::vector<double> down_sums(
      first.down_sums.begin(), first.down_sums.begin() + static_cast<std::ptrdiff_t>(down.size()));
  report.relative_error = relative_error(down_sums, down);
  if (!(report.relative_error <= report.tolerance)) return fail("down: the sums are off");

  std::vector<double> expert_rows;
  for (std::size_t i = 0; i < down.size(); ++i) {
    const Bf16 rounded = to_bf16(first.down_sums[i]);
    if (std::memcmp(&rounded, &first.expert_rows[i], sizeof rounded) != 0)
      return fail("down: the BF16 output is not the float output rounded, first at element " +
                  std::to_string(i));
    expert_rows.push_back(to_float(rounded));
  }
  const std::vector<double> combined = combine(shape, permutation, router, expert_rows);
  std::vector<double> out;
  for (const Bf16 value : first.out) out.push_back(to_float(value));
  // Half a BF16 spacing, and the rounding of a handful of float additions.
  if (const auto outside =
          first_outside("combine", out, combined, shape.hidden,
                        [&](std::size_t i) { return std::abs(combined[i]) * 0x1p-8 + 1e-5; }))
    return fail(*outside);

  // The whole chain. Where a sum falls near the middle between two E4M3 values, the device's tiny
  // error decides which one the next GEMM sees, so that this cannot be as tight as its parts.
  const double whole = relative_error(out, layer(shape, router, token_values, experts));
  if (!(whole <= 2e-2)) return fail("layer: off by " + std::to_string(whole) + " as a whole");
  if (!same_bits(first, second)) return fail("two runs on the same inputs differ");
  report.passed = true;
  return report;
}

/// The grouped GEMM alone, plain: sums as float against double, and their rounding to BF16.
bench::CheckReport check_gemm(const bench::Case& test, const bench::DeviceFacts& facts) {
  if (gemm_of(test.shape) != Gemm::kDown)
    throw std::invalid_argument("gate_up is checked as a part of the layer");
  const LayerShape shape = layer_shape_of(test.shape);
  const Permutation permutation =
      permute(shape, draw_routing(shape, routing_of(test.shape), kRoutingSeed));
  const int rows = permutation.rows();
  std::vector<float> values;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows) * shape.intermediate; ++i)
    values.push_back(to_float(random_activation(kTokenSeed, i, shape.intermediate)));
  const Quantized tokens = quantize_1x128(values, rows, shape.intermediate);

  const RandomWeights source{
      .hidden = shape.hidden, .intermediate = shape.intermediate, .seed = kWeightSeed};
  const DeviceWeights weights = make_device_weights(source, shape.groups(), nullptr);
  LayerWorkspace workspace(shape);
  workspace.poison();
  workspace.group_offsets.upload(permutation.group_offsets);
  std::vector<std::uint8_t> bytes;
  for (const E4m3 value : tokens.values) bytes.push_back(value.bits);
  workspace.activated.upload(bytes);
  std::vector<float> scales = workspace.activated_scales.download();
  const int pitch = scale_pitch(shape.row_capacity());
  for (int row = 0; row < rows; ++row)
    for (int block = 0; block < shape.intermediate / kScaleBlock; ++block)
      scales[static_cast<std::size_t>(block) * pitch + row] =
          tokens.scale(row, block * kScaleBlock);
  workspace.activated_scales.upload(scales);

  GroupedGemmOperands operands = Layer(shape, weights, workspace, facts.sm_count).down().operands;
  DeviceBuffer<float> sums(static_cast<std::size_t>(std::max(1, shape.row_capacity())) *
                           shape.hidden);
  operands.out = sums.data();
  const auto run = [&] {
    sums.fill_bytes(0xff);
    if (test.kernel == "simple")
      launch_simple_grouped_gemm(operands, false, sums.data(), nullptr);
    else
      launch(make_grouped_gemm(operands, Epilogue::kFloat), facts.sm_count, nullptr);
    RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
    return sums.download();
  };
  const std::vector<float> first = run();
  const std::vector<float> second = run();

  const std::vector<ExpertWeights> experts = materialize(source, shape.groups());
  std::vector<const Quantized*> downs;
  for (const ExpertWeights& expert : experts) downs.push_back(&expert.down);
  const std::vector<double> expected = grouped_gemm(tokens, permutation.group_offsets, downs);
  const std::vector<double> got(first.begin(),
                                first.begin() + static_cast<std::ptrdiff_t>(expected.size()));
  bench::CheckReport report;
  report.tolerance = 1e-3;
  report.relative_error = relative_error(got, expected);
  if (!(report.relative_error <= report.tolerance)) {
    report.message = first_outside("sums", got, expected, shape.hidden, [&](std::size_t i) {
                       return 1e-3 * std::abs(expected[i]) + 1e-3;
                     }).value_or("many small errors");
    return report;
  }
  for (std::size_t i = expected.size(); i < first.size(); ++i)
    if (!std::isnan(first[i])) {
      report.message = "wrote past the last row, at element " + std::to_string(i);
      return report;
    }
  if (!same_bits(first, second)) {
    report.message = "two runs on the same inputs differ";
    return report;
  }
  report.passed = true;
  return report;
}

}  // namespace ridge::kernels::moe
