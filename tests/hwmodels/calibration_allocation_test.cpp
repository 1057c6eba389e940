// A calibrated model answers without touching the heap. In a file of its own: it replaces the
// program's operator new by one that counts.
#include "ridge/hwmodels/calibrated/calibrated_model.hpp"
#include "shipped_calibrations.hpp"

#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

namespace {
thread_local long allocations = 0;
}

// Not inlined, so that no compiler sees one half of a pair alone.
__attribute__((noinline)) void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
// What std::stable_sort takes its buffer from; it gives it back by the operator below.
__attribute__((noinline)) void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size);
}
__attribute__((noinline)) void operator delete(void* p) noexcept {
  std::free(p);
}
__attribute__((noinline)) void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}

namespace ridge::hw {
namespace {

TEST(CalibratedModel, EvaluationAllocatesNothing) {
  for (const calibrated::Calibration& calibration : calibrated::shipped_calibrations()) {
    const auto model = calibrated_model(load_chip(calibration.chip), calibration);
    const std::vector<models::Operator> operators = {
        {.name = "attention",
         .shape = models::DecodeAttention{.sequences = 64,
                                          .context = 8192,
                                          .query_heads = 64,
                                          .kv_heads = 1,
                                          .qk_dim = 256,
                                          .v_dim = 256,
                                          .cache_values_per_token = 512}},
        {.name = "unknown head size",
         .shape = models::DecodeAttention{.sequences = 64,
                                          .context = 8192,
                                          .query_heads = 64,
                                          .kv_heads = 1,
                                          .qk_dim = 77,
                                          .v_dim = 77,
                                          .cache_values_per_token = 154}},
        {.name = "gemm", .shape = models::Gemm{.m = 128, .n = 4096, .k = 7168}},
        {.name = "grouped",
         .shape = models::GroupedGemm{.rows = 1024,
                                      .experts = 32,
                                      .active_experts = 30,
                                      .tokens = 128,
                                      .routed_rows = 1024,
                                      .n = 4096,
                                      .k = 7168}},
        {.name = "norm", .shape = models::Elementwise{.values_read = 1e6, .values_written = 1e6}},
        {.name = "state",
         .shape =
             models::StateUpdate{.sequences = 8, .heads = 32, .key_dim = 128, .value_dim = 128}},
        {.name = "all_reduce", .shape = models::Collective{.ranks = 8, .payload = Bytes{1e6}}},
    };
    const long before = allocations;
    double sum = 0.0;
    for (const auto& op : operators) sum += model->time(op).time.value();
    EXPECT_EQ(allocations, before) << calibration.name;
    EXPECT_GT(sum, 0.0);
    EXPECT_GT(before, 0) << "the counter counts";
  }
}

}  // namespace
}  // namespace ridge::hw
