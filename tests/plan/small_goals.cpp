#include "small_goals.hpp"

namespace ridge::plan::test {

std::string small_moe_text(std::int64_t moe_layers) {
  return R"({
    "name": "small", "title": "A small MoE", "hidden": 4096, "vocabulary": 32000,
    "tied_embeddings": false,
    "precision": {"weights": "fp8", "compute": "fp8", "cache": "bf16", "attention_compute": "bf16",
                  "activations": "bf16", "wire_dispatch": "fp8", "wire_combine": "bf16"},
    "attention": {"gqa": {"kind": "gqa", "query_heads": 32, "kv_heads": 8, "head_dim": 128}},
    "ffn": {"dense": {"kind": "dense", "intermediate": 12288},
            "moe": {"kind": "moe", "experts": 16, "top_k": 2, "expert_intermediate": 2048,
                    "shared_intermediate": 0}},
    "layers": [{"repeat": 1, "pattern": [{"attention": "gqa", "ffn": "dense"}]},
               {"repeat": )" +
         std::to_string(moe_layers) + R"(,
                "pattern": [{"attention": "gqa", "ffn": "moe"}]}],
    "sources": {"": "made up"}
  })";
}

models::ModelSpec small_moe(std::int64_t moe_layers) {
  const JsonDocument document = JsonDocument::parse(small_moe_text(moe_layers), "small.json");
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  models::ModelSpec model;
  models::read_model(JsonNode(document.json(), context), model);
  diagnostics.throw_if_errors();
  return model;
}

LocatedGoal small_goal(models::ModelSpec model, const std::vector<std::string>& chips,
                       std::int64_t gpus, double sla_ms) {
  LocatedGoal located{.file = "./goal.json", .pointer = {}, .goal = {}};
  Goal& goal = located.goal;
  goal.title = "a small goal";
  goal.models.push_back({.name = {}, .spec = std::move(model)});
  for (const std::string& name : chips) {
    Stock& stock = goal.chips.emplace_back();
    stock.chip.name = name;
  }
  goal.gpus = gpus;
  goal.context = 65536;
  goal.sla_tpot = Seconds{sla_ms * 1e-3};
  goal.assumptions.memory_utilization = 0.12;
  // Draws of up to 2 ms where it is not stated would outweigh the model.
  goal.assumptions.step_overhead = Seconds{};
  return located;
}

Plan plan_of(const LocatedGoal& goal, const PlanOptions& options) {
  scenario::Library library;
  return make_plan(goal, library, options);
}

}  // namespace ridge::plan::test
