#include "common/launch.cuh"
#include "gemm/cublaslt_gemm.hpp"
#include "moe/activations.hpp"
#include "moe/bench_shape.hpp"
#include "moe/family.hpp"
#include "moe/layer.hpp"
#include "moe/permutation.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace ridge::kernels::moe {
namespace {

__global__ void fill_tokens_kernel(Bf16* tokens, std::uint64_t count, int hidden,
                                   std::uint64_t seed) {
  const std::uint64_t stride = static_cast<std::uint64_t>(gridDim.x) * blockDim.x;
  for (std::uint64_t i = static_cast<std::uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       i < count; i += stride)
    tokens[i] = random_activation(seed, i, hidden);
}

/// Weights shared by consecutive points of one model: filling gigabytes anew for each would take
/// longer than timing them.
const std::vector<DeviceWeights>& weights_of(const LayerShape& shape, int copies) {
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

/// One independent copy of everything a launch touches.
struct InputSet {
  InputSet(const LayerShape& shape, const DeviceWeights& device_weights, int sm_count,
           std::uint64_t seed)
      : weights(device_weights),
        workspace(shape),
        layer(shape, weights, workspace, sm_count),
        tokens(static_cast<std::size_t>(shape.tokens) * shape.hidden),
        out(tokens.size()) {
    launch_kernel({.grid = 256, .block = 256}, fill_tokens_kernel, tokens.data(), tokens.size(),
                  shape.hidden, seed);
  }

  const DeviceWeights& weights;
  LayerWorkspace workspace;
  Layer layer;
  DeviceBuffer<Bf16> tokens;
  DeviceBuffer<Bf16> out;
};

/// The input sets of a point, each with a layer already run once: what a single GEMM reads is what
/// the layer leaves.
class LayerWorkload : public bench::Workload {
 public:
  LayerWorkload(const bench::Point& point, const bench::DeviceFacts& facts)
      : shape_(layer_shape_of(point.shape)),
        router_(draw_routing(shape_, routing_of(point.shape), kRoutingSeed)),
        simple_(point.kernel == "simple"),
        sm_count_(facts.sm_count),
        experts_(router_.experts),
        router_weights_(router_.weights) {
    const int sets = bench::input_sets(point.work.bytes_read, facts, kMostSets);
    const std::vector<DeviceWeights>& weights = weights_of(shape_, sets);
    for (int set = 0; set < sets; ++set)
      sets_.push_back(std::make_unique<InputSet>(shape_, weights[static_cast<std::size_t>(set)],
                                                 sm_count_,
                                                 kTokenSeed + static_cast<std::uint64_t>(set)));
    if (simple_)
      sums_ = DeviceBuffer<float>(static_cast<std::size_t>(shape_.row_capacity()) *
                                  std::max(2 * shape_.intermediate, shape_.hidden));
    for (int set = 0; set < sets; ++set) LayerWorkload::launch(set, nullptr);
    RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  }

  int sets() const override { return static_cast<int>(sets_.size()); }

  void launch(int set, bench::Stream stream) override {
    const InputSet& s = input_set(set);
    const LayerInputs inputs{reinterpret_cast<const __nv_bfloat16*>(s.tokens.data()),
                             experts_.data(), router_weights_.data()};
    auto* const out = reinterpret_cast<__nv_bfloat16*>(s.out.data());
    if (simple_)
      s.layer.launch_simple(inputs, sums_.data(), out, stream);
    else
      s.layer.launch(inputs, out, stream);
  }

 protected:
  const LayerShape& shape() const { return shape_; }
  const RouterOutput& router() const { return router_; }
  int sm_count() const { return sm_count_; }
  const InputSet& input_set(int set) const { return *sets_[static_cast<std::size_t>(set)]; }

 private:
  LayerShape shape_;
  RouterOutput router_;
  bool simple_;
  int sm_count_;
  DeviceBuffer<std::int32_t> experts_;
  DeviceBuffer<float> router_weights_;
  DeviceBuffer<float> sums_;
  std::vector<std::unique_ptr<InputSet>> sets_;
};

class GemmWorkload : public LayerWorkload {
 public:
  GemmWorkload(const bench::Point& point, const bench::DeviceFacts& facts)
      : LayerWorkload(point, facts), gemm_(gemm_of(point.shape)) {}

  void launch(int set, bench::Stream stream) override {
    moe::launch(prepared(set), sm_count(), stream);
  }

 protected:
  const GroupedGemm& prepared(int set) const {
    const Layer& layer = input_set(set).layer;
    return gemm_ == Gemm::kGateUp ? layer.gate_up() : layer.down();
  }

 private:
  Gemm gemm_;
};

/// cuBLASLt on the same rows and weights, expert by expert.
class CublasLtWorkload : public GemmWorkload {
 public:
  CublasLtWorkload(const bench::Point& point, const bench::DeviceFacts& facts)
      : GemmWorkload(point, facts) {
    const GroupedGemmOperands& operands = prepared(0).operands;
    const Permutation permutation = permute(shape(), router());
    const auto add = [&](int group, int first_row, int rows) {
      if (rows == 0) return;
      const auto same_size = std::find_if(products_.begin(), products_.end(),
                                          [&](const Product& p) { return p.rows == rows; });
      const std::size_t plan = same_size != products_.end() ? same_size->plan : plans_.size();
      if (plan == plans_.size())
        plans_.emplace_back(gemm::Dtype::kFp8Block, rows, operands.weight_rows, operands.depth);
      products_.push_back({group, first_row, rows, plan});
    };
    for (int group = 0; group < operands.groups; ++group) {
      const auto g = static_cast<std::size_t>(group);
      add(group, permutation.group_offsets[g],
          permutation.group_offsets[g + 1] - permutation.group_offsets[g]);
    }
    // Its products are padded to 16 rows, which the layer's own buffers have no room for.
    const auto rows = static_cast<std::size_t>(operands.row_capacity + 16);
    out_ = DeviceBuffer<__nv_bfloat16>(rows * static_cast<std::size_t>(operands.weight_rows));
    tokens_ = DeviceBuffer<std::uint8_t>(rows * static_cast<std::size_t>(operands.depth));
    RIDGE_CUDA_CHECK(cudaMemcpy(
        tokens_.data(), operands.tokens,
        static_cast<std::size_t>(operands.row_capacity) * static_cast<std::size_t>(operands.depth),
        cudaMemcpyDeviceToDevice));
  }

  void launch(int set, bench::Stream stream) override {
    const GroupedGemmOperands& operands = prepared(set).operands;
    const auto depth = static_cast<std::size_t>(operands.depth);
    const auto columns = static_cast<std::size_t>(operands.weight_rows);
    for (const Product& p : products_)
      plans_[p.plan].launch(tokens_.data() + static_cast<std::size_t>(p.first_row) * depth,
                            operands.weights + static_cast<std::size_t>(p.group) * columns * depth,
                            out_.data() + static_cast<std::size_t>(p.first_row) * columns, stream);
  }

 private:
  struct Product {
    int group;
    int first_row;
    int rows;
    std::size_t plan;
  };
  std::vector<gemm::CublasLtGemm> plans_;
  std::vector<Product> products_;
  DeviceBuffer<__nv_bfloat16> out_;
  DeviceBuffer<std::uint8_t> tokens_;
};

[[noreturn]] void refuse(const bench::Point& point) {
  throw std::invalid_argument("this family has no kernel '" + point.kernel + "'");
}

}  // namespace

std::unique_ptr<bench::Workload> prepare_layer(const bench::Point& point,
                                               const bench::DeviceFacts& device) {
  if (point.kernel != "ridge" && point.kernel != "simple") refuse(point);
  return std::make_unique<LayerWorkload>(point, device);
}

std::unique_ptr<bench::Workload> prepare_gemm(const bench::Point& point,
                                              const bench::DeviceFacts& device) {
  if (point.kernel == "ridge") return std::make_unique<GemmWorkload>(point, device);
  if (point.kernel == "cublaslt_per_expert")
    return std::make_unique<CublasLtWorkload>(point, device);
  refuse(point);
}

}  // namespace ridge::kernels::moe
