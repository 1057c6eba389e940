#include "common/device.hpp"
#include "common/numeric.hpp"
#include "common/random.hpp"
#include "moe/family.hpp"
#include "moe/layer.hpp"
#include "moe/permutation.hpp"
#include "moe/plan.hpp"
#include "moe/reference.hpp"
#include "moe/scale_layout.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace ridge::kernels::moe {
namespace {

constexpr std::uint64_t kWeightSeed = 11;
constexpr std::uint64_t kTokenSeed = 12;

/// Activations as a layer norm leaves them, with outlier channels so that scale blocks differ.
RIDGE_HOST_DEVICE Bf16 random_activation(std::uint64_t seed, std::uint64_t index, int hidden) {
  const std::uint64_t channel = index % static_cast<std::uint64_t>(hidden);
  const float outlier = random_bits(seed, ~channel) % 64 == 0 ? 8.0f : 1.0f;
  return to_bf16(random_normal(seed, index) * outlier);
}

// ---- correctness
// -----------------------------------------------------------------------------------

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

/// The first `rows` rows of quantised values in the device's layout.
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

/// Checks stage by stage, each on what the device's previous stage produced, so that the first
/// message names the kernel that is wrong and no error hides in a requantisation.
bench::CheckReport check(const bench::Case& test, const bench::DeviceFacts& facts) {
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
    return fail("permute + quantise: rows or scales differ from the host's bits");

  const std::vector<ExpertWeights> experts = materialize(device.weights.source, shape.groups());
  const std::vector<double> activated =
      gate_up_swiglu(quantized, permutation.group_offsets, experts);
  const Quantized requantized =
      collect(first.activated, first.activated_scales, rows, shape.intermediate, pitch);
  const Quantized expected_quantized = quantize_1x128(
      std::vector<float>(activated.begin(), activated.end()), rows, shape.intermediate);
  for (std::size_t i = 0; i < expected_quantized.scales.size(); ++i) {
    const float got = requantized.scales[i];
    const float want = expected_quantized.scales[i];
    if (!(std::abs(got - want) <= 1e-3f * want))
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

// ---- timing
// ----------------------------------------------------------------------------------------

__global__ void fill_tokens_kernel(Bf16* tokens, std::uint64_t count, int hidden,
                                   std::uint64_t seed) {
  const std::uint64_t stride = static_cast<std::uint64_t>(gridDim.x) * blockDim.x;
  for (std::uint64_t i = static_cast<std::uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       i < count; i += stride)
    tokens[i] = random_activation(seed, i, hidden);
}

/// Weights shared by consecutive points of one model: filling gigabytes anew for each would take
/// longer than timing them.
std::vector<DeviceWeights>& weights_of(const LayerShape& shape, int copies) {
  static std::vector<DeviceWeights> kept;
  const auto fits = [&](const DeviceWeights& w) {
    return w.groups == shape.groups() && w.source.hidden == shape.hidden &&
           w.source.intermediate == shape.intermediate;
  };
  if (!kept.empty() && !fits(kept.front())) kept.clear();
  while (static_cast<int>(kept.size()) < copies)
    kept.push_back(make_device_weights({.hidden = shape.hidden,
                                        .intermediate = shape.intermediate,
                                        .seed = kWeightSeed + kept.size()},
                                       shape.groups(), nullptr));
  return kept;
}

class MoeWorkload : public bench::Workload {
 public:
  MoeWorkload(const bench::Point& point, const bench::DeviceFacts& facts)
      : shape_(layer_shape_of(point.shape)),
        operation_(operation_of(point.shape)),
        simple_(point.kernel == "simple"),
        sm_count_(facts.sm_count) {
    if (!simple_ && point.kernel != "ridge")
      throw std::invalid_argument("the MoE family has no kernel '" + point.kernel + "'");
    // Enough sets that a set's weights have left the L2 when its turn comes again.
    constexpr double kMostSets = 16;
    const int sets = static_cast<int>(std::clamp(
        std::ceil(2.0 * static_cast<double>(facts.l2_bytes) / std::max(1.0, point.work.bytes_read)),
        1.0, kMostSets));
    const std::vector<DeviceWeights>& weights = weights_of(shape_, sets);
    const RouterOutput router = draw_routing(shape_, routing_of(point.shape), kRoutingSeed);
    experts_ = DeviceBuffer<std::int32_t>(router.experts);
    router_weights_ = DeviceBuffer<float>(router.weights);
    const std::size_t values = static_cast<std::size_t>(shape_.tokens) * shape_.hidden;
    for (int set = 0; set < sets; ++set)
      sets_.push_back(std::make_unique<Set>(shape_, weights[static_cast<std::size_t>(set)],
                                            sm_count_, values, kTokenSeed + set));
    if (simple_)
      sums_ = DeviceBuffer<float>(static_cast<std::size_t>(shape_.row_capacity()) *
                                  std::max(2 * shape_.intermediate, shape_.hidden));
    // A whole layer first: single GEMMs read the rows that it leaves.
    for (int set = 0; set < sets; ++set) launch_layer(set, nullptr);
    RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  }

  int sets() const override { return static_cast<int>(sets_.size()); }

  void launch(int set, bench::Stream stream) override {
    const Layer& layer = sets_[static_cast<std::size_t>(set)]->layer;
    switch (operation_) {
      case Operation::kLayer:
        return launch_layer(set, stream);
      case Operation::kGateUp:
        return moe::launch(layer.gate_up(), sm_count_, stream);
      case Operation::kDown:
        return moe::launch(layer.down(), sm_count_, stream);
    }
  }

 private:
  struct Set {
    Set(const LayerShape& shape, const DeviceWeights& weights, int sm_count, std::size_t values,
        std::uint64_t seed)
        : workspace(shape),
          layer(shape, weights, workspace, sm_count),
          tokens(values),
          out(values) {
      fill_tokens_kernel<<<256, 256>>>(tokens.data(), values, shape.hidden, seed);
      RIDGE_CUDA_CHECK(cudaGetLastError());
    }
    LayerWorkspace workspace;
    Layer layer;
    DeviceBuffer<Bf16> tokens;
    DeviceBuffer<Bf16> out;
  };

  void launch_layer(int set, cudaStream_t stream) {
    const Set& s = *sets_[static_cast<std::size_t>(set)];
    const LayerInputs inputs{reinterpret_cast<const __nv_bfloat16*>(s.tokens.data()),
                             experts_.data(), router_weights_.data()};
    auto* const out = reinterpret_cast<__nv_bfloat16*>(s.out.data());
    if (simple_)
      s.layer.launch_simple(inputs, sums_.data(), out, stream);
    else
      s.layer.launch(inputs, out, stream);
  }

  LayerShape shape_;
  Operation operation_;
  bool simple_;
  int sm_count_;
  DeviceBuffer<std::int32_t> experts_;
  DeviceBuffer<float> router_weights_;
  DeviceBuffer<float> sums_;
  std::vector<std::unique_ptr<Set>> sets_;
};

std::unique_ptr<bench::Workload> prepare(const bench::Point& point,
                                         const bench::DeviceFacts& facts) {
  return std::make_unique<MoeWorkload>(point, facts);
}

}  // namespace

const bench::Family& moe_family() {
  static const bench::Family family = {
      "moe",   "FP8 mixture-of-experts FFN: grouped GEMMs and the whole layer",
      grid,    explain,
      cases,   check,
      prepare,
  };
  return family;
}

}  // namespace ridge::kernels::moe
