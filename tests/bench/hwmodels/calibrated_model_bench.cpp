// How many operators a calibrated kernel model times per second on one core. The target is five
// million: a decode step of hundreds of operators, resampled and swept, asks it billions of times.
#include "ridge/hwmodels/calibrated/calibrated_model.hpp"

#include <vector>

#include <benchmark/benchmark.h>

namespace {

using namespace ridge;

const hw::KernelModel& model() {
  static const auto kModel = [] {
    const auto calibration =
        hw::calibrated::load_calibration(hw::calibrated::calibration_names().front());
    return hw::calibrated_model(hw::load_chip(calibration.chip), calibration);
  }();
  return *kModel;
}

// Shapes of one kind and many sizes, so that no branch is learnt by heart.
template <typename Make>
void time_operators(benchmark::State& state, Make&& make) {
  std::vector<models::Operator> operators;
  for (int i = 0; i < 1024; ++i) operators.push_back({.name = "op", .shape = make(i)});
  const hw::KernelModel& kernels = model();
  std::size_t at = 0;
  double sum = 0.0;
  for (auto _ : state) {
    sum += kernels.time(operators[at]).time.value();
    at = (at + 1) & 1023U;
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations());
}

void decode_attention(benchmark::State& state) {
  time_operators(state, [](int i) {
    return models::DecodeAttention{.sequences = 1.0 + i % 256,
                                   .context = 512.0 + 61.0 * i,
                                   .query_heads = 64,
                                   .kv_heads = 4,
                                   .qk_dim = 128,
                                   .v_dim = 128,
                                   .cache_values_per_token = 1024};
  });
}

void gemm_bf16(benchmark::State& state) {
  time_operators(state, [](int i) {
    return models::Gemm{.m = 1.0 + 5.0 * i, .n = 512 + 64 * (i % 64), .k = 7168};
  });
}

void gemm_fp8(benchmark::State& state) {
  time_operators(state, [](int i) {
    return models::Gemm{.m = 1.0 + 5.0 * i,
                        .n = 512 + 64 * (i % 64),
                        .k = 7168,
                        .weights = models::Precision::fp8,
                        .compute = models::Precision::fp8};
  });
}

void grouped_gemm_fp8(benchmark::State& state) {
  time_operators(state, [](int i) {
    return models::GroupedGemm{.rows = 64.0 + 37.0 * i,
                               .experts = 32,
                               .active_experts = 31,
                               .n = 4096,
                               .k = 7168,
                               .weights = models::Precision::fp8,
                               .compute = models::Precision::fp8};
  });
}

void all_reduce(benchmark::State& state) {
  time_operators(state, [](int i) {
    return models::Collective{.ranks = 2 << (i % 3), .payload = Bytes{1e4 * (1 + i)}};
  });
}

BENCHMARK(decode_attention);
BENCHMARK(gemm_bf16);
BENCHMARK(gemm_fp8);
BENCHMARK(grouped_gemm_fp8);
BENCHMARK(all_reduce);

}  // namespace
