// What ridge simulate answers, and the trace that it writes.
#include "ridge/answer/simulation_report.hpp"

#include "ridge/answer/latency_plots.hpp"
#include "ridge/base/error.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::string scenario(const std::string& name) {
  return test::source_path("scenarios/" + name + ".json").string();
}

TEST(SimulationReport, JsonHasTheKeysThatScriptsReadAndTheyAgree) {
  const auto report = simulate(scenario::load_simulation(scenario("step3-2a2f-4k-fp8")));
  const json answer = json::parse(render(report, view::OutputFormat::json));
  for (const auto* key : {"mean", "p50", "p95", "p99"}) {
    EXPECT_GT(answer.at("tpot_ms").at(key).get<double>(), 0.0) << key;
  }
  const double tokens_per_s = answer.at("tokens_per_s").get<double>();
  EXPECT_NEAR(answer.at("tokens_per_s_per_gpu").get<double>(),
              tokens_per_s / answer.at("gpus").get<double>(), 1e-9 * tokens_per_s);
  EXPECT_NEAR(answer.at("tokens_per_s_per_user").get<double>(),
              1e3 / answer.at("tpot_ms").at("mean").get<double>(), 1e-9);
  EXPECT_GT(answer.at("usd_per_Mtok").get<double>(), 0.0);
  EXPECT_GT(answer.at("events").get<std::uint64_t>(), 0U);
  EXPECT_EQ(answer.at("checksum").get<std::string>().size(), 16U);
  EXPECT_FALSE(answer.at("partial").get<bool>());
  // No deployment is faster than its floors.
  for (const auto* floor : {"theory", "longest_path", "busiest_resource"}) {
    EXPECT_LE(answer.at("floor_ms").at(floor).get<double>(),
              answer.at("tpot_ms").at("mean").get<double>() * (1 + 1e-9))
        << floor;
  }
  for (const json& pool : answer.at("pools")) {
    double share = pool.at("busy").get<double>() + pool.at("empty").get<double>() +
                   pool.at("waiting_for_slowest_gpu").get<double>();
    for (const auto& cause : pool.at("waiting_for").items()) share += cause.value().get<double>();
    EXPECT_NEAR(share, 1.0, 1e-9);
  }
}

TEST(SimulationReport, ANumberOfDrawsBelowNoneIsRefusedBeforeAnythingRuns) {
  scenario::Library library;
  const auto located = scenario::read_scenario("step3-2a2f-4k-fp8");
  for (const auto& ask :
       {std::function([&] { (void)answer(located, library, {}, -1); }), std::function([&] {
          const scenario::InputDraws draws(library.ranges());
          (void)uncertainty_of(located, library, draws, -1);
        })}) {
    try {
      ask();
      FAIL() << "no error";
    } catch (const UserError& e) {
      EXPECT_STREQ(e.what(), "samples: expected a whole number of at least 0, got -1");
    }
  }
}

// The shipped scenario with a step's overhead, or without one.
scenario::LocatedScenario with_step_overhead(std::optional<double> us) {
  json document = json::parse(test::source_text("scenarios/qwen3-235b-tp8-h20.json"));
  document["deployment"].erase("step_overhead_us");
  if (us) document["deployment"]["step_overhead_us"] = *us;
  const test::TemporaryFile file("scenario.json", document.dump());
  return scenario::read_scenario(JsonDocument::read(file.path()));
}

TEST(SimulationReport, IntervalsDrawWhatAScenarioLeavesOpen) {
  scenario::Library library;
  constexpr int kDraws = 12;
  const auto ask = [&](std::optional<double> us, const std::vector<std::string>& fixed) {
    return answer(with_step_overhead(us), library, {}, kDraws, fixed);
  };
  const auto open = ask({}, {});
  const auto stated = ask(0.0, {});
  const auto fixed = ask({}, {"gap between steps of SGLang"});
  EXPECT_EQ(open.result.checksum, stated.result.checksum);
  const auto tpot = [](const SimulationReport& report) {
    return *report.uncertainty->interval("tpot_ms");
  };
  // Of a step, up to 2 ms.
  EXPECT_GT(tpot(open).high, tpot(stated).high + 0.2);
  EXPECT_LT(tpot(open).high, tpot(stated).high + 2.0);
  EXPECT_EQ(tpot(stated).low, tpot(fixed).low);
  EXPECT_EQ(tpot(stated).high, tpot(fixed).high);
  EXPECT_THAT(render(open, view::OutputFormat::table),
              HasSubstr("gap between steps of SGLang (step_overhead_us 0 to 2000)"));
  const json drawn = json::parse(render(open, view::OutputFormat::json)).at("drawn");
  EXPECT_EQ(drawn.size(),
            json::parse(render(stated, view::OutputFormat::json)).at("drawn").size() + 1);
  const auto none = ask({}, {"inputs"});
  EXPECT_TRUE(none.uncertainty->inputs.empty());
  EXPECT_FALSE(json::parse(render(none, view::OutputFormat::json)).contains("drawn"));
  EXPECT_EQ(fixed.warnings, open.warnings);
  EXPECT_EQ(none.warnings, open.warnings);
  // Nor is what has no effect passed over.
  EXPECT_THAT(ask(0.0, {"gap between steps of SGLang"}).warnings,
              Contains(HasSubstr("\"gap between steps of SGLang\" is not drawn here")));
  // A roofline has no interval.
  auto theory = with_step_overhead({});
  auto& gpus = std::get<scenario::WholePool>(theory.scenario.deployment.pools).gpus;
  gpus.kernel_model = "theoretical";
  gpus.prefer_kernels.clear();
  const auto bound = answer(theory, library, {}, kDraws);
  EXPECT_FALSE(json::parse(render(bound, view::OutputFormat::json)).contains("drawn"));
}

TEST(SimulationReport, IntervalsDrawFromAScenariosOwnRanges) {
  const auto ask = [&](const char* ranges, const std::vector<std::string>& fixed = {}) {
    auto scenario = with_step_overhead({});
    if (ranges != nullptr) {
      json document = json::parse(test::source_text("scenarios/qwen3-235b-tp8-h20.json"));
      document["deployment"].erase("step_overhead_us");
      document["ranges"] = json::parse(ranges);
      const test::TemporaryFile file("scenario.json", document.dump());
      scenario = scenario::read_scenario(JsonDocument::read(file.path()));
    }
    scenario::Library library;
    return answer(scenario, library, {}, 12, fixed);
  };
  const auto shipped = ask(nullptr);
  const auto own = ask(R"({"inputs": [{"name": "gap between steps of SGLang",
      "of": "step_overhead_us", "engine": "SGLang", "kernels": ["sglang:*"],
      "low": 5000, "high": 5000, "source": "a trace of ours"}]})");
  const auto tpot = [](const SimulationReport& report) {
    return *report.uncertainty->interval("tpot_ms");
  };
  // The prediction is the same; each draw waits 5 ms in place of up to 2.
  EXPECT_EQ(own.result.checksum, shipped.result.checksum);
  EXPECT_GT(tpot(own).low, tpot(shipped).low + 3.0);
  EXPECT_LT(tpot(own).high, tpot(shipped).high + 5.0);
  EXPECT_THAT(render(own, view::OutputFormat::json), HasSubstr("a trace of ours"));
  EXPECT_THAT(render(own, view::OutputFormat::table),
              HasSubstr("gap between steps of SGLang (step_overhead_us 5000 to 5000)"));
}

TEST(SimulationReport, AnIntervalBesideItsPredictionIsMarkedWithTheReason) {
  auto report = simulate(scenario::load_simulation(scenario("step3-2a2f-4k-fp8")));
  const double tpot = report.result.mean_tpot.value();
  auto& drawn = report.uncertainty.emplace();
  drawn.samples = 20;
  drawn.inputs = {{.what = "popularity of experts",
                   .from = "exponent 0.19 to 0.76",
                   .source = "",
                   .one_sided = true},
                  {.what = "release of the engine", .from = "a factor", .source = ""}};
  drawn.intervals["tokens_per_s_per_gpu"] = {1.0, 2.0};
  const auto table = [&](double low, double high) {
    drawn.intervals["tpot_ms"] = {low * tpot, high * tpot};
    return render(report, view::OutputFormat::table);
  };
  EXPECT_THAT(table(1.1, 1.2),
              HasSubstr("* nearly all runs are slower than the prediction. The prediction takes an "
                        "end of what is drawn, or lies outside, in popularity of experts. State"));
  EXPECT_THAT(table(0.8, 0.9), HasSubstr("* nearly all runs are faster than the prediction."));
  EXPECT_THAT(table(0.9, 1.1), Not(HasSubstr("* ")));
}

TEST(SimulationReport, TheTableSaysWhereItsFiguresComeFrom) {
  const auto report = simulate(scenario::load_simulation(scenario("step3-2a2f-4k-fp8")));
  const std::string table = render(report, view::OutputFormat::table);
  EXPECT_THAT(table, HasSubstr(report.provenance));
  EXPECT_THAT(table, HasSubstr("Critical path"));
  EXPECT_THAT(table, HasSubstr("checksum"));
}

TEST(SimulationReport, KernelTimesAreToldByPoolWherePoolsDiffer) {
  const auto same = scenario::load_simulation(scenario("step3-2a2f-4k-fp8")).input.deployment;
  EXPECT_THAT(kernel_provenance(same), testing::StartsWith("calibrated:h800"));
  auto differ = same;
  differ.pools[1].kernels = hw::theoretical_model(hw::load_chip("h20"));
  EXPECT_THAT(kernel_provenance(differ),
              AllOf(testing::StartsWith("attention: calibrated:h800"), HasSubstr("; ffn: theory")));
}

TEST(SimulationReport, AComparisonNamesBoth) {
  const auto a = simulate(scenario::load_simulation(scenario("step3-2a2f-4k-fp8")));
  const auto b = simulate(scenario::load_simulation(scenario("trace-replay")));
  const std::string table = render_comparison(a, b, view::OutputFormat::table);
  EXPECT_THAT(table, HasSubstr("step3-2a2f-4k-fp8"));
  EXPECT_THAT(table, HasSubstr("trace-replay"));
  const json both = json::parse(render_comparison(a, b, view::OutputFormat::json));
  EXPECT_TRUE(both.contains("scenario"));
  EXPECT_TRUE(both.contains("compare"));
}

TEST(SimulationReport, AComparisonOfSplitAndWholeTellsTheFactorsBehindIt) {
  const auto afd = simulate(scenario::load_simulation(scenario("step3-2a2f-4k-fp8")));
  const auto ep = simulate(scenario::load_simulation(scenario("deepseek-v3-ep128-4k")));
  const json both = json::parse(render_comparison(ep, afd, view::OutputFormat::json));
  const json& factors = both.at("disaggregation");
  const auto value = [&](const char* key) { return factors.at(key).get<double>(); };
  EXPECT_EQ(factors.at("split"), "step3-2a2f-4k-fp8");
  // 6,144 requests on 16 of 32 GPUs, against 128 on each of 128.
  EXPECT_NEAR(value("batch"), 3.0, 1e-3);
  EXPECT_NEAR(value("gpus_that_hold_requests"), 0.5, 1e-12);
  EXPECT_NEAR(value("latency"), ep.result.mean_tpot / afd.result.mean_tpot, 1e-3);
  EXPECT_NEAR(value("batch") * value("gpus_that_hold_requests") * value("latency"),
              value("tokens_per_s_per_gpu"), 1e-9);
  EXPECT_NEAR(value("tokens_per_s_per_gpu"),
              afd.tokens_per_second_per_gpu() / ep.tokens_per_second_per_gpu(), 1e-12);
  EXPECT_NEAR(value("break_even_batch") * value("tokens_per_s_per_gpu"), value("batch"), 1e-9);
  EXPECT_THAT(render_comparison(ep, afd, view::OutputFormat::table), HasSubstr("breaks even with"));
  // Two of a kind have no such factors.
  EXPECT_FALSE(
      json::parse(render_comparison(ep, ep, view::OutputFormat::json)).contains("disaggregation"));
}

// Twice as many tokens are asked for as the deployment serves, and TPOT alone would not show it.
TEST(SimulationReport, AnOverloadIsSaidFirstAndMeetsNoSla) {
  auto flooded = scenario::load_simulation(scenario("step3-2a2f-4k-fp8"));
  decode::SimulationInput& in = flooded.input;
  in.workload = {.kind = decode::Workload::Kind::poisson, .requests_per_second = 100.0};
  in.workload.context.tokens = 4096;
  in.workload.output.tokens = 500;
  in.admission.max_requests_per_gpu = 20;
  in.measurement = {.warmup = Seconds{10.0}, .duration = Seconds{20.0}};
  flooded.sla = {.tpot = Seconds{0.05}};
  const auto report = simulate(flooded);
  EXPECT_LT(report.result.tpot.quantile(0.95), 0.05);
  EXPECT_FALSE(*report.meets_sla());
  const json answer = json::parse(render(report, view::OutputFormat::json));
  EXPECT_FALSE(answer.at("stable").get<bool>());
  EXPECT_FALSE(answer.at("sla_met").get<bool>());
  EXPECT_NEAR(answer.at("offered_tokens_per_s_per_gpu").get<double>(), 100.0 * 500 / 32, 1e-6);
  EXPECT_LT(answer.at("tokens_per_s_per_gpu").get<double>(), 0.8 * 100.0 * 500 / 32);
  const std::string table = render(report, view::OutputFormat::table);
  EXPECT_LT(table.find("OVERLOADED: 1562 tokens/s/GPU are asked for"), table.find("TPOT"));
  EXPECT_THAT(table, HasSubstr("misses 50.00 ms"));

  in.workload.requests_per_second = 10.0;
  const auto calm = simulate(flooded);
  EXPECT_TRUE(*calm.meets_sla());
  EXPECT_THAT(render(calm, view::OutputFormat::table), Not(HasSubstr("OVERLOADED")));
}

TEST(SimulationReport, AnSlaCanBeSetOnWaitingAndOnTheTimeInTheSystem) {
  auto replay = scenario::load_simulation(scenario("trace-replay"));
  replay.sla = {};
  const auto free = simulate(replay);
  EXPECT_FALSE(free.meets_sla().has_value());
  const double queueing = free.result.queueing.quantile(0.95);
  const double in_system = free.result.time_in_system.quantile(0.95);
  EXPECT_GT(in_system, queueing);
  for (const double factor : {0.9, 1.1}) {
    replay.sla = {.queueing = Seconds{factor * queueing}};
    EXPECT_EQ(*simulate(replay).meets_sla(), factor > 1.0);
    replay.sla = {.time_in_system = Seconds{factor * in_system}};
    EXPECT_EQ(*simulate(replay).meets_sla(), factor > 1.0);
  }
}

TEST(SimulationReport, ASplitThroughBlocksOfFp8ScalesIsWarnedOf) {
  const auto warned = [](std::int64_t tensor_parallel) {
    auto asked = scenario::load_simulation(scenario("qwen3-235b-tp8-h20"));
    decode::Deployment& d = asked.input.deployment;
    d.pools[0].gpus_per_instance = tensor_parallel;
    d.attention_tensor_parallel = tensor_parallel;
    d.ffn_tensor_parallel = tensor_parallel;
    asked.input.workload.requests_per_gpu = 1;
    asked.input.workload.context.tokens = 1024;
    return render(simulate(asked), view::OutputFormat::json);
  };
  // Experts of 1,536 columns: 192 on each of eight GPUs, 384 on each of four.
  EXPECT_THAT(warned(8), HasSubstr("192 columns of an expert on each of 8 GPUs"));
  EXPECT_THAT(warned(4), Not(HasSubstr("columns of an expert")));
}

TEST(SimulationReport, AContextBeyondWhatTheModelWasMadeForIsWarnedOf) {
  const auto warned = [](double context) {
    auto asked = scenario::load_simulation(scenario("qwen3-235b-tp8-h20"));
    asked.input.deployment.model.context_limit = 40960;
    asked.input.workload.requests_per_gpu = 1;
    asked.input.workload.context.tokens = context;
    return render(simulate(asked), view::OutputFormat::json);
  };
  EXPECT_THAT(warned(40961), HasSubstr("40961 tokens of context are more than the 40960"));
  EXPECT_THAT(warned(40960), Not(HasSubstr("tokens of context are more than")));
}

// What the message offers fits, and one more does not.
TEST(SimulationReport, WhatDoesNotFitInMemoryIsToldAtItsKeyWithTheMostThatFits) {
  json asked = json::parse(test::source_text("scenarios/step3-2a2f-4k-fp8.json"));
  scenario::Library library;
  const auto refusal = [&]() -> std::optional<Mistake> {
    const auto located = scenario::read_scenario(JsonDocument("mine.json", asked));
    try {
      (void)answer(located, library, {.floor = false}, 0);
      return std::nullopt;
    } catch (const UserError& e) {
      EXPECT_EQ(e.mistakes().size(), 1U) << e.what();
      return e.mistakes().front();
    }
  };
  const auto check = [&](const char* pointer, std::int64_t too_many) {
    json& value = asked.at(json::json_pointer(pointer));
    value = too_many;
    const auto told = refusal();
    ASSERT_TRUE(told.has_value()) << pointer;
    EXPECT_EQ(told->file, "mine.json");
    EXPECT_TRUE(std::string(pointer).starts_with(told->pointer)) << told->pointer;
    const auto at = told->message.find("at most ");
    ASSERT_NE(at, std::string::npos) << told->message;
    const std::int64_t most = std::stoll(told->message.substr(at + 8));
    value = most;
    EXPECT_FALSE(refusal().has_value()) << pointer << " " << most;
    value = most + 1;
    EXPECT_TRUE(refusal().has_value()) << pointer << " " << most + 1;
  };
  check("/workload/requests_per_gpu", 10000);
  asked["workload"].erase("requests_per_gpu");
  asked["workload"]["requests_per_group"] = 1;
  check("/workload/requests_per_group", 10000);
  asked["workload"]["requests_per_group"] = 1;
  check("/workload/context/tokens", 10'000'000);
}

TEST(SimulationReport, AStoppedRunIsMarked) {
  auto long_run = scenario::load_simulation(scenario("step3-2a2f-4k-fp8"));
  long_run.input.measurement.steps = 100000;
  const std::atomic<bool> stop{true};
  const auto report = simulate(std::move(long_run), {.stop = &stop});
  EXPECT_THAT(render(report, view::OutputFormat::table), HasSubstr("PARTIAL"));
  EXPECT_TRUE(json::parse(render(report, view::OutputFormat::json)).at("partial").get<bool>());
}

TEST(SimulationReport, ASeedGivenWinsOverTheFile) {
  auto noisy = scenario::load_simulation(scenario("step3-2a2f-4k-fp8"));
  noisy.input.noise.kernel_jitter = 0.1;
  const auto of_file = simulate(noisy);
  const auto same = simulate(noisy, {.seed = noisy.input.seed});
  const auto other = simulate(noisy, {.seed = noisy.input.seed + 1});
  EXPECT_EQ(of_file.result.checksum, same.result.checksum);
  EXPECT_NE(of_file.result.checksum, other.result.checksum);
}

TEST(PipelinePicture, ShowsEveryPoolsRowsAndMicroBatchesInTheMiddleOfAStep) {
  auto input = scenario::load_simulation(scenario("step3-2a2f-4k-fp8"));
  input.input.measurement.steps = 2;
  const std::string svg = simulate(std::move(input), {.picture = true}).picture;
  for (const char* row :
       {"attention 0: attention", "ffn 0: FFN", "ffn 0: all-gather", "ffn 0: reduce-scatter",
        "attention 0: sending", "micro-batch 2</text>"}) {
    EXPECT_THAT(svg, HasSubstr(row));
  }
  // 61 layers and the LM head, which counts as one more: 31 is the middle, and all pass it.
  for (const int m : {0, 1, 2}) {
    EXPECT_THAT(svg, HasSubstr(fmt::format("<title>FFN of layer 31, micro-batch {}: ", m)));
  }
  EXPECT_THAT(svg, Not(HasSubstr("of layer 0,")));
  EXPECT_THAT(svg, testing::EndsWith("</svg>\n"));
}

TEST(PipelinePicture, TellsAttentionFromFfnAndDispatchFromCombineWhereOnePoolDoesAll) {
  auto input = scenario::load_simulation(scenario("deepseek-v3-ep128-4k"));
  input.input.measurement.steps = 2;
  const std::string svg = simulate(std::move(input), {.picture = true}).picture;
  for (const char* row :
       {"gpus 0: attention", "gpus 0: FFN", "gpus 0: dispatch", "gpus 0: combine"}) {
    EXPECT_THAT(svg, HasSubstr(row));
  }
  EXPECT_THAT(svg, HasSubstr("<title>dispatch of layer"));
  EXPECT_THAT(svg, HasSubstr("<title>combine of layer"));
}

class ChromeTrace : public testing::TestWithParam<decode::NetworkModel> {
 protected:
  void SetUp() override {
    auto input = scenario::load_simulation(scenario("step3-2a2f-4k-fp8"));
    input.input.network_model = GetParam();
    input.input.noise.kernel_jitter = 0.05;
    input.input.measurement.steps = 3;
    const test::TemporaryFile file("trace.json", "");
    report_ = simulate(std::move(input), {.trace_path = file.path()});
    std::ifstream in(file.path());
    std::stringstream text;
    text << in.rdbuf();
    trace_ = json::parse(text.str());
  }

  SimulationReport report_;
  json trace_;
};

// Of the process of an event: 0 for its kernels, 1 for its collectives.
int track_of(const json& event) {
  return event.at("tid").get<int>() - 4 * event.at("pid").get<int>();
}

// Processes are instances in the order of the pools.
TEST_P(ChromeTrace, BusyTimesAddUpToTheReport) {
  ASSERT_FALSE(report_.result.trace_full);
  std::map<std::uint64_t, double> kernels;
  std::map<std::uint64_t, double> collectives;
  for (const json& event : trace_.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("cat") == "operator") continue;
    const auto process = event.at("pid").get<std::uint64_t>();
    const double seconds = event.at("dur").get<double>() * 1e-6;
    if (track_of(event) == 0) kernels[process] += seconds;
    if (track_of(event) == 1) collectives[process] += seconds;
  }
  ASSERT_EQ(kernels.size(), 4U);
  const double elapsed = report_.result.elapsed.seconds().value();
  for (const std::size_t pool : {0U, 1U}) {
    const auto& times = report_.result.pools[pool];
    // Two instances of eight GPUs.
    EXPECT_NEAR(8 * (kernels[2 * pool + 1] + kernels[2 * pool + 2]),
                times.busy + times.slowest_rank, 1e-6 * times.busy);
  }
  EXPECT_NEAR((collectives[3] + collectives[4]) / 2 / elapsed,
              report_.result.links.back().utilization, 1e-6);
}

// Slices of one thread must not overlap, or viewers draw nonsense.
TEST_P(ChromeTrace, SlicesOfAThreadFollowEachOther) {
  std::map<std::pair<int, int>, std::map<double, double>> threads;
  for (const json& event : trace_.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("cat") == "operator") continue;
    threads[{event.at("pid").get<int>(), event.at("tid").get<int>()}].emplace(
        event.at("ts").get<double>(), event.at("dur").get<double>());
  }
  EXPECT_GE(threads.size(), 6U);
  for (const auto& [thread, slices] : threads) {
    double end = 0.0;
    for (const auto& [start, length] : slices) {
      EXPECT_GE(start, end - 1e-5) << thread.first << " " << thread.second;
      end = start + length;
    }
  }
}

// A viewer nests a slice that lies within another of its thread.
TEST_P(ChromeTrace, OperatorsFillTheStageThatTheyBelongTo) {
  std::map<std::pair<int, double>, double> stages;  // (process, start) -> length
  for (const json& event : trace_.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("cat") == "operator" || track_of(event) != 0) continue;
    stages[{event.at("pid").get<int>(), event.at("ts").get<double>()}] =
        event.at("dur").get<double>();
  }
  std::map<std::pair<int, double>, double> filled;
  std::size_t operators = 0;
  for (const json& event : trace_.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("cat") != "operator") continue;
    ++operators;
    const int process = event.at("pid").get<int>();
    const double start = event.at("ts").get<double>();
    auto stage = stages.upper_bound({process, start + 1e-5});
    ASSERT_NE(stage, stages.begin());
    --stage;
    ASSERT_EQ(stage->first.first, process);
    EXPECT_LE(start + event.at("dur").get<double>(), stage->first.second + stage->second + 1e-4);
    filled[stage->first] += event.at("dur").get<double>();
  }
  EXPECT_GT(operators, 1000U);
  for (const auto& [stage, length] : filled) EXPECT_NEAR(length, stages.at(stage), 1e-4);
}

TEST_P(ChromeTrace, TellsMicroBatchesAndKindsOfCollectivesApart) {
  std::set<std::string> names;
  for (const json& event : trace_.at("traceEvents")) {
    if (event.at("ph") == "X" && event.at("cat") != "operator") {
      names.insert(event.at("name").get<std::string>());
      EXPECT_GT(event.at("args").at("mean_tokens").get<double>(), 0.0);
    }
  }
  for (const char* name : {"micro-batch 0: attention", "micro-batch 2: FFN",
                           "micro-batch 1: all-gather", "micro-batch 1: reduce-scatter"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

// [process][counter] -> (us, value), in the order of the file.
using Counters = std::map<int, std::map<std::string, std::vector<std::pair<double, double>>>>;
Counters counters_of(const json& trace) {
  Counters out;
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "C") continue;
    out[event.at("pid").get<int>()][event.at("name").get<std::string>()].emplace_back(
        event.at("ts").get<double>(), event.at("args").at("").get<double>());
  }
  return out;
}

// The area under a counter, in its unit times seconds.
double area(const std::vector<std::pair<double, double>>& samples) {
  double sum = 0.0;
  for (std::size_t i = 0; i + 1 < samples.size(); ++i) {
    sum += samples[i].second * (samples[i + 1].first - samples[i].first) * 1e-6;
  }
  return sum;
}

TEST_P(ChromeTrace, CountersOfInstancesAreNeverBelowZeroAndEndThere) {
  auto counters = counters_of(trace_);
  counters.erase(5);  // the whole deployment
  ASSERT_EQ(counters.size(), 4U);
  for (const auto& [process, of] : counters) {
    for (const auto& [name, samples] : of) {
      double time = 0.0;
      for (const auto& [when, value] : samples) {
        EXPECT_GE(value, 0.0) << name;
        EXPECT_GE(when, time) << name;
        time = when;
      }
      EXPECT_EQ(samples.back().second, 0.0) << process << " " << name;
    }
  }
  // Two pools of two instances: those of the FFN gather and scatter.
  EXPECT_TRUE(counters[3].contains("links in use by collectives"));
  EXPECT_FALSE(counters[1].contains("links in use by collectives"));
}

// Bytes per second, over time, are the bytes of the messages.
TEST_P(ChromeTrace, WhatNicsSendAddsUpToTheBytesOfTheMessages) {
  std::map<int, double> bytes;
  for (const json& event : trace_.at("traceEvents")) {
    if (event.at("ph") != "b") continue;
    bytes[event.at("pid").get<int>()] += event.at("args").at("bytes").get<double>();
  }
  auto counters = counters_of(trace_);
  for (const int process : {1, 2, 3, 4}) {
    const auto& sending = counters[process]["NICs, sending (B/s)"];
    ASSERT_GT(bytes[process], 1e6);
    EXPECT_NEAR(area(sending), bytes[process], 1e-3 * bytes[process]) << process;
  }
}

TEST_P(ChromeTrace, TheWholeDeploymentHoldsWhatTheReportSays) {
  auto counters = counters_of(trace_);
  auto& of_all = counters[5];
  ASSERT_FALSE(of_all["requests in decode"].empty());
  EXPECT_EQ(of_all["requests in decode"].front().second, report_.result.mean_requests);
  EXPECT_NEAR(of_all["KV filled (%)"].front().second, 100.0 * report_.result.kv_filled, 1e-3);
  EXPECT_NEAR(of_all["KV set aside (%)"].front().second, 100.0 * report_.result.kv_reserved, 1e-3);
}

TEST_P(ChromeTrace, MessagesBeginAndEnd) {
  std::map<std::string, int> open;
  int messages = 0;
  for (const json& event : trace_.at("traceEvents")) {
    if (event.at("ph") == "b") {
      ++open[event.at("id").dump()];
      ++messages;
    }
    if (event.at("ph") == "e") --open[event.at("id").dump()];
  }
  EXPECT_GT(messages, 100);
  for (const auto& [id, count] : open) EXPECT_EQ(count, 0) << id;
}

TEST_P(ChromeTrace, RepeatsTheFiguresOfTheReport) {
  EXPECT_DOUBLE_EQ(trace_.at("otherData").at("mean_tpot_ms").get<double>(),
                   report_.result.mean_tpot.value() * 1e3);
  EXPECT_TRUE(trace_.at("otherData").at("complete").get<bool>());
}

INSTANTIATE_TEST_SUITE_P(BothNetworks, ChromeTrace,
                         testing::Values(decode::NetworkModel::ports,
                                         decode::NetworkModel::max_min_fair),
                         [](const auto& instance) {
                           return instance.param == decode::NetworkModel::ports ? "Ports"
                                                                                : "MaxMinFair";
                         });

// Over the measured time: the means of the report.
TEST(ChromeTraceOfArrivals, FollowsRequestsAndTheirMemory) {
  const test::TemporaryFile file("trace.json", "");
  auto asked = scenario::load_simulation(scenario("step3-2a2f-4k-fp8"));
  asked.input.workload = {.kind = decode::Workload::Kind::poisson, .requests_per_second = 50.0};
  asked.input.workload.context.tokens = 4096;
  asked.input.workload.output.tokens = 20;
  asked.input.measurement = {.warmup = Seconds{1.0}, .duration = Seconds{1.0}};
  const auto report = simulate(std::move(asked), {.trace_path = file.path()});
  ASSERT_FALSE(report.result.trace_full);
  std::ifstream in(file.path());
  auto counters = counters_of(json::parse(in));
  ASSERT_FALSE(counters.empty());
  auto& of_all = counters.rbegin()->second;  // the last process
  const double seconds = report.result.elapsed.seconds().value();
  const auto mean = [&](const char* name) {
    const auto& samples = of_all[name];
    EXPECT_GT(samples.size(), 100U) << name;
    const double after = seconds - samples.back().first * 1e-6;
    return (area(samples) + samples.back().second * after) / seconds;
  };
  EXPECT_NEAR(mean("requests in decode"), report.result.mean_requests,
              1e-3 * report.result.mean_requests);
  EXPECT_NEAR(mean("KV filled (%)"), 100.0 * report.result.kv_filled,
              0.1 * report.result.kv_filled);
  EXPECT_NEAR(mean("KV set aside (%)"), 100.0 * report.result.kv_reserved,
              0.1 * report.result.kv_reserved);
  EXPECT_TRUE(of_all.contains("requests waiting"));
}

// One pool: tokens go to their experts and back, over links that are busy meanwhile.
TEST(ChromeTraceOfExpertParallelism, TellsBytesOfExchangesAndLinksInUse) {
  const test::TemporaryFile file("trace.json", "");
  auto input = scenario::load_simulation(scenario("deepseek-v3-ep128-4k"));
  input.input.measurement.steps = 2;
  const auto report = simulate(std::move(input), {.trace_path = file.path()});
  std::ifstream in(file.path());
  const json trace = json::parse(in);
  double exchanging = 0.0;
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X" || track_of(event) != 1) continue;
    EXPECT_GT(event.at("args").at("mean_bytes").get<double>(), 0.0);
    exchanging += event.at("dur").get<double>() * 1e-6;
  }
  ASSERT_GT(exchanging, 0.0);
  auto counters = counters_of(trace);
  EXPECT_NEAR(area(counters[1]["links in use by collectives"]), exchanging, 1e-6 * exchanging);
}

TEST(Latencies, ArePlottedAsFarAsThereAreAny) {
  const auto replay = simulate(scenario::load_simulation(scenario("trace-replay")));
  const auto plots = latency_plots(replay);
  ASSERT_EQ(plots.size(), 4U);
  for (const auto& plot : plots) {
    const auto& points = plot.series.front().points;
    for (std::size_t i = 1; i < points.size(); ++i) {
      EXPECT_GE(points[i].x, points[i - 1].x) << plot.title;
      EXPECT_GE(points[i].y, points[i - 1].y) << plot.title;
    }
    EXPECT_EQ(points.back().y, 100.0) << plot.title;
  }
  // Half of the tokens within the median.
  EXPECT_NEAR(plots[0].series.front().points[100].x, 1e3 * replay.result.tpot.quantile(0.5), 1e-9);
  const std::string picture = latency_picture(replay);
  for (const auto& plot : plots) EXPECT_THAT(picture, HasSubstr(plot.title));
  EXPECT_THAT(picture, HasSubstr("; SLA 50.0 ms</text>"));
  auto nobody = replay;
  nobody.result.request_tpot = {};
  EXPECT_TRUE(latency_plots(nobody).empty());
  EXPECT_THAT(latency_picture(nobody), HasSubstr("no request finished"));
}

}  // namespace
}  // namespace ridge::answer
