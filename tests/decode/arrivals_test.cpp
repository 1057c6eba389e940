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

constexpr test::StageSeconds kArrivalStages{
    .attention = 5e-6, .attention_per_cached_token = 1e-10, .ffn = 8e-6, .head = 1e-6};

// Ten times as slow, for runs in which many requests must arrive: the same batches of more of them.
constexpr test::StageSeconds kSlowArrivalStages{
    .attention = 5e-5, .attention_per_cached_token = 1e-9, .ffn = 8e-5, .head = 1e-5};

// Memory for exactly this much KV on each GPU.
void give_kv(SimulationInput& input, double bytes) {
  const auto plan = plan_memory(input.deployment, input.admission);
  const double memory =
      (plan.pools[0].weights.value() + bytes) / input.admission.memory_utilization;
  input.deployment.pools[0].kernels = test::fixed_kernels(kArrivalStages, memory);
}

TEST(Arrivals, EveryRequestIsSomewhere) {
  for (const auto kind : {LengthDistribution::Kind::uniform, LengthDistribution::Kind::lognormal}) {
    auto input = test::one_to_one(4, 2, kArrivalStages, 1e12);
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
  auto input = test::one_to_one(4, 2, kArrivalStages, 1e12);
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
  // Measured until it was served.
  const double end = 1e-3 + 7 * step;
  EXPECT_NEAR(result.elapsed.seconds().value(), end, 1e-7);
  EXPECT_NEAR(result.mean_requests, 7 * step / end, 1e-4);
  EXPECT_NEAR(result.pools[0].empty, 1e-3, 1e-7);
  EXPECT_EQ(result.queueing.quantile(1.0), 0.0);
  EXPECT_NEAR(result.time_in_system.quantile(0.5), 7 * step, 1e-7);
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
  auto input = test::two_to_two(4, 2, kSlowArrivalStages);
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
  auto input = test::two_to_two(4, 2, kSlowArrivalStages);
  test::arrive(input, 20000.0, 300, 20, 2.0);
  const auto result = test::run(input);
  const double filled = static_cast<double>(result.tokens) * result.mean_tpot.value();
  EXPECT_NEAR(filled, result.mean_requests * result.elapsed.seconds().value(), 1e-3 * filled);
}

TEST(Arrivals, ThroughputIsTheOfferedLoadBelowSaturation) {
  auto input = test::two_to_two(4, 2, kSlowArrivalStages);
  test::arrive(input, 10000.0, 300, 20, 4.0);
  const auto result = test::run(input);
  // 40,000 arrivals: three standard deviations are 1.5 %.
  EXPECT_NEAR(static_cast<double>(result.tokens), 4 * 10000.0 * 20, 0.015 * 4 * 10000.0 * 20);
}

TEST(Arrivals, AdmissionFillsTheMemoryAndNeverMore) {
  auto input = test::one_to_one(4, 2, kArrivalStages, 1e12);
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
  auto input = test::one_to_one(4, 2, kArrivalStages, 1e12);
  test::arrive(input, 1e6, 100, 20, 0.02);
  input.admission.max_requests_per_gpu = 6;
  const auto result = test::run(input);
  EXPECT_LE(result.mean_requests, 6.0);
  EXPECT_GE(result.mean_requests, 5.9);
}

TEST(Arrivals, ARequestLargerThanTheMemoryIsRefused) {
  auto input = test::one_to_one(4, 1, kArrivalStages, 1e12);
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
  auto input = test::one_to_one(2, 2, kArrivalStages, 1e12);
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
  const double elapsed = result.elapsed.seconds().value();
  const double busy = result.mean_requests * elapsed;
  EXPECT_NEAR(busy, static_cast<double>(result.tokens) * result.mean_tpot.value(), 1e-7);
  EXPECT_LT(result.pools[0].empty, elapsed - 0.45 * busy);
}

// At nine tenths of what it serves a deployment is stable, at eleven tenths it is not, whatever
// chance does to the queue meanwhile.
TEST(Overload, IsToldFromWhatArrivesAndIsServed) {
  for (const std::int64_t micro_batches : {1, 3}) {
    auto input = test::one_to_one(4, micro_batches, kArrivalStages, 1e12);
    input.admission.max_requests_per_gpu = 6;
    test::arrive(input, 4e6, 100, 5, 0.025);
    const auto flooded = test::run(input);
    EXPECT_DOUBLE_EQ(flooded.load->offered_tokens_per_second, 2e7);
    EXPECT_FALSE(flooded.load->stable);
    const double served = static_cast<double>(flooded.tokens) / 5 / 0.025;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      input.seed = seed;
      test::arrive(input, 0.9 * served, 100, 5, 0.125);
      EXPECT_TRUE(test::run(input).load->stable);
      test::arrive(input, 1.1 * served, 100, 5, 0.125);
      EXPECT_FALSE(test::run(input).load->stable);
    }
  }
}

TEST(Overload, IsNoneWhereABurstIsServedInTheEnd) {
  auto input = test::one_to_one(4, 1, kArrivalStages, 1e12);
  input.admission.max_requests_per_gpu = 2;
  input.workload = {.kind = Workload::Kind::trace};
  for (int i = 0; i < 100; ++i) {
    input.workload.trace.push_back(
        {.arrival = Seconds{}, .context_tokens = 10, .output_tokens = 5});
  }
  input.measurement = {.warmup = Seconds{0.0}, .duration = Seconds{10.0}};
  const auto result = test::run(input);
  EXPECT_TRUE(result.load->stable);
  EXPECT_TRUE(result.trace_over);
  EXPECT_EQ(result.requests_finished, 100U);
  // Two by two, five steps each.
  const double step = result.mean_tpot.value();
  EXPECT_NEAR(result.queueing.quantile(1.0), 49 * 5 * step, step);
  EXPECT_NEAR(result.time_in_system.quantile(1.0), 50 * 5 * step, step);
  EXPECT_NEAR(result.elapsed.seconds().value(), 50 * 5 * step, step);
}

TEST(Measurement, OfNothingIsAnError) {
  auto input = test::one_to_one(4, 1, kArrivalStages, 1e12);
  input.workload = {.kind = Workload::Kind::trace,
                    .trace = {{.arrival = Seconds{}, .context_tokens = 10, .output_tokens = 5}}};
  input.measurement = {.warmup = Seconds{1.0}, .duration = Seconds{1.0}};
  EXPECT_THAT([&] { (void)test::run(input); },
              ThrowsMessage<UserError>(HasSubstr("all of the trace was served after")));
  test::arrive(input, 1e-3, 100, 20, 0.5);
  EXPECT_THAT([&] { (void)test::run(input); },
              ThrowsMessage<UserError>(HasSubstr("0 requests arrived meanwhile")));
}

TEST(Measurement, ForgetsTheQueueOfTheWarmUp) {
  auto input = test::one_to_one(4, 1, kArrivalStages, 1e12);
  input.admission.max_requests_per_gpu = 10;
  input.workload = {.kind = Workload::Kind::trace};
  for (int i = 0; i < 500; ++i) {
    input.workload.trace.push_back({.arrival = Seconds{i < 490 ? 0.0 : 1.0 + i * 1e-3},
                                    .context_tokens = 10,
                                    .output_tokens = 5});
  }
  input.measurement = {.warmup = Seconds{0.9}, .duration = Seconds{10.0}};
  const auto result = test::run(input);
  EXPECT_EQ(result.requests_finished, 10U);
  EXPECT_EQ(result.longest_queue, 0U);
  EXPECT_LT(result.kv_peak, 1e-3);
}

TEST(Lengths, HaveTheMeanOfTheirSamples) {
  using Kind = LengthDistribution::Kind;
  const std::vector<LengthDistribution> all = {
      {.kind = Kind::fixed, .tokens = 7},
      {.kind = Kind::uniform, .min = 3, .max = 900},
      {.kind = Kind::lognormal, .tokens = 200, .sigma = 1.2, .min = 20, .max = 2000},
      {.kind = Kind::lognormal, .tokens = 200, .sigma = 0, .min = 1, .max = 2000}};
  Random random(3);
  for (const LengthDistribution& lengths : all) {
    double sum = 0.0;
    constexpr int kSamples = 200000;
    for (int i = 0; i < kSamples; ++i) sum += static_cast<double>(lengths.sample(random));
    EXPECT_NEAR(sum / kSamples / lengths.mean(), 1.0, 0.01);
  }
}

// Outputs eight times as long as contexts: on average a request holds five ninths of what it will.
SimulationInput long_outputs(AdmissionPolicy policy) {
  auto input = test::one_to_one(2, 2, kArrivalStages, 1e12);
  input.admission.page_tokens = 1;
  input.admission.policy = policy;
  test::arrive(input, 2e4, 100, 800, 0.5);
  // Memory for twenty at their full length.
  give_kv(input, 20 * 2 * test::kKvBytesPerTokenAndLayer * 900);
  return input;
}

TEST(Admission, ByFinalLengthSetsAsideWhatIsFilledLater) {
  const auto result = test::run(long_outputs(AdmissionPolicy::final_length));
  EXPECT_GT(result.kv_reserved, 0.97);
  EXPECT_NEAR(result.kv_filled, 5.0 / 9.0, 0.06);
  EXPECT_EQ(result.requests_preempted, 0U);
}

TEST(Admission, ByCurrentLengthHoldsMoreAndTakesPlacesAway) {
  const auto whole = test::run(long_outputs(AdmissionPolicy::final_length));
  const auto now = test::run(long_outputs(AdmissionPolicy::current_length));
  EXPECT_GT(now.mean_requests, 1.4 * whole.mean_requests);
  EXPECT_GT(now.kv_filled, 0.95);
  EXPECT_GE(now.kv_reserved, now.kv_filled);
  EXPECT_LE(now.kv_peak, 1.0);
  EXPECT_GT(now.requests_preempted, 0U);
  EXPECT_EQ(now.requests_arrived,
            now.requests_finished + now.requests_in_decode + now.requests_waiting);
  // Who gives its place up waits, and its next token comes that much later.
  EXPECT_GT(now.tpot.quantile(1.0), 3.0 * now.tpot.quantile(0.5));
}

TEST(Admission, WhoGaveItsPlaceUpIsServedToTheLastToken) {
  auto input = test::one_to_one(2, 2, kArrivalStages, 1e12);
  input.admission = {.policy = AdmissionPolicy::current_length, .page_tokens = 16};
  input.deployment.model.mtp.modules = 1;
  input.deployment.drafting = {.tokens = 2, .acceptance = {0.7}};
  input.workload = {.kind = Workload::Kind::trace};
  give_kv(input, 3 * 2 * test::kKvBytesPerTokenAndLayer * 600);
  Random random(11);
  std::uint64_t tokens = 0;
  for (int i = 0; i < 200; ++i) {
    const auto output = 1 + static_cast<std::int64_t>(random.below(500));
    tokens += static_cast<std::uint64_t>(output);
    input.workload.trace.push_back(
        {.arrival = Seconds{i * 1e-5}, .context_tokens = 50, .output_tokens = output});
  }
  input.measurement = {.warmup = Seconds{0.0}, .duration = Seconds{100.0}};
  const auto result = test::run(input);
  EXPECT_TRUE(result.trace_over);
  EXPECT_GT(result.requests_preempted, 10U);
  EXPECT_EQ(result.requests_finished, 200U);
  EXPECT_EQ(result.tokens, tokens);
  EXPECT_LE(result.kv_peak, 1.0);
}

TEST(ClosedLoop, ALeavingRequestIsReplacedAtOnce) {
  auto input = test::one_to_one(4, 2, kArrivalStages, 1e12);
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
  auto input = test::one_to_one(4, 1, kArrivalStages, 1e12);
  input.workload.requests_per_gpu = 10;
  // 100 tokens are two pages of 64: 262,144 bytes.
  give_kv(input, 2e6);
  EXPECT_THAT([&] { (void)test::run(input); },
              ThrowsMessage<UserError>(testing::AllOf(
                  HasSubstr("2.62 MB"), HasSubstr("621 kB more"), HasSubstr("2.00 MB left"))));
}

TEST(ClosedLoop, ALaterRequestThatCouldNeverFitIsAnErrorAtOnce) {
  auto input = test::one_to_one(4, 1, kArrivalStages, 1e12);
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
    auto input = test::two_to_two(4, 1, kArrivalStages);
    Deployment& d = input.deployment;
    d.attention_tensor_parallel = 4;
    d.pools[0].instances = 1;
    input.workload.requests_per_gpu = per_gpu ? 0.25 : 0.0;
    input.workload.requests_per_group = per_gpu ? 0 : 1;
    EXPECT_DOUBLE_EQ(test::run(input).mean_requests, 1.0);
  }
}

TEST(ClosedLoop, RequestsOfADeploymentAreSpreadOverItsGroups) {
  auto input = test::two_to_two(4, 1, kArrivalStages);
  input.workload.requests_per_gpu = 0;
  input.workload.requests = 19;  // over eight GPUs: three have three, five have two
  EXPECT_DOUBLE_EQ(test::run(input).mean_requests, 19.0);
}

TEST(ClosedLoop, AGroupHasWholeRequests) {
  auto input = test::one_to_one(4, 1, kArrivalStages, 1e12);
  input.workload.requests_per_gpu = 0.5;
  EXPECT_THAT([&] { (void)test::run(input); },
              ThrowsMessage<UserError>(HasSubstr("requests_per_group says it directly")));
}

TEST(Arrivals, AMaximumBelowTheMicroBatchesIsKeptToo) {
  auto input = test::one_to_one(4, 6, kArrivalStages, 1e12);
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
  RequestPool pool(RequestRouting routing, std::size_t micro_batches = 1,
                   const GroupLimits& limits = {.kv_bytes = 1000,
                                                .requests_per_micro_batch = 100}) {
    return {3, micro_batches, limits, routing};
  }
  // One byte per token.
  static void admit(RequestPool& pool, std::size_t micro_batch = 0) {
    pool.admit({}, micro_batch, bytes, [](const PendingRequest&) {});
  }
  static double bytes(std::int64_t tokens) { return static_cast<double>(tokens); }
  static std::vector<std::int64_t> requests(const RequestPool& pool) {
    std::vector<std::int64_t> out;
    for (const GroupBatch& batch : pool.batches(0)) out.push_back(batch.requests);
    return out;
  }
};

TEST_F(Admitting, RoundRobinTakesTurns) {
  RequestPool p = pool(RequestRouting::round_robin);
  for (const std::int64_t context : {400, 10, 10, 10, 10}) {
    p.enqueue({.context = context, .output = 1});
  }
  admit(p);
  EXPECT_THAT(requests(p), testing::ElementsAre(2, 2, 1));
}

TEST_F(Admitting, LeastKvAvoidsTheFullestGroup) {
  RequestPool p = pool(RequestRouting::least_kv);
  for (const std::int64_t context : {400, 10, 10, 10, 10}) {
    p.enqueue({.context = context, .output = 1});
  }
  admit(p);
  EXPECT_THAT(requests(p), testing::ElementsAre(1, 2, 2));
}

TEST_F(Admitting, LeastLoadEvensOutNumbers) {
  RequestPool p = pool(RequestRouting::least_load);
  for (int i = 0; i < 7; ++i) p.enqueue({.context = 10 + 50 * i, .output = 1});
  admit(p);
  EXPECT_THAT(requests(p), testing::UnorderedElementsAre(2, 2, 3));
}

TEST_F(Admitting, TheFirstInTheQueueIsNotOvertaken) {
  RequestPool p = pool(RequestRouting::least_kv);
  for (const std::int64_t context : {900, 900, 900, 500, 1}) {
    p.enqueue({.context = context, .output = 0});
  }
  admit(p);
  EXPECT_EQ(p.active(), 3);
  EXPECT_EQ(p.waiting().size(), 2U);
}

TEST_F(Admitting, MicroBatchesShareFairly) {
  RequestPool p = pool(RequestRouting::least_kv, 2);
  for (int i = 0; i < 9; ++i) p.enqueue({.context = 1, .output = 1});
  admit(p, 0);
  EXPECT_EQ(p.active_in(0), 5);
  admit(p, 1);
  EXPECT_EQ(p.active_in(1), 4);
}

TEST_F(Admitting, AGroupsLongestRequestIsKnownWhoeverLeaves) {
  RequestPool p(1, 1, {.kv_bytes = 1000, .requests_per_micro_batch = 100},
                RequestRouting::round_robin);
  p.enqueue({.context = 50, .output = 1});
  p.enqueue({.context = 20, .output = 9});
  p.enqueue({.context = 30, .output = 3});
  admit(p);
  const auto longest = [&] { return p.batches(0)[0].longest; };
  const auto step = [&] {
    p.step(
        {}, 0, [](const ActiveRequest&) { return 1; }, [](const ActiveRequest&) {}, bytes);
  };
  EXPECT_EQ(longest(), 50);
  step();
  EXPECT_EQ(longest(), 31) << "the first is gone, the others have a token more";
  step();
  EXPECT_EQ(longest(), 32);
  step();
  EXPECT_EQ(longest(), 23) << "the third is gone";
  p.lengthen(40);
  EXPECT_EQ(longest(), 40);
}

TEST_F(Admitting, KvAndBatchesAreGivenBackToTheByte) {
  RequestPool p = pool(RequestRouting::least_load);
  for (int i = 0; i < 30; ++i) p.enqueue({.context = 10 + i, .output = 1 + i % 5});
  admit(p);
  std::int64_t tokens = 0;
  for (int step = 0; p.active() > 0; ++step) {
    ASSERT_LT(step, 10);
    p.step(
        {}, 0, [](const ActiveRequest&) { return 1; },
        [&](const ActiveRequest& request) { tokens += request.generated; }, bytes);
  }
  EXPECT_EQ(tokens, 6 * (1 + 2 + 3 + 4 + 5));
  EXPECT_THAT(std::vector<double>(p.kv_used().begin(), p.kv_used().end()), testing::Each(0.0));
  for (const GroupBatch& batch : p.batches(0)) EXPECT_EQ(batch, GroupBatch{});
}

}  // namespace
}  // namespace ridge::decode
