// Whatever a scenario states acts, or is refused: for each key of the table a case in which moving
// it moves the answer, or a refusal that says why it cannot. A new key fails here until it joins.
#include "ridge/answer/chip_card.hpp"
#include "ridge/answer/simulation_report.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/scenario/simulation_scenario.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// Every key below a table, as a pointer without the places in lists: "/noise/slow_gpus/factor".
void collect(const KeyTable& table, const std::string& above, std::set<std::string>& out) {
  for (const KeyEntry& entry : table.entries()) {
    const std::string pointer = above + "/" + entry.key;
    if (const KeyTable* below = entry.type->table()) {
      collect(*below, pointer, out);
    } else {
      out.insert(pointer);
    }
  }
  if (!table.cases()) return;
  if (!table.cases()->tag.empty()) out.insert(above + "/" + table.cases()->tag);
  for (const KeyCase& one : table.cases()->cases) collect(*one.body, above, out);
}

// Pointers and what stands there instead; null takes the key away.
using Changes = json;

json changed(json document, const Changes& changes) {
  for (const auto& item : changes.items()) {
    const json::json_pointer pointer(item.key());
    if (item.value().is_null()) {
      document.at(pointer.parent_pointer()).erase(pointer.back());
    } else {
      document[pointer] = item.value();
    }
  }
  return document;
}

// What the scenario is answered, with intervals of so many draws, or how it is refused.
std::string answer_to(const json& document, int draws) {
  const test::TemporaryFile file("scenario.json", document.dump());
  try {
    scenario::Library library;
    json report =
        json::parse(render(answer(scenario::read_scenario(file.path()), library, {}, draws),
                           view::OutputFormat::json));
    for (const char* other : {"name", "title"}) report.erase(other);
    return report.dump(1);
  } catch (const UserError& e) {
    return e.what();
  }
}

struct Proof {
  std::string key;
  Changes base;              // to the deployment that is asked about
  Changes moved;             // beside them
  std::string refusal = {};  // what is said of it; empty where the answer is another
  const char* scenario = "afd";
  int draws = 0;
};

// Two pools, one pool, and one with experts over all of it: a closed loop on rooflines, cut short.
json scenario_named(const std::string& name) {
  const char* file = name == "afd"        ? "scenarios/step3-2a2f-4k-fp8.json"
                     : name == "one pool" ? "scenarios/qwen3-235b-tp8-h20.json"
                                          : "scenarios/deepseek-v3-ep128-4k.json";
  json document = json::parse(test::source_text(file));
  for (json& pool : document["deployment"]["pools"]) {
    pool["kernel_model"] = "theoretical";
    pool.erase("prefer_kernels");
  }
  document["deployment"]["collectives"] = "links";
  document["measurement"] = {{"warmup_steps", 1}, {"steps", 2}};
  if (name == "afd") document["workload"]["requests_per_gpu"] = 96;
  if (name == "one pool") document["workload"]["requests_per_gpu"] = 8;
  return document;
}

const json kFixed = {{"kind", "fixed"}, {"tokens", 1024}};
const json kShort = {{"kind", "fixed"}, {"tokens", 20}};
const json kOutputs = {
    {"/workload",
     {{"kind", "closed_loop"},
      {"requests_per_gpu", 96},
      {"context", {{"kind", "uniform"}, {"min_tokens", 100}, {"max_tokens", 9000}}},
      {"output", {{"kind", "uniform"}, {"min_tokens", 2}, {"max_tokens", 50}}}}},
    {"/measurement", {{"warmup_steps", 1}, {"steps", 20}}}};
const json kPoisson = {
    {"/workload",
     {{"kind", "poisson"}, {"requests_per_s", 400}, {"context", kFixed}, {"output", kShort}}},
    {"/measurement", {{"warmup_s", 0.2}, {"duration_s", 0.5}}}};
const json kTimedSteps = {{"/measurement", {{"warmup_steps", 1}, {"steps", 20}}}};

json with(json base, const json& more) {
  if (!more.is_null()) base.update(more);
  return base;
}
// A workload whose context (or output) has these lengths.
json lengths(const char* which, const json& value) {
  json out = kOutputs;
  out["/workload"][which] = value;
  return out;
}
// A steady workload of this many requests, counted in this way.
json held(const char* key, std::int64_t count) {
  return {{"/workload",
           {{"kind", "closed_loop"}, {"steady", true}, {key, count}, {"context", kFixed}}}};
}
json pool(const char* key, const json& value, const char* of = "attention") {
  return {{std::string("/deployment/pools/") + of + "/" + key, value}};
}
// Collectives as the calibration of the pool's own chip has them.
json measured(const char* of) {
  return with(pool("kernel_model", "calibrated:h800", of),
              {{"/deployment/collectives", "kernel_model"}});
}
constexpr const char* kMeasured = "are timed by the \"kernel_model\"";
json fabric(const char* key, const json& value) {
  json out = {
      {"/network/model", "max_min_fair"},
      {"/network/fabric",
       {{"nodes_per_leaf", 1}, {"spines", 2}, {"oversubscription", 4}, {"hop_latency_us", 1}}}};
  if (key != nullptr) out["/network/fabric"][key] = value;
  return out;
}
// Tensor parallelism over two nodes whose library has one way to sum.
json over_nodes(const char* key = nullptr, const json& value = {}) {
  json way = {{"overhead_us", 20}, {"bandwidth_GBps", 10}};
  if (key != nullptr) way[key] = value;
  return {
      {"/deployment/pools/gpus/gpus_per_node", 4},
      {"/network", {{"model", "ports"}, {"overhead_us", 0}, {"efficiency", 1}, {"source", "here"}}},
      {"/network/all_reduce", {way}},
      {"/scale_up/overhead_us", 0},
      {"/scale_up/efficiency", 1}};
}
// Messages between the pools over the links of one domain, which need no software of their own.
json in_one_domain(std::int64_t gpus = 64, const json& more = {}) {
  json out = with(pool("gpus_per_node", gpus), pool("gpus_per_node", gpus, "ffn"));
  out = with(out, {{"/network/overhead_us", 0}, {"/network/efficiency", 1}});
  return with(with(out, {{"/network/path", "scale_up"}}), more);
}
// As it was measured, in place of a law.
json over_nodes_measured(double us) {
  json out = over_nodes();
  out["/network/all_reduce"] = {{{"measured_us", {us}}}};
  return out;
}
json slow_gpu(const char* key, const json& value) {
  json out = {{"pool", "attention"}, {"instance", 0}, {"gpu", 0}, {"factor", 1.5}};
  if (key != nullptr) out[key] = value;
  return {{"/noise", {{"slow_gpus", {out}}}}};
}
json slow_link(const char* key, const json& value) {
  json out = {{"pool", "attention"}, {"instance", 0}, {"factor", 8}};
  if (key != nullptr) out[key] = value;
  return {{"/noise", {{"slow_links", {out}}}}};
}
json popularity(const json& experts) {
  return {{"/noise", {{"experts", experts}}}};
}
// An engine whose launches differ in one way.
json execution(const char* key, const json& value) {
  return {{"/deployment/execution", {{key, value}}}};
}
json exchange_kernels(const char* key = nullptr, const json& value = {}) {
  json out = {{"dispatch_send_us", 5},
              {"dispatch_receive_us", 5},
              {"combine_send_us", 5},
              {"combine_receive_us", 5},
              {"tokens", 64}};
  if (key != nullptr) out[key] = value;
  return {{"/deployment/micro_batches", 2}, {"/deployment/execution", {{"exchange_kernels", out}}}};
}
json profile(std::int64_t tokens, std::int64_t sequences) {
  return {{"/admission", {{"profile", {{"tokens", tokens}, {"sequences", sequences}}}}}};
}
json drafting(std::int64_t tokens, double acceptance) {
  return {{"/deployment/drafting", {{"tokens", tokens}, {"acceptance", acceptance}}}};
}
json draft_model(std::int64_t layers, const char* attention, const char* ffn) {
  json out = drafting(2, 0.5);
  out["/deployment/drafting"]["draft_model"] = {
      {"layers", layers}, {"attention", attention}, {"ffn", ffn}};
  return out;
}
json lognormal(const char* key, const json& value) {
  json out = {{"kind", "lognormal"},
              {"median_tokens", 1000},
              {"sigma", 1},
              {"min_tokens", 10},
              {"max_tokens", 4000}};
  if (key != nullptr) out[key] = value;
  return out;
}
json uniform(const char* key, const json& value) {
  json out = {{"kind", "uniform"}, {"min_tokens", 100}, {"max_tokens", 4000}};
  if (key != nullptr) out[key] = value;
  return out;
}
json shares(int first) {
  std::vector<int> all(48, 1);
  all.front() = first;
  return {{"popularity", "shares"}, {"shares", all}};
}
// How popular experts are, where nothing tells.
json own_ranges(double low, double high) {
  return {{"/ranges",
           {{"inputs",
             {{{"name", "popularity of experts"},
               {"of", "expert_popularity"},
               {"low", low},
               {"high", high},
               {"source", "here"}}}}}}};
}
json trace(const char* key = nullptr, const json& value = {}) {
  json out = {{"/workload",
               {{"kind", "trace"},
                {"file", test::source_path("scenarios/traces/sample-azure-format.csv").string()}}},
              {"/measurement", {{"warmup_s", 1}, {"duration_s", 1}}}};
  if (key != nullptr) out["/workload"][key] = value;
  return out;
}

std::vector<Proof> proofs() {
  const std::string attention = "/deployment/pools/attention";
  const std::string ffn = "/deployment/pools/ffn";
  const std::string gpus = "/deployment/pools/gpus";
  // Attention over the GPUs of an instance.
  const json split = {{attention + "/attention_tensor_parallel", 8},
                      {"/workload/requests_per_gpu", 12}};
  std::vector<Proof> out = {
      {"/kind", {}, {{"/kind", "cost"}}, "expected a scenario of kind \"simulate\""},
      {"/model", {}, {{"/model", "llama-3.1-70b"}}, "", "one pool"},
      {"/seed", {{"/noise", {{"kernel_jitter", 0.2}}}}, {{"/seed", 2}}},
      {"/ranges", with(pool("kernel_model", "calibrated:h800", "gpus"), {{"/noise", nullptr}}),
       own_ranges(2, 3), "", "wide", 2},
      {"/ranges", {}, own_ranges(3, 2), "/ranges/inputs/0/low: is above"},
      {"/sla_tpot_ms", {}, {{"/sla_tpot_ms", 1}}},
      {"/sla_queueing_ms", kPoisson, {{"/sla_queueing_ms", 1e-6}}},
      {"/sla_time_in_system_ms", kPoisson, {{"/sla_time_in_system_ms", 1}}},
      {"/deployment/strategy",
       {{gpus + "/ffn_tensor_parallel", 1}, {gpus + "/ffn_expert_parallel", 8}},
       {{"/deployment/strategy", "wide_expert_parallel"}},
       "",
       "one pool"},
      {"/deployment/micro_batches", {}, {{"/deployment/micro_batches", 2}}},
      {"/deployment/replicas", {}, {{"/deployment/replicas", 2}}},
      {"/deployment/dispatch", {}, {{"/deployment/dispatch", "routed"}}},
      {"/deployment/collectives",
       with(pool("kernel_model", "calibrated:h800"),
            pool("kernel_model", "calibrated:h800", "ffn")),
       {{"/deployment/collectives", "kernel_model"}}},
      {"/deployment/gathering", {}, {{"/deployment/gathering", "per_message"}}},
      {"/deployment/exchange", {}, {{"/deployment/exchange", "gather_scatter"}}, "", "wide"},
      {"/deployment/exchange",
       {{"/deployment/exchange", "gather_scatter"}},
       {{"/deployment/exchange", "gather_sum"}},
       "",
       "wide"},
      {"/deployment/exchange",
       {},
       {{"/deployment/exchange", "gather_sum"}},
       "of no effect but in \"wide_expert_parallel\""},
      {"/deployment/execution/exchange_kernels/tokens",
       exchange_kernels(),
       {{"/deployment/exchange", "gather_scatter"}},
       "where \"exchange\" gathers",
       "wide"},
      {"/deployment/execution/exchanges_by_nics",
       execution("exchanges_by_nics", true),
       {{"/deployment/exchange", "gather_scatter"}},
       "where \"exchange\" gathers",
       "wide"},
      {"/network/copies",
       {{"/network/copies", "per_node"}},
       {{"/deployment/exchange", "gather_scatter"}},
       "where \"exchange\" gathers",
       "wide"},
      {"/deployment/scale_up_overlaps_compute",
       {},
       {{"/deployment/scale_up_overlaps_compute", false}}},
      {"/deployment/step_overhead_us", {}, {{"/deployment/step_overhead_us", 500}}},
      {"/deployment/execution/cold_caches",
       with(pool("kernel_model", "calibrated:h800", "gpus"), held("requests", 8)),
       execution("cold_caches", true), "", "one pool"},
      {"/deployment/execution/shared_experts_beside",
       pool("kernel_model", "calibrated:h800", "ffn"), execution("shared_experts_beside", true)},
      {"/deployment/execution/all_reduce_with_norm",
       {},
       execution("all_reduce_with_norm", true),
       "",
       "one pool"},
      {"/deployment/execution/norm_in_all_reduce_us",
       {{"/deployment/execution", {{"all_reduce_with_norm", true}}}},
       {{"/deployment/execution", {{"all_reduce_with_norm", true}, {"norm_in_all_reduce_us", 5}}}},
       "",
       "one pool"},
      {"/deployment/execution/norm_in_all_reduce_us",
       {},
       execution("norm_in_all_reduce_us", 5),
       "of no effect without \"all_reduce_with_norm\"",
       "one pool"},
      {"/deployment/execution/launch_overlap_us", {}, execution("launch_overlap_us", 0.5)},
      {"/deployment/execution/host_stagger_us", {}, execution("host_stagger_us", 500)},
      {"/deployment/execution/routing_us", {}, execution("routing_us", 20), "", "one pool"},
      {"/deployment/execution/qk_norm_with_sum",
       {{"/model", "minimax-m2"}},
       execution("qk_norm_with_sum", true),
       "",
       "one pool"},
      {"/deployment/execution/vocabulary_exchange",
       {},
       execution("vocabulary_exchange", true),
       "",
       "one pool"},
      {"/deployment/execution/captured_batches", held("requests", 7),
       execution("captured_batches", json::array({4, 8})), "", "one pool"},
      {"/deployment/execution/captured_batches", held("requests", 7),
       execution("captured_batches", json::array({8, 4})), "larger than the last", "one pool"},
      {"/deployment/execution/exchanges_by_nics",
       {},
       execution("exchanges_by_nics", true),
       "",
       "wide"},
      {"/deployment/execution/exchange_kernels/dispatch_send_us", exchange_kernels(),
       exchange_kernels("dispatch_send_us", 20), "", "wide"},
      {"/deployment/execution/exchange_kernels/dispatch_receive_us", exchange_kernels(),
       exchange_kernels("dispatch_receive_us", 20), "", "wide"},
      {"/deployment/execution/exchange_kernels/combine_send_us", exchange_kernels(),
       exchange_kernels("combine_send_us", 20), "", "wide"},
      {"/deployment/execution/exchange_kernels/combine_receive_us", exchange_kernels(),
       exchange_kernels("combine_receive_us", 20), "", "wide"},
      {"/deployment/execution/exchange_kernels/tokens", exchange_kernels(),
       exchange_kernels("tokens", 16), "", "wide"},
      {"/deployment/attention_precision/cache",
       {},
       {{"/deployment/attention_precision", {{"cache", "bf16"}}}}},
      {"/deployment/attention_precision/compute",
       pool("chip", "h20"),
       {{"/deployment/attention_precision", {{"compute", "bf16"}}}}},
      {"/deployment/drafting/tokens", drafting(1, 0.5), drafting(0, 0.5), "", "wide"},
      {"/deployment/drafting/acceptance", drafting(1, 0.5), drafting(1, 0.9), "", "wide"},
      {"/deployment/drafting/acceptance_by_position",
       drafting(1, 0.5),
       {{"/deployment/drafting/acceptance_by_position", json::array({0.9})}},
       "",
       "wide"},
      {"/deployment/drafting/draft_model/layers", draft_model(1, "mla", "moe"),
       draft_model(2, "mla", "moe"), "", "wide"},
      {"/deployment/drafting/draft_model/ffn", draft_model(1, "mla", "moe"),
       draft_model(1, "mla", "dense"), "", "wide"},
      {"/deployment/drafting/draft_model/attention", draft_model(1, "mla", "moe"),
       draft_model(1, "mlA", "moe"), "did you mean \"mla\"?", "wide"},
      {"/deployment/schedule", {}, {{"/deployment/schedule", "fifo"}}},
      {"/deployment/schedule", {}, {{"/deployment/schedule", "staged"}}, "", "wide"},
      {"/deployment/schedule", {}, {{"/deployment/schedule", "ping_pong"}}, "", "wide"},
      {"/deployment/schedule",
       {},
       {{"/deployment/schedule", "staged"}},
       "are orders of \"wide_expert_parallel\""},
      {"/network/model", fabric(nullptr, {}), {{"/network/model", "ports"}}},
      {"/network/path", in_one_domain(), {{"/network/path", "nics"}}},
      {"/network/path",
       {},
       in_one_domain(8),
       "lie in one domain, and pool \"attention\" has 8 GPUs"},
      {"/network/path", {}, {{"/network/path", "scale_up"}}, "of no effect", "wide"},
      {"/network/overhead_us",
       in_one_domain(),
       {{"/network/overhead_us", 5}},
       "of no effect where messages go over \"scale_up\""},
      {"/network/fabric/spines",
       in_one_domain(),
       {{"/network/fabric", fabric(nullptr, {})["/network/fabric"]}},
       "one switch joins a scale-up domain"},
      {"/scale_up/overhead_us",
       with(in_one_domain(),
            with(measured("attention"), pool("kernel_model", "calibrated:h800", "ffn"))),
       {{"/scale_up/overhead_us", 50}}},
      {"/network/copies", {}, {{"/network/copies", "per_node"}}, "", "wide"},
      {"/network/nodes_per_token",
       {{"/network/copies", "per_node"}},
       {{"/network/nodes_per_token", 4}},
       "",
       "wide"},
      {"/network/all_reduce/overhead_us", over_nodes(), over_nodes("overhead_us", 30), "",
       "one pool"},
      {"/network/all_reduce/bandwidth_GBps", over_nodes(), over_nodes("bandwidth_GBps", 1), "",
       "one pool"},
      {"/network/all_reduce/ramp", over_nodes(), over_nodes("ramp", std::vector<double>(24, 0.1)),
       "", "one pool"},
      {"/network/all_reduce/measured_us", over_nodes_measured(20), over_nodes_measured(30), "",
       "one pool"},
      {"/network/all_reduce/measured_us", over_nodes(),
       over_nodes("measured_us", json::array({20})), "expected either \"measured_us\"", "one pool"},
      {"/network/all_reduce/bandwidth_GBps",
       over_nodes(),
       {{"/network/all_reduce", {{{"overhead_us", 20}}}}},
       "expected either \"measured_us\"",
       "one pool"},
      {"/network/all_reduce/overhead_us",
       {},
       {{"/network/all_reduce", over_nodes()["/network/all_reduce"]}},
       "of no effect but in \"tensor_parallel\"",
       "wide"},
      {"/network/all_reduce/overhead_us", over_nodes(), pool("gpus_per_node", 8, "gpus"),
       "all GPUs are in one", "one pool"},
      {"/network/overhead_us",
       over_nodes(),
       {{"/network/overhead_us", 5}},
       "of no effect beside \"all_reduce\"",
       "one pool"},
      {"/network/model", {}, {{"/network/model", "max_min_fair"}}, "of no effect", "wide"},
      {"/network/copies", {}, {{"/network/copies", "per_node"}}, "of no effect but in"},
      {"/network/copies",
       {},
       with(execution("exchanges_by_nics", true), {{"/network/copies", "per_node"}}),
       "beside \"exchanges_by_nics\"",
       "wide"},
      {"/deployment/execution/exchanges_by_nics",
       {},
       execution("exchanges_by_nics", true),
       "of no effect but in"},
      {"/network/nodes_per_token", {}, {{"/network/nodes_per_token", 4}}, "\"per_node\"", "wide"},
      {"/network/fabric/spines", {}, fabric(nullptr, {}), "of no effect", "wide"},
      {"/deployment/dispatch", {}, {{"/deployment/dispatch", "routed"}}, "of no effect", "wide"},
      {"/deployment/gathering",
       {},
       {{"/deployment/gathering", "per_message"}},
       "of no effect",
       "wide"},
      {"/network/overhead_us", measured("gpus"), {{"/network/overhead_us", 5}}, kMeasured, "wide"},
      {"/network/efficiency", measured("gpus"), {{"/network/efficiency", 0.5}}, kMeasured, "wide"},
      {"/scale_up/overhead_us",
       measured("gpus"),
       {{"/scale_up/overhead_us", 5}},
       kMeasured,
       "one pool"},
      {"/scale_up/efficiency",
       measured("gpus"),
       {{"/scale_up/efficiency", 0.5}},
       kMeasured,
       "one pool"},
      {"/scale_up/in_switch_reduction",
       measured("gpus"),
       {{"/scale_up/in_switch_reduction", true}},
       kMeasured,
       "one pool"},
      {"/network/overhead_us", {}, {{"/network/overhead_us", 500}}},
      {"/network/efficiency", {}, {{"/network/efficiency", 0.1}}},
      {"/network/efficiency", {}, {{"/network/source", nullptr}}, "expected \"source\": where"},
      {"/scale_up/overhead_us", {}, {{"/scale_up/source", nullptr}}, "expected \"source\": where"},
      {"/network/source", {}, {{"/network/source", "another"}}},
      {"/network/fabric/nodes_per_leaf", fabric(nullptr, {}), fabric("nodes_per_leaf", 4)},
      {"/network/fabric/spines", fabric(nullptr, {}), fabric("spines", 1)},
      {"/network/fabric/oversubscription", fabric(nullptr, {}), fabric("oversubscription", 64)},
      {"/network/fabric/hop_latency_us", fabric(nullptr, {}), fabric("hop_latency_us", 200)},
      {"/scale_up/overhead_us", {}, {{"/scale_up/overhead_us", 500}}},
      {"/scale_up/efficiency", {}, {{"/scale_up/efficiency", 0.1}}},
      {"/scale_up/source", {}, {{"/scale_up/source", "another"}}},
      {"/scale_up/in_switch_reduction", {}, {{"/scale_up/in_switch_reduction", true}}},
      {"/workload/requests", held("requests", 1536), held("requests", 3072)},
      {"/workload/requests_per_group", held("requests_per_group", 96),
       held("requests_per_group", 192)},
      {"/workload/longest_context_tokens",
       with(pool("chip", "b200", "gpus"), pool("kernel_model", "calibrated:b200", "gpus")),
       {{"/workload/longest_context_tokens", 20000}},
       "",
       "wide"},
      {"/workload/longest_context_tokens",
       {},
       {{"/workload/longest_context_tokens", 10}},
       "expected at least the"},
      {"/workload/kind", kPoisson, trace()},
      {"/workload/requests_per_gpu", {}, {{"/workload/requests_per_gpu", 192}}},
      {"/workload/steady", kOutputs, {{"/workload/steady", true}}, "unknown key \"output\""},
      {"/workload/context/kind", kOutputs, lengths("context", kFixed)},
      {"/workload/context/tokens", lengths("context", kFixed),
       lengths("context", {{"kind", "fixed"}, {"tokens", 8192}})},
      {"/workload/context/min_tokens", lengths("context", uniform(nullptr, {})),
       lengths("context", uniform("min_tokens", 3000))},
      {"/workload/context/max_tokens", lengths("context", uniform(nullptr, {})),
       lengths("context", uniform("max_tokens", 9000))},
      {"/workload/context/median_tokens", lengths("context", lognormal(nullptr, {})),
       lengths("context", lognormal("median_tokens", 2000))},
      {"/workload/context/sigma", lengths("context", lognormal(nullptr, {})),
       lengths("context", lognormal("sigma", 0.1))},
      {"/workload/output/kind", kOutputs, lengths("output", kShort)},
      {"/workload/output/tokens", lengths("output", kShort),
       lengths("output", {{"kind", "fixed"}, {"tokens", 200}})},
      {"/workload/output/min_tokens", lengths("output", uniform(nullptr, {})),
       lengths("output", uniform("min_tokens", 3000))},
      {"/workload/output/max_tokens", lengths("output", uniform(nullptr, {})),
       lengths("output", uniform("max_tokens", 9000))},
      {"/workload/output/median_tokens", lengths("output", lognormal(nullptr, {})),
       lengths("output", lognormal("median_tokens", 2000))},
      {"/workload/output/sigma", lengths("output", lognormal(nullptr, {})),
       lengths("output", lognormal("sigma", 0.1))},
      {"/workload/requests_per_s", kPoisson, {{"/workload/requests_per_s", 800}}},
      {"/workload/file", trace(), trace("file", "nowhere.csv"), "/workload/file: "},
      {"/workload/rate_scale", trace(), trace("rate_scale", 4)},
      {"/workload/max_requests", trace(), trace("max_requests", 5)},
      {"/workload/timestamp_unit", trace(), trace("timestamp_unit", "ms"),
       "its timestamps are dates"},
      {"/admission/routing", kOutputs, {{"/admission", {{"routing", "round_robin"}}}}},
      {"/admission/policy", kOutputs, {{"/admission", {{"policy", "current_length"}}}}},
      {"/admission/max_requests_per_gpu",
       kPoisson,
       {{"/admission", {{"max_requests_per_gpu", 1}}}}},
      {"/admission/page_tokens", kOutputs, {{"/admission", {{"page_tokens", 4096}}}}},
      {"/admission/memory_utilization", {}, {{"/admission", {{"memory_utilization", 0.7}}}}},
      {"/admission/profile/tokens", profile(8192, 1024), profile(16384, 1024)},
      {"/admission/profile/sequences", profile(8192, 1024), profile(8192, 256)},
      {"/admission/profile/sequences",
       with(pool("memory_reserve_GB", 12), pool("memory_reserve_GB", 12, "ffn")),
       profile(8192, 256), "of no effect beside \"memory_reserve_GB\""},
      {"/noise/kernel_jitter", {}, {{"/noise", {{"kernel_jitter", 0.2}}}}},
      {"/noise/network_jitter", {}, {{"/noise", {{"network_jitter", 0.5}}}}},
      {"/noise/slow_gpus/pool", slow_gpu(nullptr, {}), slow_gpu("pool", "ffn")},
      {"/noise/slow_gpus/instance", slow_gpu(nullptr, {}), slow_gpu("instance", 2),
       "/noise/slow_gpus/0/instance"},
      {"/noise/slow_gpus/gpu", slow_gpu(nullptr, {}), slow_gpu("gpu", 8), "/noise/slow_gpus/0/gpu"},
      {"/noise/slow_gpus/factor", slow_gpu(nullptr, {}), slow_gpu("factor", 3)},
      {"/noise/slow_links/pool", slow_link(nullptr, {}), slow_link("pool", "gpus"),
       "/noise/slow_links/0/pool"},
      {"/noise/slow_links/instance", slow_link(nullptr, {}), slow_link("instance", 2),
       "/noise/slow_links/0/instance"},
      {"/noise/slow_links/factor", slow_link(nullptr, {}), slow_link("factor", 64)},
      {"/noise/experts/popularity", popularity({{"popularity", "power_law"}, {"exponent", 1}}),
       popularity({{"popularity", "uniform"}})},
      {"/noise/experts/exponent", popularity({{"popularity", "power_law"}, {"exponent", 1}}),
       popularity({{"popularity", "power_law"}, {"exponent", 2}})},
      {"/noise/experts/balancer_error", popularity({{"popularity", "power_law"}, {"exponent", 1}}),
       popularity({{"popularity", "power_law"}, {"exponent", 1}, {"balancer_error", 0}})},
      {"/noise/experts/shares", popularity(shares(1)), popularity(shares(200))},
      {"/noise/expert_rows", {}, {{"/noise", {{"expert_rows", "expected"}}}}, "", "wide"},
      {"/measurement/warmup_steps",
       {{"/noise", {{"kernel_jitter", 0.2}}}},
       {{"/measurement/warmup_steps", 3}}},
      {"/measurement/steps", {}, {{"/measurement/steps", 5}}},
      {"/measurement/warmup_s", kPoisson, {{"/measurement/warmup_s", 0.3}}},
      {"/measurement/duration_s", kPoisson, {{"/measurement/duration_s", 0.7}}},
      // Pools.
      {attention + "/instances", {}, pool("instances", 3)},
      {attention + "/gpus_per_instance", {}, pool("gpus_per_instance", 4)},
      {attention + "/chip", {}, pool("chip", "h20")},
      {attention + "/kernel_model", {}, pool("kernel_model", "calibrated:h800")},
      {attention + "/other_kernels", pool("kernel_model", "calibrated:h800", "attention"),
       pool("other_kernels", {"decode_attention"}, "attention"), "", "afd", 3},
      {attention + "/prefer_kernels",
       {},
       pool("prefer_kernels", {"x"}),
       "\"theoretical\" knows of none"},
      {attention + "/communication_units", pool("chip", "h20"), pool("communication_units", 24)},
      {attention + "/communication_units", pool("chip", "h20"), pool("communication_units", 78),
       "expected fewer than the 78 compute units of h20, got 78"},
      {ffn + "/communication_units", pool("chip", "h20", "ffn"),
       pool("communication_units", 24, "ffn")},
      {gpus + "/communication_units", pool("kernel_model", "calibrated:h800", "gpus"),
       pool("communication_units", 24, "gpus"), "", "one pool"},
      {attention + "/gpus_per_node", split, pool("gpus_per_node", 4)},
      {attention + "/nic_bandwidth_GBps", {}, pool("nic_bandwidth_GBps", 1)},
      {attention + "/scale_up_bandwidth_GBps", split, pool("scale_up_bandwidth_GBps", 1)},
      {attention + "/price_USD_per_hour", {}, pool("price_USD_per_hour", 9)},
      {attention + "/memory_reserve_GB", {}, pool("memory_reserve_GB", 12)},
      {attention + "/attention_tensor_parallel", {}, pool("attention_tensor_parallel", 2)},
      {attention + "/decode_context_parallel", split, pool("decode_context_parallel", 8)},
      {attention + "/decode_context_parallel", split, pool("decode_context_parallel", 3),
       "must divide the 8 GPUs that hold the same cache"},
      {attention + "/output_parallel", {}, pool("output_parallel", 8)},
      {ffn + "/instances",
       {},
       with(pool("instances", 4, "ffn"), pool("ffn_expert_parallel", 4, "ffn"))},
      {ffn + "/gpus_per_instance", {}, pool("gpus_per_instance", 4, "ffn"), "/deployment"},
      {ffn + "/chip", {}, pool("chip", "h20", "ffn")},
      {ffn + "/kernel_model", {}, pool("kernel_model", "calibrated:h800", "ffn")},
      {ffn + "/other_kernels",
       with(pool("chip", "h100", "ffn"), pool("kernel_model", "calibrated:h100", "ffn")),
       pool("other_kernels", {"moe_layer"}, "ffn"), "", "afd", 3},
      {ffn + "/prefer_kernels",
       {},
       pool("prefer_kernels", {"x"}, "ffn"),
       "\"theoretical\" knows of none"},
      {ffn + "/other_kernels",
       {},
       pool("other_kernels", {"moe_layer"}, "ffn"),
       "\"theoretical\" knows of none that was"},
      {ffn + "/other_kernels", pool("kernel_model", "calibrated:h800", "ffn"),
       pool("other_kernels", {"gemm"}, "ffn"), "nobody measured how far other kernels are"},
      {ffn + "/gpus_per_node", {}, pool("gpus_per_node", 4, "ffn")},
      {ffn + "/nic_bandwidth_GBps", {}, pool("nic_bandwidth_GBps", 1, "ffn")},
      {ffn + "/scale_up_bandwidth_GBps", {}, pool("scale_up_bandwidth_GBps", 1, "ffn")},
      {ffn + "/price_USD_per_hour", {}, pool("price_USD_per_hour", 9, "ffn")},
      {ffn + "/memory_reserve_GB", {}, pool("memory_reserve_GB", 12, "ffn")},
      {ffn + "/ffn_tensor_parallel",
       {},
       with(pool("ffn_tensor_parallel", 4, "ffn"), pool("ffn_expert_parallel", 4, "ffn"))},
      {ffn + "/ffn_expert_parallel", {}, pool("ffn_expert_parallel", 3, "ffn"), "/deployment"},
      {ffn + "/redundant_experts", popularity({{"popularity", "power_law"}, {"exponent", 1}}),
       pool("redundant_experts", 48, "ffn")},
      {gpus + "/instances", {}, pool("instances", 2, "gpus"), "/deployment", "one pool"},
      {gpus + "/gpus_per_instance",
       {},
       pool("gpus_per_instance", 4, "gpus"),
       "/deployment",
       "one pool"},
      {gpus + "/chip", {}, pool("chip", "h800", "gpus"), "", "one pool"},
      {gpus + "/kernel_model", {}, pool("kernel_model", "calibrated:h800", "gpus"), "", "one pool"},
      {gpus + "/other_kernels", pool("kernel_model", "calibrated:h800", "gpus"),
       pool("other_kernels", {"decode_attention"}, "gpus"), "", "one pool", 3},
      {gpus + "/prefer_kernels",
       {},
       pool("prefer_kernels", {"x"}, "gpus"),
       "\"theoretical\" knows of none",
       "one pool"},
      {attention + "/assumed_kernels/efficiency",
       {},
       pool("assumed_kernels", {{"efficiency", 0.5}, {"launch_us", 0}}, "attention")},
      {attention + "/assumed_kernels/launch_us",
       {},
       pool("assumed_kernels", {{"efficiency", 1}, {"launch_us", 3}}, "attention")},
      {ffn + "/assumed_kernels/efficiency",
       {},
       pool("assumed_kernels", {{"efficiency", 0.5}, {"launch_us", 0}}, "ffn")},
      {ffn + "/assumed_kernels/launch_us",
       {},
       pool("assumed_kernels", {{"efficiency", 1}, {"launch_us", 3}}, "ffn")},
      {gpus + "/assumed_kernels/efficiency",
       {},
       pool("assumed_kernels", {{"efficiency", 0.5}, {"launch_us", 0}}, "gpus"),
       "",
       "one pool"},
      {gpus + "/assumed_kernels/launch_us",
       {},
       pool("assumed_kernels", {{"efficiency", 1}, {"launch_us", 3}}, "gpus"),
       "",
       "one pool"},
      {gpus + "/gpus_per_node",
       {},
       pool("gpus_per_node", 3, "gpus"),
       "8 GPUs are not whole nodes of 3",
       "one pool"},
      {gpus + "/nic_bandwidth_GBps",
       {{"/deployment/strategy", "wide_expert_parallel"},
        {"/deployment/pools/gpus/ffn_tensor_parallel", 1},
        {"/deployment/pools/gpus/ffn_expert_parallel", 8},
        {"/deployment/pools/gpus/attention_tensor_parallel", 1},
        {"/deployment/pools/gpus/gpus_per_node", 1}},
       pool("nic_bandwidth_GBps", 1, "gpus"),
       "",
       "one pool"},
      {gpus + "/scale_up_bandwidth_GBps",
       {},
       pool("scale_up_bandwidth_GBps", 1, "gpus"),
       "",
       "one pool"},
      // Of the chip that the calibration was made on, too.
      {gpus + "/nic_bandwidth_GBps", measured("gpus"), pool("nic_bandwidth_GBps", 12.5, "gpus"), "",
       "wide"},
      {gpus + "/scale_up_bandwidth_GBps", with(measured("gpus"), pool("chip", "h800", "gpus")),
       pool("scale_up_bandwidth_GBps", 10, "gpus"), "", "one pool"},
      {gpus + "/price_USD_per_hour", {}, pool("price_USD_per_hour", 9, "gpus"), "", "one pool"},
      {gpus + "/memory_reserve_GB", {}, pool("memory_reserve_GB", 12, "gpus"), "", "one pool"},
      {gpus + "/attention_tensor_parallel",
       {},
       pool("attention_tensor_parallel", 4, "gpus"),
       "splits attention over all 8 GPUs",
       "one pool"},
      {gpus + "/decode_context_parallel",
       {},
       pool("decode_context_parallel", 2, "gpus"),
       "",
       "one pool"},
      {gpus + "/output_parallel", {}, pool("output_parallel", 8, "gpus"), "", "one pool"},
      {gpus + "/ffn_tensor_parallel",
       {},
       with(pool("ffn_tensor_parallel", 4, "gpus"), pool("ffn_expert_parallel", 2, "gpus")),
       "",
       "one pool"},
      {gpus + "/ffn_expert_parallel",
       {},
       pool("ffn_expert_parallel", 3, "gpus"),
       "/deployment",
       "one pool"},
      {gpus + "/redundant_experts", {}, pool("redundant_experts", 8, "gpus"), "", "one pool"},
  };
  return out;
}

// Two requests whose lines stand in the wrong order are refused, or sorted.
Proof sorting(const std::string& path) {
  return {"/workload/sort_by_arrival", trace("file", path), {{"/workload/sort_by_arrival", true}}};
}

TEST(EveryKeyActs, OrIsRefusedWithAReason) {
  const test::TemporaryFile unsorted(
      "unsorted.jsonl",
      "{\"timestamp\": 1500, \"input_length\": 1000, \"output_length\": 50}\n"
      "{\"timestamp\": 0, \"input_length\": 20, \"output_length\": 8}\n");
  std::vector<Proof> all = proofs();
  all.push_back(sorting(unsorted.path()));
  std::set<std::string> proved = {"/title"};  // says itself in the answer
  for (const Proof& proof : all) {
    const json before = changed(scenario_named(proof.scenario), proof.base);
    const json after = changed(before, proof.moved);
    const std::string told = answer_to(after, proof.draws);
    if (proof.refusal.empty()) {
      EXPECT_EQ(told.front(), '{') << proof.key << "\n" << told;
      EXPECT_NE(answer_to(before, proof.draws), told) << proof.key << " changes nothing";
    } else {
      EXPECT_THAT(told, HasSubstr(proof.refusal)) << proof.key;
    }
    proved.insert(proof.key);
  }
  std::set<std::string> keys;
  collect(keys_of(static_cast<const scenario::Scenario*>(nullptr)), "", keys);
  for (const std::string& key : keys) {
    EXPECT_TRUE(proved.count(key) != 0) << key << " needs a case above in which it acts";
  }
  for (const std::string& key : proved) {
    EXPECT_TRUE(keys.count(key) != 0) << key << " is no key";
  }
}

// Another value of the same type, which the key takes.
json another(const json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_number_integer()) return value.get<std::int64_t>() + 1;
  if (value.is_number()) return value.get<double>() * 1.25;
  return value.get<std::string>() + " x";
}

// A chip's figures go into models of many kinds; its card shows them all.
TEST(EveryKeyActs, OfAChipOnItsCard) {
  const auto card = [](const json& document) {
    Diagnostics diagnostics;
    const JsonContext context{.file = "chip.json", .diagnostics = &diagnostics};
    hw::ChipSpec chip;
    hw::read_chip(JsonNode(document, context), chip);
    EXPECT_TRUE(diagnostics.ok()) << diagnostics.errors().front();
    return chip_card(chip, view::OutputFormat::json) + chip_card(chip, view::OutputFormat::table);
  };
  json chip = json::parse(test::source_text("hwmodels/data/chips/h800.json"));
  chip.erase("$schema");
  chip.erase("comment");
  const std::string before = card(chip);
  const json leaves = chip.flatten();
  int moved = 0;
  for (const auto& leaf : leaves.items()) {
    if (leaf.value() == "none" || leaf.value() == "unknown") continue;
    json after = chip;
    after[json::json_pointer(leaf.key())] = another(leaf.value());
    EXPECT_NE(card(after), before) << leaf.key() << " is not shown";
    ++moved;
  }
  EXPECT_GT(moved, 25);
}

}  // namespace
}  // namespace ridge::answer
