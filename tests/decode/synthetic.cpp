#include "synthetic.hpp"

#include <string_view>
#include <utility>

namespace ridge::decode::test {
namespace {

class FixedKernels : public hw::KernelModel {
 public:
  FixedKernels(const StageSeconds& stages, double memory_bytes) : stages_(stages) {
    chip_.name = "synthetic";
    chip_.memory.value = Bytes{memory_bytes};
    chip_.memory_bandwidth.value = BytesPerSecond{1e12};
    chip_.matrix_rate[static_cast<std::size_t>(models::Precision::bf16)].value =
        FlopPerSecond{1e15};
  }

  hw::Timing time(const models::Operator& op) const override {
    double seconds = 0.0;
    if (const auto* attention = std::get_if<models::DecodeAttention>(&op.shape)) {
      seconds = stages_.attention +
                stages_.attention_per_cached_token * attention->sequences * attention->context;
    } else if (op.name == "down") {
      seconds = stages_.ffn;
    } else if (op.name == "expert_down") {
      seconds = stages_.ffn + stages_.ffn_per_row * std::get<models::GroupedGemm>(op.shape).rows;
    } else if (op.name == "lm_head") {
      const auto& gemm = std::get<models::Gemm>(op.shape);
      seconds = stages_.head + stages_.head_per_product * gemm.m * static_cast<double>(gemm.n);
    }
    return {.time = Seconds{seconds}};
  }
  const hw::ChipSpec& chip() const override { return chip_; }
  std::string provenance() const override { return "synthetic"; }

 private:
  StageSeconds stages_;
  hw::ChipSpec chip_;
};

class NamedKernels : public FixedKernels {
 public:
  explicit NamedKernels(std::map<std::string, double, std::less<>> seconds)
      : FixedKernels({}, 1e12), seconds_(std::move(seconds)) {}

  hw::Timing time(const models::Operator& op) const override {
    const auto found = seconds_.find(op.name);
    return {.time = Seconds{found == seconds_.end() ? 0.0 : found->second}};
  }

 private:
  std::map<std::string, double, std::less<>> seconds_;
};

models::ModelSpec model_with(const decltype(models::FfnBlock::kind)& ffn, std::int64_t layers) {
  models::ModelSpec model;
  model.name = "synthetic";
  model.hidden = 128;
  model.vocabulary = 1024;
  model.attentions.push_back(
      {.name = "attention",
       .kind = models::GroupedQueryAttention{.query_heads = 8, .kv_heads = 8, .head_dim = 16}});
  model.ffns.push_back({.name = "ffn", .kind = ffn});
  model.layer_runs.push_back({.repeat = layers, .pattern = {{.attention = 0, .ffn = 0}}});
  return model;
}

Pool pool(std::string name, Roles roles, std::int64_t instances, std::int64_t gpus,
          std::shared_ptr<const hw::KernelModel> kernels, double bandwidth) {
  return {.name = std::move(name),
          .roles = roles,
          .instances = instances,
          .gpus_per_instance = gpus,
          .gpus_per_node = gpus,
          .kernels = std::move(kernels),
          .memory_reserve = Bytes{},
          .nic_bandwidth = BytesPerSecond{bandwidth},
          .scale_up_bandwidth = BytesPerSecond{1e12}};
}

}  // namespace

std::shared_ptr<const hw::KernelModel> fixed_kernels(const StageSeconds& stages,
                                                     double memory_bytes) {
  return std::make_shared<FixedKernels>(stages, memory_bytes);
}

std::shared_ptr<const hw::KernelModel> named_kernels(
    std::map<std::string, double, std::less<>> seconds) {
  return std::make_shared<NamedKernels>(std::move(seconds));
}

models::ModelSpec dense_model(std::int64_t layers) {
  return model_with(models::DenseFfn{.intermediate = 512}, layers);
}

models::ModelSpec moe_model(std::int64_t layers) {
  return model_with(models::MoeFfn{.experts = 8, .top_k = 2, .expert_intermediate = 256}, layers);
}

SimulationInput one_to_one(std::int64_t layers, std::int64_t micro_batches,
                           const StageSeconds& stages, double bandwidth) {
  SimulationInput input;
  Deployment& d = input.deployment;
  d.strategy = "afd";
  d.model = dense_model(layers);
  d.micro_batches = micro_batches;
  const auto kernels = fixed_kernels(stages);
  d.pools = {pool("attention", {Role::attention}, 1, 1, kernels, bandwidth),
             pool("ffn", {Role::ffn}, 1, 1, kernels, bandwidth)};
  input.noise.experts.counts = ExpertPopularity::Counts::expected;
  input.workload.steady = true;
  input.workload.requests_per_gpu = static_cast<double>(micro_batches);
  input.workload.context.tokens = 100;
  return input;
}

SimulationInput two_to_two(std::int64_t layers, std::int64_t micro_batches,
                           const StageSeconds& stages) {
  SimulationInput input = one_to_one(layers, micro_batches, stages, 1e9);
  Deployment& d = input.deployment;
  d.model = moe_model(layers);
  const auto kernels = fixed_kernels(stages);
  d.pools = {pool("attention", {Role::attention}, 2, 4, kernels, 1e9),
             pool("ffn", {Role::ffn}, 2, 4, kernels, 1e9)};
  d.ffn_tensor_parallel = 4;
  d.ffn_expert_parallel = 2;
  input.workload.requests_per_gpu = 4.0 * static_cast<double>(micro_batches);
  return input;
}

void arrive(SimulationInput& input, double requests_per_second, std::int64_t context,
            std::int64_t output, double seconds) {
  input.workload = {.kind = Workload::Kind::poisson, .requests_per_second = requests_per_second};
  input.workload.context.tokens = static_cast<double>(context);
  input.workload.output.tokens = static_cast<double>(output);
  input.measurement.warmup = Seconds{0.0};
  input.measurement.duration = Seconds{seconds};
}

}  // namespace ridge::decode::test
