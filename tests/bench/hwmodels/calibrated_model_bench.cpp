// How many operators a calibrated kernel model times per second on one core. The target is five
// million: a decode step of hundreds of operators, resampled and swept, asks it billions of times.
#include "ridge/hwmodels/calibrated/calibrated_model.hpp"

#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

namespace {

using namespace ridge;

// Shapes of one kind and many sizes, so that no branch is learned by heart.
template <typename Make>
void time_operators(benchmark::State& state, const hw::KernelModel& kernels, Make&& make) {
  std::vector<models::Operator> operators;
  for (int i = 0; i < 1024; ++i) operators.push_back({.name = "op", .shape = make(i)});
  std::size_t at = 0;
  double sum = 0.0;
  for (auto _ : state) {
    sum += kernels.time(operators[at]).time.value();
    at = (at + 1) & 1023U;
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations());
}

void decode_attention(benchmark::State& state, const hw::KernelModel& kernels) {
  time_operators(state, kernels, [](int i) {
    return models::DecodeAttention{.sequences = 1.0 + i % 256,
                                   .context = 512.0 + 61.0 * i,
                                   .query_heads = 64,
                                   .kv_heads = 4,
                                   .qk_dim = 128,
                                   .v_dim = 128,
                                   .cache_values_per_token = 1024};
  });
}

void gemm_bf16(benchmark::State& state, const hw::KernelModel& kernels) {
  time_operators(state, kernels, [](int i) {
    return models::Gemm{.m = 1.0 + 5.0 * i, .n = 512 + 64 * (i % 64), .k = 7168};
  });
}

void gemm_fp8(benchmark::State& state, const hw::KernelModel& kernels) {
  time_operators(state, kernels, [](int i) {
    return models::Gemm{.m = 1.0 + 5.0 * i,
                        .n = 512 + 64 * (i % 64),
                        .k = 7168,
                        .weights = models::Precision::fp8,
                        .compute = models::Precision::fp8};
  });
}

void grouped_gemm_fp8(benchmark::State& state, const hw::KernelModel& kernels) {
  time_operators(state, kernels, [](int i) {
    return models::GroupedGemm{.rows = 64.0 + 37.0 * i,
                               .experts = 32,
                               .active_experts = 31,
                               .n = 4096,
                               .k = 7168,
                               .weights = models::Precision::fp8,
                               .compute = models::Precision::fp8};
  });
}

void all_reduce(benchmark::State& state, const hw::KernelModel& kernels) {
  time_operators(state, kernels, [](int i) {
    return models::Collective{.ranks = 2 << (i % 3), .payload = Bytes{1e4 * (1 + i)}};
  });
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  // Each shipped calibration: kernels differ in what their schedules take to compute.
  std::vector<std::unique_ptr<const hw::KernelModel>> models;
  for (const std::string& name : hw::calibrated::calibration_names()) {
    const auto calibration = hw::calibrated::load_calibration(name);
    models.push_back(hw::calibrated_model(hw::load_chip(calibration.chip), calibration));
    const hw::KernelModel& kernels = *models.back();
    const auto add = [&](const char* operation,
                         void (*time)(benchmark::State&, const hw::KernelModel&)) {
      benchmark::RegisterBenchmark((name + "/" + operation).c_str(),
                                   [&kernels, time](benchmark::State& s) { time(s, kernels); });
    };
    add("decode_attention", decode_attention);
    add("gemm_bf16", gemm_bf16);
    add("gemm_fp8", gemm_fp8);
    add("grouped_gemm_fp8", grouped_gemm_fp8);
    add("all_reduce", all_reduce);
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
