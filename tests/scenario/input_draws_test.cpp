// What an interval draws: what a scenario leaves open, from ranges that sources tell, and nothing
// that it states.
#include "ridge/scenario/input_draws.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/json.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::scenario {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr int kDraws = 200;

// DeepSeek-V3 over 18 nodes, experts on all of them, with SGLang's kernels.
json wide() {
  json document = json::parse(test::source_text("scenarios/deepseek-v3-ep144-5k.json"));
  document["deployment"]["pools"]["gpus"]["prefer_kernels"] = {"sglang:*"};
  document["deployment"].erase("step_overhead_us");
  document.erase("noise");
  return document;
}
// A scenario of one pool, on so many GPUs of nodes of eight.
json sliced(std::int64_t gpus) {
  json document = json::parse(test::source_text("scenarios/qwen3-235b-tp8-h20.json"));
  document["deployment"]["collectives"] = "links";
  json& pool = document["deployment"]["pools"]["gpus"];
  pool["gpus_per_instance"] = gpus;
  return document;
}

LocatedScenario located(const json& document) {
  const test::TemporaryFile file("scenario.json", document.dump());
  return read_scenario(JsonDocument::read(file.path()));
}

std::vector<std::string> names(const std::vector<DrawnInput>& inputs) {
  std::vector<std::string> out;
  for (const DrawnInput& input : inputs) out.push_back(input.what);
  return out;
}

std::vector<std::string> drawn_for(const json& document,
                                   const std::vector<std::string>& fixed = {}) {
  Library library;
  const LocatedScenario scenario = located(document);
  return names(InputDraws(library.ranges(), fixed)
                   .inputs(scenario, open_inputs(scenario, library), library));
}

TEST(InputDraws, DrawWhatAScenarioLeavesOpenAndNothingThatItStates) {
  const json document = wide();
  EXPECT_THAT(
      drawn_for(document),
      testing::ElementsAre("popularity of experts", "error of the balancer", "NICs in exchanges",
                           "gap between steps of SGLang", "release of the engine"));
  // Stated, be it as what it would have been.
  json stated = document;
  stated["noise"]["experts"] = {{"popularity", "uniform"}};
  EXPECT_THAT(drawn_for(stated),
              testing::ElementsAre("NICs in exchanges", "gap between steps of SGLang",
                                   "release of the engine"));
  stated = document;
  stated["deployment"]["step_overhead_us"] = 0;
  EXPECT_THAT(drawn_for(stated), Not(Contains(StartsWith("gap between steps"))));
  stated = document;
  stated["deployment"]["pools"]["gpus"]["nic_bandwidth_GBps"] = 50;
  EXPECT_THAT(drawn_for(stated), Not(Contains("NICs in exchanges")));
  EXPECT_THAT(drawn_for(document, {"NICs in exchanges"}), Not(Contains("NICs in exchanges")));
  EXPECT_THAT(drawn_for(document, {"inputs"}), IsEmpty());
  // Of experts that stay all alike a balancer knows nothing wrongly.
  EXPECT_THAT(drawn_for(document, {"popularity of experts"}),
              testing::ElementsAre("NICs in exchanges", "gap between steps of SGLang",
                                   "release of the engine"));
}

TEST(InputDraws, TakeTheGapOfTheEngineWhoseKernelsArePreferred) {
  json document = sliced(8);
  json& pool = document["deployment"]["pools"]["gpus"];
  document["deployment"].erase("step_overhead_us");
  const auto gap = [&](const json& kernels) {
    pool.erase("prefer_kernels");
    if (!kernels.is_null()) pool["prefer_kernels"] = {kernels};
    for (const std::string& name : drawn_for(document)) {
      if (name.starts_with("gap between steps")) return name;
    }
    return std::string();
  };
  EXPECT_EQ(gap("vllm:*"), "gap between steps of vLLM");
  EXPECT_EQ(gap("sglang:fa3"), "gap between steps of SGLang");
  EXPECT_EQ(gap("flashinfer:trtllm-gen"), "gap between steps of TensorRT-LLM");
  EXPECT_EQ(gap("mine"), "gap between steps");
  EXPECT_EQ(gap(nullptr), "gap between steps");
}

TEST(InputDraws, StayWithinTheirRangesAndReachTheirEnds) {
  Library library;
  const json document = wide();
  const LocatedScenario scenario = located(document);
  const InputDraws draws(library.ranges());
  const OpenInputs open = open_inputs(scenario, library);
  std::vector<double> exponents;
  std::vector<double> errors;
  std::vector<double> shares;
  std::vector<double> gaps;
  const double nic = library.chip("h800")->nic_bandwidth.value->value();
  for (std::uint64_t seed = 1; seed <= kDraws; ++seed) {
    const Scenario drawn = draws.drawn(scenario, open, library, seed);
    const auto& experts = std::get<PowerLawExperts>(*drawn.noise.experts);
    exponents.push_back(experts.exponent);
    errors.push_back(*experts.balancer_error);
    const Pool& pool = std::get<WholePool>(drawn.deployment.pools).gpus;
    shares.push_back(pool.nic_bandwidth->value() / nic);
    gaps.push_back(drawn.deployment.step_overhead->value() * 1e6);
  }
  const auto spans = [](const std::vector<double>& values, double low, double high) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const double near = 0.05 * (high - low);
    EXPECT_GE(*least, low);
    EXPECT_LT(*least, low + near);
    EXPECT_LE(*most, high);
    EXPECT_GT(*most, high - near);
  };
  spans(exponents, 0.19, 0.76);
  spans(errors, 0.03, 0.12);
  spans(shares, 0.62, 1.0);
  spans(gaps, 0.0, 2000.0);
  // On their own: what is fixed moves nothing else.
  const InputDraws fixed(library.ranges(), {"popularity of experts", "NICs in exchanges"});
  const Scenario other = fixed.drawn(scenario, open, library, 7);
  EXPECT_EQ(other.deployment.step_overhead->value() * 1e6, gaps[6]);
  EXPECT_FALSE(other.noise.experts.has_value());
}

TEST(InputDraws, SumOverEachClusterInTurnWhereNobodyTellsWhatSumsTake) {
  Library library;
  const auto ranges = library.ranges();
  json document = sliced(16);
  const LocatedScenario open = located(document);
  const auto& clusters = ranges->sums_over_nodes.over(16, 8)->clusters;
  const OpenInputs inputs = open_inputs(open, library);
  ASSERT_EQ(inputs.clusters.size(), clusters.size());
  const InputDraws draws(ranges);
  for (std::uint64_t seed = 1; seed <= 2 * clusters.size(); ++seed) {
    EXPECT_EQ(draws.drawn(open, inputs, library, seed).network.all_reduce,
              clusters[seed % clusters.size()].ways);
  }
  const auto told = [&](const char* part, const char* key, const json& value) {
    json stated = document;
    stated[part][key] = value;
    return open_inputs(located(stated), library).clusters.empty();
  };
  EXPECT_TRUE(told("network", "overhead_us", 20));
  EXPECT_TRUE(told("network", "efficiency", 0.8));
  EXPECT_TRUE(told("scale_up", "overhead_us", 5));
  EXPECT_TRUE(told("network", "all_reduce", {{{"overhead_us", 20}, {"bandwidth_GBps", 100}}}));
  EXPECT_THAT(open_inputs(located(sliced(8)), library).clusters, IsEmpty());
  EXPECT_THAT(open_inputs(located(sliced(64)), library).clusters, IsEmpty());
}

TEST(InputDraws, NamesThatNothingHasAreToldWithThoseThatThereAre) {
  Library library;
  try {
    const InputDraws draws(library.ranges(), {"gap"});
    FAIL();
  } catch (const UserError& e) {
    EXPECT_THAT(e.what(), HasSubstr("nothing that is drawn is named \"gap\"; there are\n  "
                                    "popularity of experts\n  error of the balancer\n"));
    EXPECT_THAT(e.what(), HasSubstr("\n  inputs (all of them)"));
  }
}

TEST(InputDraws, AReleaseMakesEveryMeasuredKernelSlowerAlike) {
  Library library;
  const InputDraws draws(library.ranges());
  const InputDraws fixed(library.ranges(), {"release of the engine"});
  double squares = 0.0;
  std::set<double> factors;
  for (std::uint64_t seed = 1; seed <= kDraws; ++seed) {
    EXPECT_EQ(fixed.calibrations(seed).release, 1.0);
    EXPECT_EQ(draws.calibrations(seed).seed, seed);
    const double factor = draws.calibrations(seed).release;
    factors.insert(factor);
    squares += std::log(factor) * std::log(factor);
  }
  EXPECT_EQ(factors.size(), kDraws);
  EXPECT_NEAR(std::sqrt(squares / kDraws), library.ranges()->releases.spread, 0.01);
  const auto chip = library.chip("h800");
  const auto time = [&](double release) {
    const auto kernels = library.kernels({"calibrated:h800", {}}, *chip, "",
                                         CalibrationDraw{.seed = 3, .release = release});
    models::OperatorList operators;
    operators.add("product", models::Part::ffn, models::Gemm{.m = 64, .n = 4096, .k = 7168});
    return kernels->time(*operators.begin()).time.value();
  };
  EXPECT_NEAR(time(1.1), 1.1 * time(1.0), 1e-12);
}

std::string ranges_complaint(const json& document) {
  const test::TemporaryFile file("ranges.json", document.dump());
  try {
    (void)read_ranges(file.path());
  } catch (const UserError& e) {
    return e.what();
  }
  return {};
}

TEST(Ranges, MistakesInTheFileAreToldWhereTheyStand) {
  json document = json::parse(test::source_text("scenarios/ranges/inputs.json"));
  EXPECT_EQ(ranges_complaint(document), "");
  document["inputs"][0]["low"] = 2;
  document["inputs"][1]["engine"] = "mine";
  document["inputs"][2]["low"] = 0;
  const std::string told = ranges_complaint(document);
  EXPECT_THAT(told, HasSubstr("/inputs/0/low: is above \"high\""));
  EXPECT_THAT(told, HasSubstr("/inputs/1/engine: of no effect but of \"step_overhead_us\""));
  EXPECT_THAT(told, HasSubstr("/inputs/2/low: expected a share above 0"));
}

}  // namespace
}  // namespace ridge::scenario
