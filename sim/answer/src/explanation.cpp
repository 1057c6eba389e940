#include "ridge/answer/explanation.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/format.hpp"
#include "ridge/decode/strategy.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/text_table.hpp"
#include "task_words.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

namespace ridge::answer {
namespace {

using decode::Stage;
double on_path(const decode::SimulationResult& result, std::size_t stage) {
  return result.critical_service[stage] + result.critical_queue[stage];
}

// "moe", "moe: shared experts", "LM head", "send to ffn".
std::string words_of(const decode::Deployment& d, const decode::Work& work) {
  if (const auto* attention = std::get_if<decode::AttentionWork>(&work)) {
    return d.model.attentions[attention->block].name + piece_words(work);
  }
  if (const auto* ffn = std::get_if<decode::FfnWork>(&work)) {
    return d.model.ffns[ffn->block].name + piece_words(work);
  }
  if (const auto* message = std::get_if<decode::Message>(&work)) {
    return fmt::format("send to {}", d.pools[message->to.pool].name);
  }
  return std::string(name_of(task_kind(work)));
}

// The parts of a step at the mean batch of a run.
std::vector<StagePart> parts_of(const decode::SimulationInput& input,
                                const decode::SimulationResult& result) {
  const decode::Deployment& d = input.deployment;
  const decode::StepGraph graph = decode::compile(d, decode::drawn_layers(d, input.noise.experts));
  decode::StageTimer timer(d, graph, input.noise.experts, input.noise.slow_gpus, input.seed);
  const std::int64_t requests = std::max<std::int64_t>(
      1, std::llround(result.mean_requests /
                      static_cast<double>(d.replicas * d.groups() * d.micro_batches)));
  const double context = context_of_steps(input, result);
  const double told = static_cast<double>(input.workload.longest_context);
  const double longest = std::max(context, result.mean_longest > 0.0 ? result.mean_longest : told);
  const std::vector<decode::GroupBatch> batch(
      static_cast<std::size_t>(d.groups()),
      {.requests = requests,
       .cached_tokens = std::llround(static_cast<double>(requests) * context),
       .longest = std::llround(longest)});
  decode::StepTimes times;
  const auto launches = timer.launches(batch, times);

  // Of each layer's tasks of a kind, the one that takes longest.
  using Kind = std::tuple<Stage, std::uint32_t, std::string>;
  std::map<std::pair<Kind, std::uint32_t>, decode::WorkId> slowest;
  std::vector<Kind> kinds;  // in the order of a layer
  for (const decode::Task& task : graph.tasks()) {
    const decode::Work& work = graph.works()[task.work];
    const Kind kind(stage_of(work), place_of(work).pool, words_of(d, work));
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
    const auto [place, added] = slowest.try_emplace({kind, task.layer}, task.work);
    if (!added && times.slowest[task.work] > times.slowest[place->second]) {
      place->second = task.work;
    }
  }
  std::vector<StagePart> parts;
  for (const Kind& kind : kinds) {
    StagePart part{.stage = std::get<0>(kind), .pool = std::get<1>(kind), .of = std::get<2>(kind)};
    const hw::KernelModel& kernels = *d.pools[part.pool].kernels;
    for (const auto& [of, work] : slowest) {
      if (of.first != kind) continue;
      ++part.layers;
      part.time += times.slowest[work].seconds();
      for (const auto& [op, timing] : launches[work].kernels) {
        if (timing.time.value() == 0.0) continue;  // nothing is launched
        auto found = std::find_if(part.kernels.begin(), part.kernels.end(),
                                  [&](const LaunchedKernel& k) { return k.name == op.name; });
        if (found == part.kernels.end()) {
          part.kernels.push_back({.name = std::string(op.name),
                                  .kernel = std::string(kernels.kernel(op)),
                                  .time = {},
                                  .bound = timing.bound,
                                  .held_out_error = kernels.held_out_error(op)});
          found = part.kernels.end() - 1;
        }
        found->time += timing.time;
        found->error = std::max(found->error, timing.error);
        found->octaves_outside = std::max(found->octaves_outside, timing.octaves_outside);
      }
    }
    const auto layers = static_cast<double>(part.layers);
    part.time /= layers;
    for (LaunchedKernel& kernel : part.kernels) kernel.time /= layers;
    if (part.time.value() > 0.0) parts.push_back(std::move(part));
  }
  return parts;
}

// A thing that may be faster: what `times` does to a deployment.
struct Lever {
  std::string what;
  bool one_operator = false;
  std::function<void(double times, decode::Deployment&)> pull;
};

// The kernels of a pool (of all, where there is none) on a chip with more of something.
void on_faster(decode::Deployment& d, std::optional<std::size_t> pool, const hw::Faster& what) {
  for (std::size_t p = 0; p < d.pools.size(); ++p) {
    if (pool && *pool != p) continue;
    if (auto kernels = d.pools[p].kernels->on_faster(what)) d.pools[p].kernels = std::move(kernels);
  }
}

std::vector<Lever> levers_of(const decode::Deployment& d, const std::vector<StagePart>& parts) {
  std::vector<Lever> out;
  for (std::size_t p = 0; p < d.pools.size(); ++p) {
    const auto chip = [&](const char* what, double hw::Faster::*part) {
      const std::string of = d.pools.size() > 1 ? fmt::format(" of {}", d.pools[p].name) : "";
      out.push_back({what + of, false, [=](double times, decode::Deployment& to) {
                       hw::Faster faster;
                       faster.*part = times;
                       on_faster(to, p, faster);
                     }});
    };
    chip("memory bandwidth", &hw::Faster::memory);
    chip("matrix rate", &hw::Faster::matrix);
    chip("kernel launches", &hw::Faster::launch);
  }
  if (d.message_path == decode::MessagePath::nics) {
    out.push_back({"NICs", false, [](double times, decode::Deployment& to) {
                     on_faster(to, {}, {.network = times});
                     for (decode::Pool& pool : to.pools) pool.nic_bandwidth *= times;
                   }});
  }
  out.push_back({"in-node links", false, [](double times, decode::Deployment& to) {
                   on_faster(to, {}, {.scale_up = times});
                   for (decode::Pool& pool : to.pools) pool.scale_up_bandwidth *= times;
                 }});
  if (d.network.transport.overhead.value() > 0.0 || d.scale_up.transport.overhead.value() > 0.0) {
    out.push_back({"overhead of messages", false, [](double times, decode::Deployment& to) {
                     to.network.transport.overhead /= times;
                     to.scale_up.transport.overhead /= times;
                   }});
  }
  if (d.waiting_for_hosts().value() > 0.0) {
    out.push_back({"overhead of steps", false, [](double times, decode::Deployment& to) {
                     to.step_overhead /= times;
                     if (auto& stagger = to.execution.host_stagger) *stagger /= times;
                   }});
  }
  std::vector<std::pair<std::size_t, std::string>> told;
  for (const StagePart& part : parts) {
    for (const LaunchedKernel& kernel : part.kernels) {
      const std::pair of(part.pool, kernel.name);
      if (std::find(told.begin(), told.end(), of) != told.end()) continue;
      told.push_back(of);
      out.push_back({kernel.name, true, [of](double times, decode::Deployment& to) {
                       auto& kernels = to.pools[of.first].kernels;
                       kernels = hw::scaled_model(
                           kernels, [name = of.second, times](const models::Operator& op) {
                             return op.name == name ? 1.0 / times : 1.0;
                           });
                     }});
    }
  }
  return out;
}

class WhatIfs {
 public:
  WhatIfs(const decode::SimulationInput& input, const Explanation& base, const RunOptions& options)
      : input_(input), base_(base), options_(options) {
    input_.max_trace_records = 0;
    input_.record_requests = false;
  }

  std::vector<WhatIf> run() {
    const auto levers = levers_of(input_.deployment, base_.parts);
    std::vector<WhatIf> out;
    for (const Lever& lever : levers) {
      if (options_.progress) {
        options_.progress(static_cast<double>(out.size()) / static_cast<double>(levers.size()));
      }
      WhatIf& what_if = out.emplace_back();
      what_if.what = lever.what;
      what_if.one_operator = lever.one_operator;
      what_if.tpot = with(lever, kFaster).mean_tpot;
      what_if.change = what_if.tpot / base_.report.result.mean_tpot - 1.0;
      const bool closed = input_.workload.kind == decode::Workload::Kind::closed_loop;
      if (closed && !lever.one_operator && what_if.change != 0.0) look_for_move(lever, what_if);
    }
    std::stable_sort(out.begin(), out.end(),
                     [](const WhatIf& a, const WhatIf& b) { return a.change < b.change; });
    return out;
  }

 private:
  [[nodiscard]] decode::SimulationResult with(const Lever& lever, double times) const {
    decode::SimulationInput input = input_;
    lever.pull(times, input.deployment);
    auto result = decode::Simulation(std::move(input)).run(options_.stop);
    if (result.partial) throw UserError("stopped before everything was tried: there is no answer");
    return result;
  }

  // To a percent, the least at which the bottleneck is elsewhere.
  void look_for_move(const Lever& lever, WhatIf& what_if) const {
    const auto moved = [&](double times) {
      const Stage to = bottleneck_of(with(lever, times));
      if (to != base_.bottleneck) what_if.moves_to = to;
      return to != base_.bottleneck;
    };
    if (!moved(kMostTimesFaster)) return;
    double too_little = 1.0;
    double enough = kMostTimesFaster;
    while (enough / too_little > 1.01) {
      const double middle = std::sqrt(too_little * enough);
      (moved(middle) ? enough : too_little) = middle;
    }
    what_if.moves_at = enough;
  }

  decode::SimulationInput input_;
  const Explanation& base_;
  const RunOptions& options_;
};

std::string us(Seconds time) {
  return significant(time.value() * 1e6, 3);
}
std::string ms(Seconds time, int digits = 4) {
  return significant(time.value() * 1e3, digits);
}
// "attention: 61 x mfa", "61 x all-gather".
std::string words_of(const StagePart& part) {
  if (part.stage == Stage::head) return part.of;
  const bool kernels = part.stage == Stage::attention || part.stage == Stage::ffn;
  return fmt::format("{}{} x {}", kernels ? fmt::format("{}: ", name_of(part.stage)) : "",
                     part.layers, part.of);
}

std::string parts_table(const Explanation& e) {
  view::TextTable table;
  table.column("stage, operator", view::Align::left);
  table.column("us a\nlayer");
  table.column("ms a\nstep");
  table.column("bound", view::Align::left);
  table.column("error\n%");
  table.column("held\nout %");
  table.column("outside\n2^");
  table.column("kernel", view::Align::left);
  const auto percent = [](double share) { return significant(100.0 * share, 2); };
  for (const StagePart& part : e.parts) {
    const auto layers = static_cast<double>(part.layers);
    table.row({words_of(part), us(part.time), ms(layers * part.time, 3), "", "", "", "", ""});
    Seconds rest = part.time;
    for (const LaunchedKernel& kernel : part.kernels) {
      rest -= kernel.time;
      table.row({"  " + kernel.name, us(kernel.time), ms(layers * kernel.time, 3),
                 std::string(name_of(kernel.bound)),
                 kernel.error > 0.0 ? percent(kernel.error) : "-",
                 kernel.held_out_error ? percent(*kernel.held_out_error) : "-",
                 kernel.octaves_outside > 0.0 ? significant(kernel.octaves_outside, 2) : "-",
                 kernel.kernel.empty() ? "-" : kernel.kernel});
    }
    constexpr double kWorthTelling = 0.005;
    if (!part.kernels.empty() && rest > kWorthTelling * part.time) {
      table.row({"  between its GPUs", us(rest), ms(layers * rest, 3), "", "", "", "", ""});
    }
  }
  return table.text();
}

std::string what_ifs_table(const Explanation& e) {
  view::TextTable table;
  table.column(fmt::format("{:.0f} % faster", 100.0 * (kFaster - 1.0)), view::Align::left);
  table.column("TPOT\nms");
  table.column("change\n%");
  table.column("moves the\nbottleneck", view::Align::left);
  std::size_t others = 0;
  const bool closed = !e.report.result.load;
  for (const WhatIf& w : e.what_ifs) {
    constexpr double kWorthTelling = 0.0005;
    if (w.one_operator && std::abs(w.change) < kWorthTelling) {
      ++others;
      continue;
    }
    const std::string moves = w.moves_at
                                  ? fmt::format("to {} from {} times on", name_of(w.moves_to),
                                                significant(*w.moves_at, 3))
                              : w.one_operator || !closed || std::abs(w.change) < kWorthTelling
                                  ? std::string("-")
                                  : fmt::format("not up to {:.0f} times", kMostTimesFaster);
    table.row({w.what, ms(w.tpot), fmt::format("{:+.2f}", 100.0 * w.change), moves});
  }
  std::string out = table.text();
  if (others > 0) out += fmt::format("{} operators more change less than 0.05 %.\n", others);
  return out;
}

std::string table(const Explanation& e) {
  const SimulationReport& r = e.report;
  std::string out = r.title + "\n" + provenance_words(r);
  out += fmt::format(
      "  TPOT           {} ms\n"
      "  bottleneck     {}: {:.0f} % of the critical path is it, or waits for it\n\n",
      ms(r.result.mean_tpot), name_of(e.bottleneck), 100.0 * e.bottleneck_share);
  out += "What a step of one micro-batch launches, where each stage takes longest:\n\n";
  out += parts_table(e);
  out += "\nThe same simulation, with one thing faster at a time:\n\n";
  out += what_ifs_table(e);
  return out;
}

// A part with the report that names its pool.
struct PartOf {
  const StagePart& part;
  const SimulationReport& report;
};

}  // namespace

static const view::AnswerKeys<LaunchedKernel>& answer_keys(const LaunchedKernel* /*of*/) {
  using K = LaunchedKernel;
  static const view::AnswerKeys<K> keys(
      {{"name", "", &K::name},
       {"kernel", "That it was measured as.", [](const K& k) { return view::told(k.kernel); }},
       {"us", "Mean over the layers.", [](const K& k) { return k.time.value() * 1e6; }},
       {"bound", "What it waits for.", [](const K& k) { return name_of(k.bound); }},
       {"error", "Relative standard error, of the worst layer; 0 of theory.", &K::error},
       {"held_out_error", "Of the kernel: the median of shapes that its fit had not seen.",
        &K::held_out_error},
       {"doublings_outside", "Of the shapes that its fit had seen, of the worst layer.",
        &K::octaves_outside}});
  return keys;
}

namespace {

const view::AnswerKeys<PartOf>& answer_keys(const PartOf* /*of*/) {
  using P = PartOf;
  static const view::AnswerKeys<P> keys(
      {{"stage", "", [](const P& p) { return name_of(p.part.stage); }},
       {"pool", "Where it runs; of a message, which it leaves.",
        [](const P& p) { return p.report.memory.pools[p.part.pool].pool; }},
       {"of", "The block of the model, or what moves.", [](const P& p) { return p.part.of; }},
       {"layers", "", [](const P& p) { return p.part.layers; }},
       {"us", "Mean over the layers, where it takes longest.",
        [](const P& p) { return p.part.time.value() * 1e6; }},
       {"operators", "", [](const P& p) { return p.part.kernels; }}});
  return keys;
}

}  // namespace

static const view::AnswerKeys<WhatIf>& answer_keys(const WhatIf* /*of*/) {
  using W = WhatIf;
  static const view::AnswerKeys<W> keys(
      {{"what", "", &W::what},
       {"is_operator", "", &W::one_operator},
       {"tpot_ms", "", [](const W& w) { return w.tpot.value() * 1e3; }},
       {"change", "Of the mean TPOT: below 0 where it is less.", &W::change},
       {"moves_bottleneck_at",
        "How many times as fast, to a percent; null where it was not found, and not looked for of "
        "operators and arrivals.",
        &W::moves_at},
       {"moves_bottleneck_to", "The stage.", [](const W& w) {
          return w.moves_at ? std::optional(name_of(w.moves_to)) : std::nullopt;
        }}});
  return keys;
}

static const view::AnswerKeys<Explanation>& answer_keys(const Explanation* /*of*/) {
  using E = Explanation;
  static const view::AnswerKeys<E> keys(
      {{"scenario", "Its name.", [](const E& e) { return e.report.name; }},
       {"title", "", [](const E& e) { return e.report.title; }},
       {"provenance", view::kProvenanceWords, [](const E& e) { return e.report.provenance; }},
       {"link_provenance", view::kLinkWords, [](const E& e) { return e.report.link_provenance; }},
       {"tpot_ms", "Mean.", [](const E& e) { return e.report.result.mean_tpot.value() * 1e3; }},
       {"bottleneck", "The stage that most of the critical path goes to.",
        [](const E& e) { return name_of(e.bottleneck); }},
       {"bottleneck_share", "Of the critical path.", &E::bottleneck_share},
       {"faster", "How many times as fast each thing is that is tried.",
        [](const E&) { return kFaster; }},
       {"parts", "Of a step of one micro-batch.",
        [](const E& e) {
          std::vector<PartOf> out;
          for (const StagePart& part : e.parts) out.push_back({part, e.report});
          return out;
        }},
       {"what_ifs", "What helps most first.", &E::what_ifs},
       {"warnings", "", [](const E& e) { return e.report.warnings; }}});
  return keys;
}

const view::AnswerDescription& explain_answer() {
  return answer_keys(static_cast<const Explanation*>(nullptr));
}

Stage bottleneck_of(const decode::SimulationResult& result) {
  std::size_t most = 0;
  for (std::size_t stage = 1; stage < decode::kStages; ++stage) {
    if (on_path(result, stage) > on_path(result, most)) most = stage;
  }
  return static_cast<Stage>(most);
}

Explanation explain(const scenario::SimulationScenario& scenario, const RunOptions& options) {
  decode::SimulationInput input = scenario.input;
  if (options.seed) input.seed = *options.seed;
  Explanation out;
  out.report = simulate(scenario, {.seed = options.seed, .stop = options.stop, .floor = false});
  const decode::SimulationResult& result = out.report.result;
  if (result.partial) throw UserError("stopped before everything was tried: there is no answer");
  out.bottleneck = bottleneck_of(result);
  double all = 0.0;
  for (std::size_t stage = 0; stage < decode::kStages; ++stage) all += on_path(result, stage);
  out.bottleneck_share =
      all > 0.0 ? on_path(result, static_cast<std::size_t>(out.bottleneck)) / all : 0.0;
  out.parts = parts_of(input, result);
  out.what_ifs = WhatIfs(input, out, options).run();
  return out;
}

Explanation explain(const scenario::LocatedScenario& located, scenario::Library& library,
                    const RunOptions& options) {
  const auto scenario = scenario::resolve(located, library);
  try {
    return explain(scenario, options);
  } catch (const UserError& e) {
    throw scenario::told_where_it_stands(located, e);
  }
}

std::string render(const Explanation& explanation, view::OutputFormat format) {
  return format == view::OutputFormat::json ? view::answer_json(explanation) : table(explanation);
}

}  // namespace ridge::answer
