// What an interval draws: what a scenario leaves open, from ranges that sources tell, and nothing
// that it states.
#include "ridge/scenario/input_draws.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/json.hpp"
#include "ridge/base/keys.hpp"
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
  for (const char* part : {"network", "scale_up"}) {
    for (const char* key : {"overhead_us", "efficiency"}) document[part].erase(key);
  }
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
  return names(InputDraws(ranges_of(scenario, library), fixed)
                   .inputs(scenario, open_inputs(scenario, library), library));
}

// Of three clusters the one in the middle, size by size; of two, the mean. A law counts as what it
// gives: 2 us and 64 B at 64 MB/s are 3 us.
TEST(InputDraws, TheMedianOfClustersIsTakenSizeBySize) {
  const auto measured = [](const char* fabric, double first, double second) {
    decode::AllReduceWay way;
    way.measured = {Seconds{first * 1e-6}, Seconds{second * 1e-6}};
    return SumsCluster{.fabric = fabric, .source = fabric, .ways = {way}};
  };
  decode::AllReduceWay law;
  law.overhead = Seconds{2e-6};
  law.bandwidth = BytesPerSecond{64e6};
  const std::vector<SumsCluster> three = {measured("a", 1, 8), measured("b", 10, 5),
                                          SumsCluster{.fabric = "c", .source = "c", .ways = {law}}};
  const SumsCluster median = median_of(three);
  ASSERT_EQ(median.ways.size(), 1U);
  ASSERT_GE(median.ways[0].measured.size(), 2U);
  EXPECT_NEAR(median.ways[0].measured[0].value(), 3e-6, 1e-12);  // of 1, 3, 10
  EXPECT_NEAR(median.ways[0].measured[1].value(), 5e-6, 1e-12);  // of 4, 5, 8
  EXPECT_EQ(median.fabric, "a, b, c");
  const SumsCluster mean = median_of({three[0], three[1]});
  EXPECT_NEAR(mean.ways[0].measured[0].value(), 5.5e-6, 1e-12);
  EXPECT_NEAR(mean.ways[0].measured[1].value(), 6.5e-6, 1e-12);
  EXPECT_EQ(median_of({three[1]}).ways, three[1].ways);
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

// No range of these ships: they are drawn where the scenario has one, unless it states them.
TEST(InputDraws, DrawStaggerAndOverheadOfMessagesWhereAScenarioHasTheirRange) {
  const auto range = [](const char* name, const char* of, double low, double high) {
    return json{{"name", name}, {"of", of}, {"low", low}, {"high", high}, {"source", "a test"}};
  };
  const auto ours = [&] {
    return json{{"inputs",
                 {range("our hosts", "host_stagger_us", 100, 200),
                  range("our messages", "message_overhead_us", 5, 9)}}};
  };
  const auto drawn = [](const json& document, std::uint64_t seed) {
    Library library;
    const LocatedScenario scenario = located(document);
    return InputDraws(ranges_of(scenario, library))
        .drawn(scenario, open_inputs(scenario, library), library, seed);
  };
  json one_pool = wide();
  EXPECT_THAT(drawn_for(one_pool), Not(Contains("our hosts")));
  EXPECT_FALSE(drawn(one_pool, 1).deployment.execution.host_stagger.has_value());
  one_pool["ranges"] = ours();
  EXPECT_THAT(drawn_for(one_pool), Contains("our hosts"));
  EXPECT_THAT(drawn_for(one_pool), Not(Contains("our messages"))) << "no pool sends another any";
  std::set<double> staggers;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const double us = drawn(one_pool, seed).deployment.execution.host_stagger->value() * 1e6;
    EXPECT_GE(us, 100);
    EXPECT_LE(us, 200);
    staggers.insert(us);
  }
  EXPECT_EQ(staggers.size(), 20U);
  one_pool["deployment"]["execution"]["host_stagger_us"] = 0;
  EXPECT_THAT(drawn_for(one_pool), Not(Contains("our hosts")));

  // Over the links that the messages take.
  json split = json::parse(test::source_text("scenarios/qwen3-235b-afd-nvl72.json"));
  split["ranges"] = ours();
  EXPECT_THAT(drawn_for(split), Contains("our messages"));
  const Scenario within = drawn(split, 3);
  EXPECT_GE(within.scale_up.wire.overhead->value() * 1e6, 5);
  EXPECT_LE(within.scale_up.wire.overhead->value() * 1e6, 9);
  EXPECT_EQ(within.network.wire.overhead, Seconds{});
  split["scale_up"]["overhead_us"] = 0;
  EXPECT_THAT(drawn_for(split), Not(Contains("our messages")));
  split["scale_up"].erase("overhead_us");
  split["network"]["path"] = "nics";
  split["network"].erase("overhead_us");
  split["network"]["efficiency"] = 1;
  const Scenario over_nics = drawn(split, 3);
  EXPECT_GE(over_nics.network.wire.overhead->value() * 1e6, 5);
  EXPECT_FALSE(over_nics.scale_up.wire.overhead.has_value());
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
  const auto& clusters = ranges->sums_over(16, 8)->clusters;
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
  EXPECT_FALSE(told("network", "source", "another"));
  EXPECT_TRUE(told("network", "overhead_us", 20));
  // Stated, be it as what it would have been.
  EXPECT_TRUE(told("network", "overhead_us", 0));
  EXPECT_TRUE(told("scale_up", "efficiency", 1));
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
  EXPECT_NEAR(std::sqrt(squares / kDraws), library.ranges()->releases->spread, 0.01);
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

// Draws on another chip have what the transfer adds to a curve's error.
TEST(InputDraws, KernelsSpreadMoreOnAChipThatTheyWereNotMeasuredOn) {
  Library library;
  const auto spread = [&](const char* name) {
    models::OperatorList operators;
    operators.add("product", models::Part::ffn, models::Gemm{.m = 64, .n = 4096, .k = 7168});
    double sum = 0.0;
    double squares = 0.0;
    for (std::uint64_t seed = 1; seed <= kDraws; ++seed) {
      const auto kernels = library.kernels({"calibrated:h800", {}}, *library.chip(name), "",
                                           CalibrationDraw{.seed = seed, .release = 1.0});
      const double us = std::log(kernels->time(*operators.begin()).time.value());
      sum += us;
      squares += us * us;
    }
    return std::sqrt(squares / kDraws - sum * sum / (kDraws * kDraws));
  };
  const auto h800 = library.chip("h800");
  const auto h20 = library.chip("h20");
  const double added = hw::calibrated::transfer_error(hw::calibrated::Family::gemm,
                                                      hw::calibrated::Format::bf16, *h800, *h20);
  ASSERT_GT(added, 0.1);
  EXPECT_NEAR(spread("h20"), std::hypot(spread("h800"), added), 0.15 * added);
}

std::string ranges_complaint(const json& document) {
  const test::TemporaryFile file("ranges.json", document.dump());
  try {
    Library library;
    (void)library.ranges(file.path());
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

// What is said of the shipped file with this range beside its own.
std::string complaint_beside(const json& range) {
  json document = json::parse(test::source_text("scenarios/ranges/inputs.json"));
  document["inputs"].push_back(range);
  return ranges_complaint(document);
}
json gap_range(const char* name, const char* engine, const json& kernels) {
  json out = {{"name", name},
              {"of", "step_overhead_us"},
              {"low", 100},
              {"high", 200},
              {"source", "a test"}};
  if (engine != nullptr) out["engine"] = engine;
  if (!kernels.is_null()) out["kernels"] = kernels;
  return out;
}

TEST(Ranges, ThatCannotBeToldApartAreRefused) {
  json share = {{"name", "our NICs"},
                {"of", "exchange_nics"},
                {"low", 0.5},
                {"high", 0.6},
                {"source", "a test"}};
  EXPECT_THAT(complaint_beside(share),
              HasSubstr("/inputs/7/of: \"exchange_nics\" has a range at /inputs/2 (\"NICs in "
                        "exchanges\"): expected one for each input"));
  share["kernels"] = {"mine:*"};
  EXPECT_THAT(complaint_beside(share),
              HasSubstr("/inputs/7/kernels: of no effect but of \"step_overhead_us\""));
  EXPECT_THAT(complaint_beside(gap_range("gap between steps", "Mine", nullptr)),
              HasSubstr("/inputs/7/name: \"gap between steps\" is the name of /inputs/6 too"));
  EXPECT_THAT(
      complaint_beside(gap_range("our gap", nullptr, nullptr)),
      HasSubstr("/inputs/7/of: \"step_overhead_us\" of no engine has a range at /inputs/6"));
  EXPECT_THAT(complaint_beside(gap_range("our gap", "vLLM", nullptr)),
              HasSubstr("/inputs/7/of: \"step_overhead_us\" of engine \"vLLM\" has a range"));
  EXPECT_THAT(complaint_beside(gap_range("our gap", nullptr, {"mine:*"})),
              HasSubstr("/inputs/7/kernels: tell of no engine: expected \"engine\" beside them"));
  EXPECT_THAT(complaint_beside(gap_range("our gap", "Mine", {"mine:*", "vllm:*"})),
              HasSubstr("/inputs/7/kernels/1: \"vllm:*\" tells of engine \"vLLM\" at /inputs/4"));
  EXPECT_THAT(complaint_beside(gap_range("inputs", "Mine", nullptr)),
              HasSubstr("/inputs/7/name: \"inputs\" is the name of something else"));
  EXPECT_THAT(complaint_beside(gap_range("", "Mine", nullptr)),
              HasSubstr("/inputs/7/name: expected a name"));
  EXPECT_EQ(complaint_beside(gap_range("our gap", "Mine", {"mine:*"})), "");
  json document = json::parse(test::source_text("scenarios/ranges/inputs.json"));
  json& spans = document["sums_over_nodes"]["spans"];
  spans.push_back(spans[0]);
  spans[1]["clusters"][0]["ways"][0]["overhead_us"] = 3;
  const std::string told = ranges_complaint(document);
  EXPECT_THAT(told, HasSubstr("/sums_over_nodes/spans/1/clusters/0/ways/0: expected either"));
  spans[1]["clusters"][0]["ways"][0].erase("overhead_us");
  EXPECT_THAT(ranges_complaint(document),
              HasSubstr("/sums_over_nodes/spans/2: 2 nodes of 8 GPUs stand at /spans/0 too"));
}

// Ranges of a scenario's own: a file beside it, or in it.
json popular(double low, double high, const char* name = "popularity of experts") {
  return {{"name", name},
          {"of", "expert_popularity"},
          {"low", low},
          {"high", high},
          {"source", "a test"}};
}

TEST(OwnRanges, TakeThePlaceOfThoseOfTheirNamesAndLeaveTheOthers) {
  json document = wide();
  document["ranges"] = {{"inputs", {popular(1.5, 1.75), gap_range("our gap", "Mine", {"mine:*"})}}};
  Library library;
  const LocatedScenario own = located(document);
  const auto ranges = ranges_of(own, library);
  const OpenInputs open = open_inputs(own, library);
  const InputDraws draws(ranges);
  const InputDraws shipped(library.ranges());
  EXPECT_THAT(names(draws.inputs(own, open, library)),
              testing::UnorderedElementsAreArray(drawn_for(wide())));
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Scenario drawn = draws.drawn(own, open, library, seed);
    const Scenario usual = shipped.drawn(own, open, library, seed);
    const double exponent = std::get<PowerLawExperts>(*drawn.noise.experts).exponent;
    const double before = std::get<PowerLawExperts>(*usual.noise.experts).exponent;
    // At the same place of its range.
    EXPECT_NEAR((exponent - 1.5) / 0.25, (before - 0.19) / (0.76 - 0.19), 1e-9);
    EXPECT_EQ(drawn.deployment.step_overhead, usual.deployment.step_overhead);
    EXPECT_EQ(std::get<WholePool>(drawn.deployment.pools).gpus.nic_bandwidth,
              std::get<WholePool>(usual.deployment.pools).gpus.nic_bandwidth);
    EXPECT_EQ(std::get<PowerLawExperts>(*drawn.noise.experts).balancer_error,
              std::get<PowerLawExperts>(*usual.noise.experts).balancer_error);
    EXPECT_EQ(draws.calibrations(seed).release, shipped.calibrations(seed).release);
  }
  // The new one answers for its kernels, and before a shipped one that they would tell of too.
  for (const char* kernels : {"mine:*", "sglang:mine"}) {
    document["ranges"]["inputs"][1]["kernels"] = {kernels};
    document["deployment"]["pools"]["gpus"]["prefer_kernels"] = {
        kernels == std::string("mine:*") ? "mine:fast" : "sglang:mine"};
    EXPECT_THAT(drawn_for(document), Contains("our gap")) << kernels;
  }
  // It may be fixed by its name.
  EXPECT_THAT(drawn_for(document, {"our gap"}), Not(Contains("our gap")));
}

TEST(OwnRanges, OfAnEnginesGapHaveTheKernelsOfTheOneWhosePlaceTheyTake) {
  json document = wide();
  const auto gap_of = [&](const json& range, const char* kernels) {
    document["ranges"] = {{"inputs", {range}}};
    document["deployment"]["pools"]["gpus"]["prefer_kernels"] = {kernels};
    Library library;
    const LocatedScenario own = located(document);
    const InputDraws draws(ranges_of(own, library));
    return draws.drawn(own, open_inputs(own, library), library, 1)
               .deployment.step_overhead->value() *
           1e6;
  };
  const char* shipped = "gap between steps of SGLang";
  for (const char* kernels : {"sglang:*", "sglang:fa3"}) {
    const double gap = gap_of(gap_range(shipped, "SGLang", nullptr), kernels);
    EXPECT_GE(gap, 100.0) << kernels;
    EXPECT_LE(gap, 200.0) << kernels;
  }
  // Its own go over them, and leave the others to the range of no engine.
  EXPECT_LE(gap_of(gap_range(shipped, "SGLang", {"ours:*"}), "ours:fast"), 200.0);
  document["ranges"] = {{"inputs", {gap_range(shipped, "SGLang", {"ours:*"})}}};
  document["deployment"]["pools"]["gpus"]["prefer_kernels"] = {"sglang:*"};
  EXPECT_THAT(drawn_for(document), Contains("gap between steps"));
}

TEST(OwnRanges, DrawTheSameWhateverStandsBesideThem) {
  json document = wide();
  document["deployment"]["pools"]["gpus"]["prefer_kernels"] = {"mine:*"};
  const json mine = gap_range("our gap", "Mine", {"mine:*"});
  const json other = gap_range("another gap", "Other", {"other:*"});
  const auto gaps = [&](const json& inputs) {
    document["ranges"] = {{"inputs", inputs}};
    Library library;
    const LocatedScenario own = located(document);
    const InputDraws draws(ranges_of(own, library));
    std::vector<double> out;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      out.push_back(draws.drawn(own, open_inputs(own, library), library, seed)
                        .deployment.step_overhead->value());
    }
    return out;
  };
  const auto alone = gaps(json::array({mine}));
  EXPECT_EQ(gaps(json::array({other, mine})), alone);
  EXPECT_EQ(gaps(json::array({mine, other})), alone);
  // Each has random numbers of its own.
  Library library;
  const auto both = over({.inputs = {{.name = "our gap"}, {.name = "another gap"}}}, {},
                         [](const auto& /*pointer*/, const auto& /*message*/) {});
  EXPECT_NE(both.inputs[0].stream, both.inputs[1].stream);
}

TEST(OwnRanges, ThatAPredictionLiesOutsideOfAreNamed) {
  json document = wide();
  const auto one_sided = [&](double low, double high) {
    json gap = gap_range("gap between steps of SGLang", "SGLang", nullptr);
    gap["low"] = low;
    gap["high"] = high;
    document["ranges"] = {{"inputs", {gap}}};
    Library library;
    const LocatedScenario own = located(document);
    for (const DrawnInput& input :
         InputDraws(ranges_of(own, library)).inputs(own, open_inputs(own, library), library)) {
      if (input.what == gap["name"]) return input.one_sided;
    }
    ADD_FAILURE() << "not drawn";
    return false;
  };
  EXPECT_TRUE(one_sided(200, 400));  // the prediction has none
  EXPECT_TRUE(one_sided(0, 400));
  EXPECT_EQ(one_sided_words({"gap"}),
            "The prediction takes an end of what is drawn, or lies outside, in gap.");
}

// What `over` tells of ranges that were changed after they were read, as an axis changes them.
std::vector<std::string> complaints_of(const Ranges& own) {
  Library library;
  std::vector<std::string> out;
  (void)over(own, *library.ranges(), [&](const std::string& pointer, const std::string& message) {
    out.push_back(pointer + ": " + message);
  });
  return out;
}

TEST(OwnRanges, AreCheckedAgainAfterAChange) {
  Library library;
  const Ranges well = *library.ranges();
  EXPECT_THAT(complaints_of(well), IsEmpty());
  const auto changed = [&](auto&& change) {
    Ranges own = well;
    change(own);
    return complaints_of(own);
  };
  EXPECT_THAT(changed([](Ranges& own) { own.inputs[0].low = 9.0; }),
              Contains("/inputs/0/low: is above \"high\""));
  EXPECT_THAT(changed([](Ranges& own) { own.inputs[2].low = 0.0; }),
              Contains("/inputs/2/low: expected a share above 0"));
  EXPECT_THAT(changed([](Ranges& own) { own.inputs[4].name = own.inputs[3].name; }),
              Contains(StartsWith("/inputs/4/name: \"gap between steps of SGLang\" is the name of "
                                  "/inputs/3 too")));
  EXPECT_THAT(changed([](Ranges& own) { own.inputs[4].engine = "SGLang"; }),
              Contains(StartsWith("/inputs/4/of: \"step_overhead_us\" of engine \"SGLang\" has a "
                                  "range at /inputs/3")));
  EXPECT_THAT(changed([](Ranges& own) { own.inputs[4].kernels = {"sglang:*"}; }),
              Contains(StartsWith("/inputs/4/kernels/0: \"sglang:*\" tells of engine")));
  EXPECT_THAT(changed([](Ranges& own) { own.sums_over_nodes->spans[1].nodes = 2; }),
              Contains(StartsWith("/sums_over_nodes/spans/1: 2 nodes of 8 GPUs stand at")));
  EXPECT_THAT(changed([](Ranges& own) {
                own.sums_over_nodes->spans[1].clusters[0].ways[0].overhead = Seconds{1e-6};
              }),
              Contains(StartsWith("/sums_over_nodes/spans/1/clusters/0/ways/0: expected either")));
}

TEST(OwnRanges, OfReleasesAndOfSumsOverAsManyNodesTakeTheirPlace) {
  json document = sliced(16);
  const json cluster = {
      {"fabric", "ours"}, {"ways", {{{"measured_us", {70}}}}}, {"source", "here"}};
  const auto span = [&](int nodes) {
    return json{{"nodes", nodes}, {"gpus_per_node", 8}, {"clusters", {cluster}}};
  };
  document["ranges"] = {{"releases", {{"spread", 0}, {"source", "one release"}}},
                        {"sums_over_nodes", {{"spans", {span(2), span(8)}}, {"source", "ours"}}}};
  Library library;
  const LocatedScenario own = located(document);
  const OpenInputs open = open_inputs(own, library);
  ASSERT_EQ(open.clusters.size(), 1U);
  EXPECT_EQ(open.clusters[0].fabric, "ours");
  const auto ranges = ranges_of(own, library);
  EXPECT_EQ(InputDraws(ranges).calibrations(3).release, 1.0);
  EXPECT_NE(ranges->sums_over(64, 8), nullptr);
  ASSERT_NE(ranges->sums_over(32, 8), nullptr);
  EXPECT_EQ(ranges->sums_over(32, 8)->clusters[0].source,
            library.ranges()->sums_over(32, 8)->clusters[0].source);
  EXPECT_EQ(ranges->inputs.size(), library.ranges()->inputs.size());
  // Both sources are told.
  EXPECT_THAT(ranges->sums_over_nodes->source, StartsWith("ours; over other numbers of nodes: "));
}

TEST(OwnRanges, StandInAFileOrInTheScenario) {
  json document = wide();
  const json own = {{"inputs", {popular(2, 2)}}};
  json file = own;
  file["kind"] = "ranges";
  const test::TemporaryFile ranges("my-ranges.json", file.dump());
  const auto exponent = [&](const json& value) {
    document["ranges"] = value;
    Library library;
    const LocatedScenario scenario = located(document);
    const auto drawn = InputDraws(ranges_of(scenario, library))
                           .drawn(scenario, open_inputs(scenario, library), library, 1);
    return std::get<PowerLawExperts>(*drawn.noise.experts).exponent;
  };
  EXPECT_EQ(exponent(own), 2.0);
  EXPECT_EQ(exponent(ranges.path()), 2.0);
  EXPECT_LT(exponent("inputs"), 0.76);  // those that ship, by name
  // Written and read again they are the same.
  document["ranges"] = own;
  EXPECT_EQ(json::parse(json_text(located(document).scenario)).at("ranges"), own);
}

std::string scenario_complaint(const json& document) {
  try {
    Library library;
    (void)resolve(located(document), library);
  } catch (const UserError& e) {
    return e.what();
  }
  return {};
}

TEST(OwnRanges, MistakesAreToldWhereTheyStandWithTheWayOn) {
  json document = wide();
  const auto told = [&](const json& range) {
    document["ranges"] = {{"inputs", {range}}};
    return scenario_complaint(document);
  };
  EXPECT_EQ(told(popular(1, 2)), "");
  EXPECT_THAT(told(popular(1, 2, "ours")),
              HasSubstr("scenario.json: /ranges/inputs/0/name: \"expert_popularity\" has a range "
                        "that ships, \"popularity of experts\": expected that name, to take its "
                        "place"));
  EXPECT_THAT(told(popular(1, 0.5, "NICs in exchanges")),
              HasSubstr("/ranges/inputs/0/low: is above \"high\""));
  EXPECT_THAT(told(popular(0.5, 1, "NICs in exchanges")),
              HasSubstr("/ranges/inputs/0/of: what ships as \"NICs in exchanges\" is a range of "
                        "\"exchange_nics\": expected the same, or another name"));
  EXPECT_THAT(told(gap_range("our gap", "Mine", nullptr)),
              HasSubstr("/ranges/inputs/0/kernels: expected the engine's kernels"));
  document["ranges"] = "nowhere.json";
  EXPECT_THAT(scenario_complaint(document), HasSubstr("/ranges: "));
  document["ranges"] = 3;
  EXPECT_THAT(scenario_complaint(document),
              HasSubstr("/ranges: expected a name, a path or an object"));
  // Of a file, in that file.
  const json file = {{"kind", "ranges"}, {"inputs", {popular(1, 2, "ours")}}};
  const test::TemporaryFile ranges("my-ranges.json", file.dump());
  document["ranges"] = ranges.path();
  EXPECT_THAT(scenario_complaint(document), HasSubstr("my-ranges.json: /inputs/0/name: "));
  EXPECT_THAT(ranges_complaint(file), HasSubstr("/inputs/0/name: "));
}

TEST(InputDraws, NamesOfWhatIsAskedBesideAreNoMistakes) {
  Library library;
  EXPECT_NO_THROW(InputDraws(library.ranges(), {"our gap"}, {"our gap"}));
  EXPECT_THAT(InputDraws::names(*library.ranges()),
              testing::IsSupersetOf({"popularity of experts", "release of the engine", "inputs"}));
}

}  // namespace
}  // namespace ridge::scenario
