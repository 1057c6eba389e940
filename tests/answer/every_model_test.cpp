// Every shipped model runs under every strategy, on chips that hold it.
#include "identifier.hpp"
#include "ridge/answer/simulation_report.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/kernel_model.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/simulation_scenario.hpp"
#include "source_tree.hpp"

#include <string>
#include <tuple>

#include <gtest/gtest.h>

namespace ridge::answer {
namespace {

class EveryModel : public testing::TestWithParam<std::tuple<std::string, std::string>> {};
INSTANTIATE_TEST_SUITE_P(Strategies, EveryModel,
                         testing::Combine(testing::ValuesIn(models::model_names()),
                                          testing::Values("step3-2a2f-4k-fp8",
                                                          "deepseek-v3-ep128-4k",
                                                          "qwen3-235b-tp8-h20")),
                         [](const auto& param) {
                           return test::identifier_of(std::get<0>(param.param) + "_as_" +
                                                      std::get<1>(param.param));
                         });

TEST_P(EveryModel, RunsUnderEveryStrategy) {
  const auto& [model, like] = GetParam();
  auto asked = scenario::load_simulation(test::source_path("scenarios/" + like + ".json").string());
  decode::SimulationInput& in = asked.input;
  in.deployment.model = models::load_model(model);
  hw::ChipSpec chip = hw::load_chip("b300");
  chip.memory.value = *chip.memory.value * 2.0;  // for a whole copy of the largest
  for (decode::Pool& pool : in.deployment.pools) {
    pool.kernels = hw::theoretical_model(chip);
    pool.gpus_per_instance = 8;
  }
  // Of every number of experts that ships.
  if (in.deployment.ffn_expert_parallel > 8) in.deployment.ffn_expert_parallel = 8;
  in.workload.requests_per_gpu = 4;
  in.workload.context.tokens = 2048;
  in.measurement.warmup_steps = 1;
  in.measurement.steps = 2;
  const SimulationReport report = simulate(asked);
  EXPECT_GT(report.result.tokens, 0);
}

}  // namespace
}  // namespace ridge::answer
