#include "ridge/answer/fit_report.hpp"
#include "ridge/base/error.hpp"
#include "ridge/decode/memory_plan.hpp"
#include "ridge/hwmodels/memory_reserve.hpp"
#include "ridge/scenario/library.hpp"
#include "ridge/scenario/simulation_scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::answer {
namespace {

using hw::theory::AttentionFit;
using hw::theory::FfnFit;

FitQuestion question(const char* model, const char* chip) {
  FitQuestion out;
  out.model = models::load_model(model);
  out.chips.push_back(hw::load_chip(chip));
  return out;
}

AttentionFit attention(const FitQuestion& asked) {
  return *answer(asked).rows.front().attention;
}
FfnFit ffn(const FitQuestion& asked) {
  return *answer(asked).rows.front().ffn;
}

// Section 6 of arXiv 2507.19427, with its stage of 16.6 ms.
TEST(Fit, SixServersOfL20ServeTheFfnOfStep3) {
  auto asked = question("step-3", "l20");
  asked.assumptions.stage_budget = Seconds{16.6e-3};
  EXPECT_EQ(ffn(asked).servers, 6);
  EXPECT_EQ(ffn(asked).cards, 48);
  EXPECT_EQ(ffn(asked).bound, "memory bandwidth");
}

TEST(Fit, TheOutputProjectionIsReadInSharesOfTheServer) {
  // Query down and shared K and V, query up, an eighth of the output projection; one byte each.
  const double weights = 7168.0 * (2048 + 512) + 2048.0 * 16384 + 16384.0 * 7168 / 8;
  EXPECT_DOUBLE_EQ(attention(question("step-3", "l20")).weights_read.value(), weights);
}

TEST(Fit, WeightsAndTheCacheOfTheBatchFillTheBandwidth) {
  const auto asked = question("step-3", "l20");
  const AttentionFit fit = attention(asked);
  const double batch = *fit.limits.at(0).batch;
  const double cache = asked.assumptions.context * fit.cache_per_token.value();
  EXPECT_NEAR(fit.weights_read.value() + batch * cache, fit.bytes_in_budget.value(), 1.0);
}

TEST(Fit, TheBatchIsTheLeastOfAllLimits) {
  const AttentionFit fit = attention(question("step-3", "l20"));
  for (const auto& limit : fit.limits) {
    if (limit.batch) {
      EXPECT_LE(fit.batch, *limit.batch) << limit.resource;
    }
  }
  EXPECT_TRUE(fit.fits);
}

TEST(Fit, AttentionNeverFitsWhereItsWeightsAloneTakeTheStage) {
  auto asked = question("step-3", "l4");
  asked.assumptions.stage_budget = Seconds{1e-3};
  const AttentionFit fit = attention(asked);
  EXPECT_FALSE(fit.fits);
  EXPECT_LT(fit.cache_left.value(), 0.0);
  EXPECT_THAT(fit.why_not, testing::HasSubstr("memory bandwidth"));
}

TEST(Fit, FasterMemoryNeverNeedsMoreCardsNorHoldsFewerSequences) {
  auto asked = question("step-3", "l20");
  const auto slow_ffn = ffn(asked);
  const auto slow_attention = attention(asked);
  *asked.chips.front().memory_bandwidth.value *= 2.0;
  EXPECT_LE(ffn(asked).cards, slow_ffn.cards);
  EXPECT_GE(attention(asked).batch, slow_attention.batch);
}

TEST(Fit, CardsThatCannotHoldTheWeightsAreBoundByCapacity) {
  auto asked = question("step-3", "h20");
  asked.chips.front().memory.value = Bytes{4e9};
  const FfnFit fit = ffn(asked);
  EXPECT_EQ(fit.bound, "memory capacity");
  EXPECT_GE(static_cast<double>(fit.cards) * (0.9 * 4e9 - hw::kReserveTogether.value()),
            fit.weights.value());
}

// What a simulated deployment has room for: three micro-batches of Step-3 at 8K on eight H20.
TEST(Fit, AttentionHoldsAsManySequencesAsASimulationAdmits) {
  auto asked = question("step-3", "h20");
  asked.assumptions.context = 8192;
  scenario::Library library;
  auto located = scenario::read_scenario("heterogeneous-h20-attention-h800-ffn");
  const auto resolved = scenario::resolve(located, library).input;
  const decode::Deployment& d = resolved.deployment;
  const auto plan = decode::plan_memory(d, resolved.admission);
  const auto& attention_pool = plan.pools.at(d.index_of(decode::Role::attention));
  const double held = attention_pool.kv_budget /
                      decode::request_kv_bytes(d, resolved.admission, 8192) /
                      static_cast<double>(asked.assumptions.micro_batches);
  asked.model = d.model;
  asked.assumptions.output_parallel = d.output_parallel;
  // Activations are the difference.
  EXPECT_NEAR(*attention(asked).limits.at(2).batch / held, 1.0, 0.03);
}

TEST(Fit, CardsAreAddedUntilTheyCanMultiplyTheMicroBatch) {
  auto asked = question("step-3", "h20");
  const FfnFit few = ffn(asked);
  asked.assumptions.micro_batch = *few.limits.at(0).batch + 1.0;
  const FfnFit more = ffn(asked);
  EXPECT_EQ(more.bound, "arithmetic");
  EXPECT_EQ(more.servers, few.servers + 1);
  EXPECT_TRUE(more.fits);
}

TEST(Fit, AMicroBatchTooLargeForTheNetworkSaysSo) {
  auto asked = question("step-3", "l20");
  asked.assumptions.micro_batch = 1e6;
  const FfnFit fit = ffn(asked);
  EXPECT_FALSE(fit.fits);
  EXPECT_THAT(fit.why_not, testing::HasSubstr("of 1000000 tokens"));
}

TEST(Fit, EveryInFlightMicroBatchKeepsItsCache) {
  auto asked = question("step-3", "l20");
  const double three = *attention(asked).limits.at(2).batch;
  asked.assumptions.micro_batches = 6;
  EXPECT_NEAR(*attention(asked).limits.at(2).batch, three / 2.0, 1e-9);
}

TEST(Fit, TheNetworkCarriesMessagesWithTheirScales) {
  auto asked = question("step-3", "l20");
  const double whole = *ffn(asked).limits.at(1).batch;
  asked.assumptions.messages = models::MessageCount::values;
  const double values = *ffn(asked).limits.at(1).batch;
  EXPECT_LT(whole, values);
  EXPECT_NEAR(whole, values, 0.02 * values);
}

TEST(Fit, RefusesASplitThatDoesNotDivide) {
  auto asked = question("step-3", "l20");
  asked.assumptions.output_parallel = 5;
  EXPECT_THROW((void)answer(asked), UserError);
}

TEST(Fit, UnknownCapacityIsNotCheckedAndSaidSo) {
  auto asked = question("step-3", "l20");
  asked.chips.front().memory.value.reset();
  const FitReport report = answer(asked);
  EXPECT_FALSE(report.rows.front().attention->limits.at(2).batch.has_value());
  EXPECT_THAT(report.notes, testing::Contains(testing::HasSubstr("memory capacity unknown")));
}

}  // namespace
}  // namespace ridge::answer
