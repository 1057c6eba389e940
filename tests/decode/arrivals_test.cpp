// Requests that come, wait for memory, decode and leave.
#include "request_pool.hpp"
#include "ridge/base/error.hpp"
#include "synthetic.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::decode {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr test::StageSeconds kStages{
    .attention = 5e-6, .attention_per_cached_token = 1e-10, .ffn = 8e-6, .head = 1e-6};

// Memory for exactly this much KV on each GPU.
void give_kv(SimulationInput& input, double bytes) {
  const auto plan = plan_memory(input.deployment, input.admission);
  const double memory =
      (plan.pools[0].weights.value() + bytes) / input.admission.memory_utilization;
  input.deployment.pools[0].kernels = test::fixed_kernels(kStages, memory);
}

TEST(Arrivals, EveryRequestIsSomewhere) {
  for (const auto kind : {LengthDistribution::Kind::uniform, LengthDistribution::Kind::lognormal}) {
    auto input = test::one_to_one(4, 2, kStages, 1e12);
    test::arrive(input, 3000.0, 1, 1, 1.0);
    input.workload.context = {.kind = kind, .tokens = 200, .sigma = 1.0, .min = 1, .max = 2000};
    input.workload.output = {.kind = kind, .tokens = 20, .sigma = 1.0, .min = 1, .max = 60};
    give_kv(input, 4 * test::kKvBytesPerTokenAndLayer * 1500);
    const auto result = test::run(input);
    EXPECT_GT(result.requests_finished, 100U);
    EXPECT_GT(result.requests_refused, 0U);
    EXPECT_EQ(result.requests_arrived, result.requests_finished + result.requests_refused +
                                           result.requests_in_decode + result.requests_waiting);
    EXPECT_LE(result.kv_peak, 1.0);
  }
}

TEST(Arrivals, ARecordedTraceIsServedToTheLastToken) {
  auto input = test::one_to_one(4, 2, kStages, 1e12);
  input.workload = {.kind = Workload::Kind::trace};
  input.measurement.warmup = Seconds{0.0};
  input.measurement.duration = Seconds{1.0};
  Random random(7);
  std::uint64_t tokens = 0;
  for (int i = 0; i < 500; ++i) {
    const TraceRequest request{.arrival = Seconds{i * 1e-4},
                               .context_tokens = 1 + static_cast<std::int64_t>(random.below(1000)),
                               .output_tokens = 1 + static_cast<std::int64_t>(random.below(50))};
    tokens += static_cast<std::uint64_t>(request.output_tokens);
    input.workload.trace.push_back(request);
  }
  const auto result = test::run(input);
  EXPECT_EQ(result.requests_arrived, 500U);
  EXPECT_EQ(result.requests_finished, 500U);
  EXPECT_EQ(result.requests_in_decode, 0U);
  EXPECT_EQ(result.requests_waiting, 0U);
  EXPECT_EQ(result.tokens, tokens);
}

TEST(Arrivals, ARequestAloneDecodesAtTheStepTimeAndLeavesAtItsLength) {
  auto input = test::one_to_one(4, 1, {.attention = 5e-6, .ffn = 8e-6, .head = 1e-6}, 1e12);
  input.workload = {
      .kind = Workload::Kind::trace,
      .trace = {{.arrival = Seconds{1e-3}, .context_tokens = 10, .output_tokens = 7}}};
  input.measurement = {.warmup = Seconds{0.0}, .duration = Seconds{0.1}};
  const auto result = test::run(input);
  const double step = 4 * (5e-6 + 8e-6) + 1e-6;
  EXPECT_EQ(result.tokens, 7U);
  EXPECT_NEAR(result.mean_tpot.value(), step, 1e-8);
  EXPECT_NEAR(result.mean_requests, 7 * step / 0.1, 1e-6);
  EXPECT_NEAR(result.pools[0].empty, 0.1 - 7 * step, 1e-7);
  EXPECT_EQ(result.queueing.count(), 0U);
}

TEST(Arrivals, GrowingContextsSlowTheStep) {
  auto input = test::one_to_one(2, 1, {.attention_per_cached_token = 1e-9, .ffn = 1e-9}, 1e12);
  input.workload = {
      .kind = Workload::Kind::trace,
      .trace = {{.arrival = Seconds{}, .context_tokens = 100, .output_tokens = 1001}}};
  input.measurement = {.warmup = Seconds{0.0}, .duration = Seconds{0.01}};
  const auto result = test::run(input);
  // Contexts of 100 to 1100 tokens, two layers each.
  EXPECT_NEAR(result.mean_tpot.value(), 2 * 600 * 1e-9, 1e-8);
  EXPECT_NEAR(result.tpot.quantile(1.0), 2 * 1100 * 1e-9, 1e-8);
}

// Little: requests in decode = requests per second x seconds in decode. Exactly, but for those that
// had not finished when the run ended.
TEST(Arrivals, RequestsInDecodeFollowLittlesLaw) {
  auto input = test::two_to_two(4, 2, kStages);
  const std::int64_t output = 20;
  test::arrive(input, 20000.0, 300, output, 2.0);
  const auto result = test::run(input);
  ASSERT_GT(result.requests_finished, 10000U);
  double mean_tpot = 0.0;
  constexpr int kParts = 2000;
  for (int i = 0; i < kParts; ++i) mean_tpot += result.request_tpot.quantile((i + 0.5) / kParts);
  mean_tpot /= kParts;
  const double seconds = result.elapsed.seconds().value();
  const double of_finished = static_cast<double>(result.requests_finished) * mean_tpot *
                             static_cast<double>(output) / seconds;
  const double longest = result.request_tpot.quantile(1.0) * static_cast<double>(output);
  const double unfinished = static_cast<double>(result.requests_in_decode) * longest / seconds;
  const double sketch = 2e-3 * of_finished;
  EXPECT_GE(result.mean_requests, of_finished - sketch);
  EXPECT_LE(result.mean_requests, of_finished + unfinished + sketch);
}

// And over tokens: each token of each request took its share of the time in decode.
TEST(Arrivals, TokenTimesFillTheTimeInDecode) {
  auto input = test::two_to_two(4, 2, kStages);
  test::arrive(input, 20000.0, 300, 20, 2.0);
  const auto result = test::run(input);
  const double filled = static_cast<double>(result.tokens) * result.mean_tpot.value();
  EXPECT_NEAR(filled, result.mean_requests * result.elapsed.seconds().value(), 1e-3 * filled);
}

TEST(Arrivals, ThroughputIsTheOfferedLoadBelowSaturation) {
  auto input = test::two_to_two(4, 2, kStages);
  test::arrive(input, 10000.0, 300, 20, 4.0);
  const auto result = test::run(input);
  // 40,000 arrivals: three standard deviations are 1.5 %.
  EXPECT_NEAR(static_cast<double>(result.tokens), 4 * 10000.0 * 20, 0.015 * 4 * 10000.0 * 20);
}

TEST(Arrivals, AdmissionFillsTheMemoryAndNeverMore) {
  auto input = test::one_to_one(4, 2, kStages, 1e12);
  test::arrive(input, 1e6, 100, 20, 0.05);
  // 120 tokens are two pages of 64.
  const double request = 4 * test::kKvBytesPerTokenAndLayer * 128;
  EXPECT_DOUBLE_EQ(request_kv_bytes(input.deployment, input.admission, 120).value(), request);
  const double capacity = 5.0;
  give_kv(input, (capacity + 0.5) * request);
  const auto result = test::run(input);
  EXPECT_NEAR(result.kv_peak, capacity / (capacity + 0.5), 1e-6);
  EXPECT_LE(result.mean_requests, capacity);
  EXPECT_GE(result.mean_requests, 0.95 * capacity);
  EXPECT_LE(result.requests_in_decode, 5U);
  EXPECT_GT(result.requests_waiting, 0U);
  EXPECT_GT(result.queueing.quantile(0.5), 0.0);
}

TEST(Arrivals, AMaximumOfRequestsIsKept) {
  auto input = test::one_to_one(4, 2, kStages, 1e12);
  test::arrive(input, 1e6, 100, 20, 0.02);
  input.admission.max_requests_per_gpu = 6;
  const auto result = test::run(input);
  EXPECT_LE(result.mean_requests, 6.0);
  EXPECT_GE(result.mean_requests, 5.9);
}

TEST(Arrivals, ARequestLargerThanTheMemoryIsRefused) {
  auto input = test::one_to_one(4, 1, kStages, 1e12);
  give_kv(input, 4 * test::kKvBytesPerTokenAndLayer * 640);
  input.workload = {.kind = Workload::Kind::trace,
                    .trace = {{.arrival = Seconds{}, .context_tokens = 630, .output_tokens = 10},
                              {.arrival = Seconds{}, .context_tokens = 631, .output_tokens = 10}}};
  input.measurement = {.warmup = Seconds{0.0}, .duration = Seconds{0.1}};
  const auto result = test::run(input);
  EXPECT_EQ(result.requests_arrived, 2U);
  EXPECT_EQ(result.requests_refused, 1U);
  EXPECT_EQ(result.tokens, 10U);
  EXPECT_NEAR(result.kv_peak, 1.0, 1e-9);
}

TEST(Arrivals, AMicroBatchThatFellIdleTakesWaitingRequestsWhenMemoryFrees) {
  // Memory for two requests; the third waits. Both micro-batches serve to the end.
  auto input = test::one_to_one(2, 2, kStages, 1e12);
  give_kv(input, 2.5 * 2 * test::kKvBytesPerTokenAndLayer * 128);
  input.workload = {.kind = Workload::Kind::trace};
  for (int i = 0; i < 20; ++i) {
    input.workload.trace.push_back(
        {.arrival = Seconds{}, .context_tokens = 90, .output_tokens = 5 + i % 7});
  }
  input.measurement = {.warmup = Seconds{0.0}, .duration = Seconds{0.01}};
  const auto result = test::run(input);
  EXPECT_EQ(result.requests_finished, 20U);
  // Never fewer than two in decode until the queue is empty: 156 tokens, two by two.
  const double busy = result.mean_requests * 0.01;
  EXPECT_NEAR(busy, static_cast<double>(result.tokens) * result.mean_tpot.value(), 1e-7);
  EXPECT_LT(result.pools[0].empty, 0.01 - 0.45 * busy);
}

TEST(ClosedLoop, ALeavingRequestIsReplacedAtOnce) {
  auto input = test::one_to_one(4, 2, kStages, 1e12);
  input.workload.steady = false;
  input.workload.requests_per_gpu = 10;
  input.workload.output = {.kind = LengthDistribution::Kind::uniform, .min = 5, .max = 15};
  input.measurement = {.warmup_steps = 4, .steps = 200};
  const auto result = test::run(input);
  EXPECT_DOUBLE_EQ(result.mean_requests, 10.0);
  EXPECT_EQ(result.tokens, result.steps * 5);
  // 5 requests in each micro-batch, of 10 tokens on average.
  EXPECT_NEAR(static_cast<double>(result.requests_finished),
              static_cast<double>(result.tokens) / 10.0, 20.0);
}

TEST(ClosedLoop, GrowingContextsAreHeavierThanSteadyOnes) {
  auto input = test::one_to_one(4, 1, {.attention_per_cached_token = 1e-9, .ffn = 1e-9}, 1e12);
  input.measurement = {.warmup_steps = 10, .steps = 2000};
  const auto steady = test::run(input);
  input.workload.steady = false;
  input.workload.output.tokens = 201;
  const auto growing = test::run(input);
  // In the mean of its life a request has 100 more tokens than it came with.
  EXPECT_NEAR(growing.mean_tpot / steady.mean_tpot, 2.0, 0.1);
}

TEST(ClosedLoop, RequestsThatCannotAllBeHeldAreAnErrorThatSaysByHowMuch) {
  auto input = test::one_to_one(4, 1, kStages, 1e12);
  input.workload.requests_per_gpu = 10;
  // 100 tokens are two pages of 64: 262,144 bytes.
  give_kv(input, 2e6);
  EXPECT_THAT([&] { (void)test::run(input); },
              ThrowsMessage<UserError>(testing::AllOf(
                  HasSubstr("2.62 MB"), HasSubstr("621 kB more"), HasSubstr("2.00 MB left"))));
}

TEST(ClosedLoop, ALaterRequestThatCouldNeverFitIsAnErrorAtOnce) {
  auto input = test::one_to_one(4, 1, kStages, 1e12);
  input.workload.steady = false;
  input.workload.requests_per_gpu = 1;
  input.workload.output = {.kind = LengthDistribution::Kind::uniform, .min = 1, .max = 4000};
  give_kv(input, 4 * test::kKvBytesPerTokenAndLayer * 2048);
  input.measurement = {.warmup_steps = 10, .steps = 100000};
  EXPECT_THAT([&] { (void)test::run(input); }, ThrowsMessage<UserError>(HasSubstr("4100 tokens")));
}

TEST(ClosedLoop, SevenRequestsOverTwoMicroBatchesAreFourAndThree) {
  auto input = test::one_to_one(4, 2, {.attention_per_cached_token = 1e-9, .ffn = 1e-12}, 1e18);
  input.workload.requests_per_gpu = 7;
  const auto result = test::run(input);
  EXPECT_DOUBLE_EQ(result.mean_requests, 7.0);
  // Attention serves 4 x 100 tokens, then 3 x 100, and so on.
  EXPECT_NEAR(result.mean_tpot.value(), 4 * 700 * 1e-9, 1e-9);
}

TEST(ClosedLoop, OneRequestOnAGroupOfEightGpusIsOne) {
  for (const bool per_gpu : {true, false}) {
    auto input = test::two_to_two(4, 1, kStages);
    Deployment& d = input.deployment;
    d.attention_tensor_parallel = 4;
    d.pools[0].instances = 1;
    input.workload.requests_per_gpu = per_gpu ? 0.25 : 0.0;
    input.workload.requests_per_group = per_gpu ? 0 : 1;
    EXPECT_DOUBLE_EQ(test::run(input).mean_requests, 1.0);
  }
}

TEST(ClosedLoop, RequestsOfADeploymentAreSpreadOverItsGroups) {
  auto input = test::two_to_two(4, 1, kStages);
  input.workload.requests_per_gpu = 0;
  input.workload.requests = 19;  // over eight GPUs: three have three, five have two
  EXPECT_DOUBLE_EQ(test::run(input).mean_requests, 19.0);
}

TEST(ClosedLoop, AGroupHasWholeRequests) {
  auto input = test::one_to_one(4, 1, kStages, 1e12);
  input.workload.requests_per_gpu = 0.5;
  EXPECT_THAT([&] { (void)test::run(input); },
              ThrowsMessage<UserError>(HasSubstr("requests_per_group says it directly")));
}

TEST(Arrivals, AMaximumBelowTheMicroBatchesIsKeptToo) {
  auto input = test::one_to_one(4, 6, kStages, 1e12);
  test::arrive(input, 1e6, 100, 20, 0.02);
  input.admission.max_requests_per_gpu = 1;
  const auto result = test::run(input);
  EXPECT_LE(result.mean_requests, 1.0);
  EXPECT_GT(result.mean_requests, 0.95);
}

TEST(Drafting, AcceptanceCanDifferByPositionAndOneModuleRunsAgain) {
  auto input = test::one_to_one(4, 1, {.attention = 5e-6}, 1e12);
  input.deployment.model.mtp.modules = 1;
  input.deployment.drafting = {.tokens = 3, .acceptance = {0.9, 0.5}};
  input.measurement = {.warmup_steps = 0, .steps = 40000};
  const auto result = test::run(input);
  // 1 + 0.9 + 0.9 x 0.5 + 0.9 x 0.5 x 0.5; four standard deviations are 0.02.
  EXPECT_NEAR(static_cast<double>(result.tokens) / static_cast<double>(result.steps), 2.575, 0.025);
}

class Admitting : public testing::Test {
 protected:
  RequestPool pool(Routing routing, std::size_t micro_batches = 1,
                   const GroupLimits& limits = {.kv_bytes = 1000,
                                                .requests_per_micro_batch = 100}) {
    return {3, micro_batches, limits, routing};
  }
  // One byte per token.
  static void admit(RequestPool& pool, std::size_t micro_batch = 0) {
    pool.admit(
        {}, micro_batch, [](std::int64_t tokens) { return static_cast<double>(tokens); },
        [](const PendingRequest&) {});
  }
  static std::vector<std::int64_t> requests(const RequestPool& pool) {
    std::vector<std::int64_t> out;
    for (const GroupBatch& batch : pool.batches(0)) out.push_back(batch.requests);
    return out;
  }
};

TEST_F(Admitting, RoundRobinTakesTurns) {
  RequestPool p = pool(Routing::round_robin);
  for (const std::int64_t context : {400, 10, 10, 10, 10}) {
    p.enqueue({.context = context, .output = 1});
  }
  admit(p);
  EXPECT_THAT(requests(p), testing::ElementsAre(2, 2, 1));
}

TEST_F(Admitting, LeastKvAvoidsTheFullestGroup) {
  RequestPool p = pool(Routing::least_kv);
  for (const std::int64_t context : {400, 10, 10, 10, 10}) {
    p.enqueue({.context = context, .output = 1});
  }
  admit(p);
  EXPECT_THAT(requests(p), testing::ElementsAre(1, 2, 2));
}

TEST_F(Admitting, LeastLoadEvensOutNumbers) {
  RequestPool p = pool(Routing::least_load);
  for (int i = 0; i < 7; ++i) p.enqueue({.context = 10 + 50 * i, .output = 1});
  admit(p);
  EXPECT_THAT(requests(p), testing::UnorderedElementsAre(2, 2, 3));
}

TEST_F(Admitting, TheFirstInTheQueueIsNotOvertaken) {
  RequestPool p = pool(Routing::least_kv);
  for (const std::int64_t context : {900, 900, 900, 500, 1}) {
    p.enqueue({.context = context, .output = 0});
  }
  admit(p);
  EXPECT_EQ(p.active(), 3);
  EXPECT_EQ(p.waiting().size(), 2U);
}

TEST_F(Admitting, MicroBatchesShareFairly) {
  RequestPool p = pool(Routing::least_kv, 2);
  for (int i = 0; i < 9; ++i) p.enqueue({.context = 1, .output = 1});
  admit(p, 0);
  EXPECT_EQ(p.active_in(0), 5);
  admit(p, 1);
  EXPECT_EQ(p.active_in(1), 4);
}

TEST_F(Admitting, KvAndBatchesAreGivenBackToTheByte) {
  RequestPool p = pool(Routing::least_load);
  for (int i = 0; i < 30; ++i) p.enqueue({.context = 10 + i, .output = 1 + i % 5});
  admit(p);
  std::int64_t tokens = 0;
  for (int step = 0; p.active() > 0; ++step) {
    ASSERT_LT(step, 10);
    p.step(
        0, [](const ActiveRequest&) { return 1; },
        [&](const ActiveRequest& request) { tokens += request.generated; });
  }
  EXPECT_EQ(tokens, 6 * (1 + 2 + 3 + 4 + 5));
  EXPECT_THAT(std::vector<double>(p.kv_used().begin(), p.kv_used().end()), testing::Each(0.0));
  for (const GroupBatch& batch : p.batches(0)) EXPECT_EQ(batch, GroupBatch{});
}

}  // namespace
}  // namespace ridge::decode
