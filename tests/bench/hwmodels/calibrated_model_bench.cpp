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

models::DecodeAttention latent(int i) {
  return {.kind = models::DecodeAttention::Kind::latent,
          .sequences = 1.0 + i % 256,
          .context = 512.0 + 61.0 * i,
          .query_heads = 16 << (i % 4),
          .kv_heads = 1,
          .qk_dim = 576,
          .v_dim = 512,
          .cache_values_per_token = 576};
}

models::Gemm gemm(int i, models::Precision precision) {
  return {.m = 1.0 + 5.0 * i,
          .n = 512 + 64 * (i % 64),
          .k = 7168,
          .weights = precision,
          .compute = precision};
}

models::GroupedGemm grouped_gemm(int i, models::Precision precision) {
  const double rows = 64.0 + 37.0 * i;
  return {.rows = rows,
          .experts = 32,
          .active_experts = 31,
          .tokens = rows,
          .routed_rows = rows,
          .n = 4096,
          .k = 7168,
          .weights = precision,
          .compute = precision};
}

// One operation of each family, and what it asks for as a size changes.
struct Operation {
  const char* name;
  models::Shape (*shape)(int i);
};

constexpr Operation kOperations[] = {
    {"decode_attention",
     [](int i) -> models::Shape {
       return models::DecodeAttention{.sequences = 1.0 + i % 256,
                                      .context = 512.0 + 61.0 * i,
                                      .query_heads = 64,
                                      .kv_heads = 4,
                                      .qk_dim = 128,
                                      .v_dim = 128,
                                      .cache_values_per_token = 1024};
     }},
    {"latent_attention", [](int i) -> models::Shape { return latent(i); }},
    {"sparse_latent_attention",
     [](int i) -> models::Shape {
       models::DecodeAttention op = latent(i);
       op.kind = models::DecodeAttention::Kind::sparse_latent;
       op.context = 2048.0;
       return op;
     }},
    {"compressed_attention",
     [](int i) -> models::Shape {
       return models::DecodeAttention{.kind = models::DecodeAttention::Kind::compressed,
                                      .sequences = 1.0 + i % 256,
                                      .context = 128.0 + i,
                                      .query_heads = 64,
                                      .kv_heads = 1,
                                      .qk_dim = 512,
                                      .v_dim = 512,
                                      .cache_values_per_token = 512,
                                      .cache = models::Precision::fp8};
     }},
    {"index_scores",
     [](int i) -> models::Shape {
       return models::DecodeAttention{.kind = models::DecodeAttention::Kind::index_scores,
                                      .sequences = 1.0 + i % 256,
                                      .context = 512.0 + 61.0 * i,
                                      .query_heads = 64,
                                      .kv_heads = 1,
                                      .qk_dim = 128,
                                      .v_dim = 0,
                                      .cache_values_per_token = 128,
                                      .cache = models::Precision::fp8};
     }},
    {"top_k",
     [](int i) -> models::Shape {
       return models::TopK{.rows = 1.0 + i % 256, .candidates = 512.0 + 61.0 * i, .chosen = 2048};
     }},
    {"gated_delta_state",
     [](int i) -> models::Shape {
       return models::StateUpdate{.kind = models::StateUpdate::Kind::gated_delta,
                                  .sequences = 1.0 + 0.5 * i,
                                  .heads = 32,
                                  .key_dim = 128,
                                  .value_dim = 128,
                                  .flop_per_state_value = 7};
     }},
    {"gemm_bf16", [](int i) -> models::Shape { return gemm(i, models::Precision::bf16); }},
    {"gemm_fp8", [](int i) -> models::Shape { return gemm(i, models::Precision::fp8); }},
    {"gemm_fp4", [](int i) -> models::Shape { return gemm(i, models::Precision::fp4); }},
    {"grouped_gemm_bf16",
     [](int i) -> models::Shape { return grouped_gemm(i, models::Precision::bf16); }},
    {"grouped_gemm_fp8",
     [](int i) -> models::Shape { return grouped_gemm(i, models::Precision::fp8); }},
    {"all_reduce",
     [](int i) -> models::Shape {
       return models::Collective{.ranks = 2 << (i % 3), .payload = Bytes{1e4 * (1 + i)}};
     }},
    {"all_to_all",
     [](int i) -> models::Shape {
       return models::Collective{.kind = models::Collective::Kind::all_to_all,
                                 .ranks = 2 << (i % 3),
                                 .payload = Bytes{1e4 * (1 + i)}};
     }},
    {"expert_dispatch",
     [](int i) -> models::Shape {
       const double tokens = 1.0 + i % 128;
       return models::Collective{.kind = models::Collective::Kind::all_to_all,
                                 .ranks = 8,
                                 .payload = Bytes{tokens * 8.0 * 7392.0},
                                 .copies = tokens * 8.0,
                                 .experts = 256};
     }},
    {"elementwise",
     [](int i) -> models::Shape {
       return models::Elementwise{.values_read = 1e4 * (1 + i), .values_written = 1e4};
     }},
};

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  // Each shipped calibration: kernels differ in what their schedules take to compute, and in how
  // many of them the fastest is chosen.
  std::vector<std::unique_ptr<const hw::KernelModel>> models;
  for (const std::string& name : hw::calibrated::calibration_names()) {
    const auto calibration = hw::calibrated::load_calibration(name);
    models.push_back(hw::calibrated_model(hw::load_chip(calibration.chip), calibration));
    const hw::KernelModel& kernels = *models.back();
    for (const Operation& operation : kOperations) {
      benchmark::RegisterBenchmark((name + "/" + operation.name).c_str(),
                                   [&kernels, &operation](benchmark::State& s) {
                                     time_operators(s, kernels, operation.shape);
                                   });
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
