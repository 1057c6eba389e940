#include "ridge/scenario/ranges.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/json.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/scenario/scenario.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

namespace ridge::scenario {

static constexpr std::array<Named<RangedInput>, 6> kRangedInputs = {
    {{"expert_popularity", RangedInput::expert_popularity},
     {"balancer_error", RangedInput::balancer_error},
     {"exchange_nics", RangedInput::exchange_nics},
     {"step_overhead_us", RangedInput::step_overhead_us},
     {"host_stagger_us", RangedInput::host_stagger_us},
     {"message_overhead_us", RangedInput::message_overhead_us}}};

const SumsSpan* Ranges::sums_over(std::int64_t gpus, std::int64_t gpus_per_node) const {
  if (!sums_over_nodes) return nullptr;
  for (const SumsSpan& span : sums_over_nodes->spans) {
    if (span.gpus_per_node == gpus_per_node && span.nodes * gpus_per_node == gpus) return &span;
  }
  return nullptr;
}

// Ranges of one input could not be told apart.
static bool same_input(const InputRange& a, const InputRange& b) {
  return a.of == b.of && a.engine == b.engine;
}
static bool same_nodes(const SumsSpan& a, const SumsSpan& b) {
  return a.nodes == b.nodes && a.gpus_per_node == b.gpus_per_node;
}

// "expert_popularity", "step_overhead_us of engine "SGLang"".
static std::string words_of(const InputRange& range) {
  const auto* named = std::find_if(kRangedInputs.begin(), kRangedInputs.end(),
                                   [&](const auto& each) { return each.value == range.of; });
  std::string out = fmt::format("\"{}\"", named->name);
  if (range.of == RangedInput::step_overhead_us) {
    out += range.engine.empty() ? " of no engine" : fmt::format(" of engine \"{}\"", range.engine);
  }
  return out;
}

using Complain = std::function<void(const std::string& pointer, const std::string& message)>;

static void check(const InputRange& range, const Complain& complain) {
  if (range.low > range.high) complain("/low", "is above \"high\"");
  if (range.of == RangedInput::exchange_nics && range.low <= 0.0) {
    complain("/low", "expected a share above 0");
  }
  constexpr const char* kOfGapsAlone = "of no effect but of \"step_overhead_us\": expected none";
  if (range.of != RangedInput::step_overhead_us) {
    if (!range.engine.empty()) complain("/engine", kOfGapsAlone);
    if (!range.kernels.empty()) complain("/kernels", kOfGapsAlone);
  } else if (range.engine.empty() && !range.kernels.empty()) {
    complain("/kernels", "tell of no engine: expected \"engine\" beside them, or no \"kernels\"");
  }
  for (const std::string_view taken : {kClusters, kReleases, kInputs}) {
    if (range.name == taken) {
      complain("/name",
               fmt::format("\"{}\" is the name of something else that is drawn: expected another",
                           taken));
    }
  }
  if (range.name.empty()) complain("/name", "expected a name, got an empty one");
}

static void check(const std::vector<InputRange>& inputs, const Complain& complain) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string here = fmt::format("/{}", i);
    for (std::size_t j = 0; j < i; ++j) {
      const std::string there = fmt::format("/inputs/{}", j);
      if (inputs[i].name == inputs[j].name) {
        complain(here + "/name", fmt::format("\"{}\" is the name of {} too: expected another",
                                             inputs[i].name, there));
      }
      if (same_input(inputs[i], inputs[j])) {
        complain(here + "/of",
                 fmt::format("{} has a range at {} (\"{}\"): expected one for each input",
                             words_of(inputs[i]), there, inputs[j].name));
      }
      for (std::size_t k = 0; k < inputs[i].kernels.size(); ++k) {
        const auto& others = inputs[j].kernels;
        if (std::find(others.begin(), others.end(), inputs[i].kernels[k]) == others.end()) continue;
        complain(fmt::format("{}/kernels/{}", here, k),
                 fmt::format("\"{}\" tells of engine \"{}\" at {}: expected kernels of one engine",
                             inputs[i].kernels[k], inputs[j].engine, there));
      }
    }
  }
}

static void check(const std::vector<SumsSpan>& spans, const Complain& complain) {
  for (std::size_t i = 0; i < spans.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (!same_nodes(spans[i], spans[j])) continue;
      complain(fmt::format("/{}", i),
               fmt::format("{} nodes of {} GPUs stand at /spans/{} too: expected all their "
                           "clusters in one",
                           spans[i].nodes, spans[i].gpus_per_node, j));
    }
  }
}

static void check(const SumsCluster& cluster, const Complain& complain) {
  for (std::size_t i = 0; i < cluster.ways.size(); ++i) {
    const std::string_view wrong = problem_of(cluster.ways[i]);
    if (!wrong.empty()) complain(fmt::format("/ways/{}", i), std::string(wrong));
  }
}

// Tells of mistakes below `pointer`.
static Complain below(const Complain& complain, const std::string& pointer) {
  return [&complain, pointer](const std::string& place, const std::string& message) {
    complain(pointer + place, message);
  };
}

// What keys check one by one as they are read, all of it again: a sweep may have set one since.
static void check(const Ranges& ranges, const Complain& complain) {
  for (std::size_t i = 0; i < ranges.inputs.size(); ++i) {
    check(ranges.inputs[i], below(complain, fmt::format("/inputs/{}", i)));
  }
  check(ranges.inputs, below(complain, "/inputs"));
  if (!ranges.sums_over_nodes) return;
  const std::vector<SumsSpan>& spans = ranges.sums_over_nodes->spans;
  check(spans, below(complain, "/sums_over_nodes/spans"));
  for (std::size_t i = 0; i < spans.size(); ++i) {
    for (std::size_t j = 0; j < spans[i].clusters.size(); ++j) {
      check(spans[i].clusters[j],
            below(complain, fmt::format("/sums_over_nodes/spans/{}/clusters/{}", i, j)));
    }
  }
}

// As a key table's relation: `what` of an object, told below `pointer` of its node.
template <typename T>
static void check_node(const JsonNode& node, const std::string& pointer, const T& what) {
  check(what, [&](const std::string& place, const std::string& message) {
    JsonNode(node.json(), node.context(), node.pointer() + pointer + place).error(message);
  });
}
static void check_range(const JsonNode& node, const void* object) {
  check_node(node, "", *static_cast<const InputRange*>(object));
}
static void check_alone(const JsonNode& node, const void* object) {
  check_node(node, "/inputs", static_cast<const Ranges*>(object)->inputs);
}
static void check_spans(const JsonNode& node, const void* object) {
  check_node(node, "/spans", static_cast<const SumsOverNodes*>(object)->spans);
}
static void check_ways(const JsonNode& node, const void* object) {
  check_node(node, "", *static_cast<const SumsCluster*>(object));
}

static const KeyTable& keys_of(const InputRange* /*of*/) {
  using R = InputRange;
  static const KeyTable table =
      key_table<R>(
          "range", "An input that intervals draw evenly from a range that sources tell.",
          {
              key<&R::name>("name", "What it is; `--fixed` takes it."),
              key<&R::of>(
                  "of",
                  "What is drawn, where a scenario leaves it open. expert_popularity: the "
                  "exponent of a power law of /noise/experts. balancer_error: of a "
                  "balancer of their load. exchange_nics: the share of the NICs' bandwidth "
                  "that exchanges between nodes reach. step_overhead_us: of the "
                  "deployment. Of these two no range ships: host_stagger_us, of its execution, and "
                  "message_overhead_us, as overhead_us of the link that messages between "
                  "pools take.",
                  std::span(kRangedInputs)),
              key<&R::engine>("engine",
                              "Of step_overhead_us: whose it is; of all that have none of their "
                              "own where absent.")
                  .optional(),
              key<&R::kernels>("kernels",
                               "Of this engine in calibrations, a star for any letters: pools that "
                               "prefer them are taken to run it. A range that takes the place of a "
                               "shipped one may leave them out, and has its.")
                  .optional(),
              key<&R::low>("low",
                           "The least, in the unit of \"of\": of expert_popularity an exponent, of "
                           "balancer_error the standard deviation of a logarithm, of exchange_nics "
                           "a share, of the others microseconds.",
                           between(0, 1e9)),
              key<&R::high>("high", "The most, in the same unit.", between(0, 1e9)),
              key<&R::source>("source", "Where it was found."),
          })
          .relation(check_range);
  return table;
}

static const KeyTable& keys_of(const SumsCluster* /*of*/) {
  using C = SumsCluster;
  static const KeyTable table =
      key_table<C>("cluster", "Where sums were measured.",
                   {
                       key<&C::fabric>("fabric", "Between its nodes."),
                       key<&C::ways>("ways", "As /network/all_reduce of a simulate scenario.",
                                     keys::AtLeastOne{"at least one way to sum"}),
                       key<&C::source>("source", "Who measured them."),
                   })
          .relation(check_ways);
  return table;
}

static const KeyTable& keys_of(const SumsSpan* /*of*/) {
  using S = SumsSpan;
  static const KeyTable table = key_table<S>(
      "span", "So many nodes of so many GPUs.",
      {
          key<&S::nodes>("nodes", "", between(2, 1e6)),
          key<&S::gpus_per_node>("gpus_per_node", "", between(1, 1e6)),
          key<&S::clusters>("clusters",
                            "Draws go through all. In ridge simulate they do where a scenario "
                            "states neither /network/all_reduce nor its links, and the prediction "
                            "takes what its wires give. In the serving ledger the first answers, "
                            "and where a line names a fabric, of those alone that have it.",
                            keys::AtLeastOne{"at least one cluster"}),
      });
  return table;
}

static const KeyTable& keys_of(const SumsOverNodes* /*of*/) {
  using S = SumsOverNodes;
  static const KeyTable table =
      key_table<S>("sums_over_nodes",
                   "Sums of tensor parallelism over several nodes, as they were measured.",
                   {
                       key<&S::spans>("spans",
                                      "Over other numbers of nodes, the wires decide. Of a "
                                      "question's own, a span takes the place of the shipped one "
                                      "of as many nodes and GPUs."),
                       key<&S::source>("source", "Of all of them."),
                   })
          .relation(check_spans);
  return table;
}

static const KeyTable& keys_of(const Releases* /*of*/) {
  using R = Releases;
  static const KeyTable table = key_table<R>(
      "releases", "How far kernels differ between releases of an engine, in intervals alone.",
      {
          key<&R::spread>("spread", "The standard deviation of the logarithm of their time.",
                          between(0, 1)),
          key<&R::source>("source", "Where it was found."),
      });
  return table;
}

const KeyTable& keys_of(const Ranges* /*of*/) {
  using R = Ranges;
  static const KeyTable table =
      key_table<R>(
          "",
          "What intervals draw of inputs that are known within a range alone: in a file, or as "
          "\"ranges\" of a simulate scenario or a goal. Those of a question go over those that "
          "ship (scenarios/ranges/inputs.json): what has the name of a shipped range takes its "
          "place, what has another name comes beside, and what is absent stays as it ships.",
          {
              key_of_all<R>("kind", "Of a file, unless its \"$schema\" tells.",
                            keys::constant("ranges", "a file of kind \"ranges\""))
                  .optional(),
              key<&R::title>("title", "What they are, in a line.").optional(),
              key<&R::inputs>("inputs", "Each drawn on its own.").optional(),
              key<&R::releases>("releases",
                                "How far kernels differ between releases of an engine."),
              key<&R::sums_over_nodes>("sums_over_nodes",
                                       "What sums of tensor parallelism over nodes take."),
          })
          .relation(check_alone)
          .file("ranges");
  return table;
}

JsonDocument ranges_document(const std::string& name_or_path) {
  static const Catalog ranges("the name of ranges", "scenarios/ranges", "scenarios/ranges");
  return JsonDocument::read(ranges.resolve(name_or_path));
}

Ranges read_ranges(const JsonDocument& document) {
  auto ranges = read_document<Ranges>(document);
  for (std::size_t i = 0; i < ranges.inputs.size(); ++i) ranges.inputs[i].stream = i;
  return ranges;
}

static SumsOverNodes over(SumsOverNodes own, const SumsOverNodes& shipped) {
  const std::size_t stated = own.spans.size();
  for (const SumsSpan& span : shipped.spans) {
    const auto end = own.spans.begin() + static_cast<std::ptrdiff_t>(stated);
    const bool replaced = std::any_of(own.spans.begin(), end,
                                      [&](const SumsSpan& its) { return same_nodes(its, span); });
    if (!replaced) own.spans.push_back(span);
  }
  if (own.spans.size() > stated) {
    own.source += "; over other numbers of nodes: " + shipped.source;
  }
  return own;
}

Ranges over(
    const Ranges& own, const Ranges& shipped,
    const std::function<void(const std::string& pointer, const std::string& message)>& complain) {
  check(own, complain);
  Ranges out{
      .title = own.title,
      .inputs = own.inputs,
      .releases = own.releases ? own.releases : shipped.releases,
      .sums_over_nodes = own.sums_over_nodes ? own.sums_over_nodes : shipped.sums_over_nodes};
  if (own.sums_over_nodes && shipped.sums_over_nodes) {
    out.sums_over_nodes = over(*own.sums_over_nodes, *shipped.sums_over_nodes);
  }
  // A range draws by its name alone: the same whatever stands beside it, and in place of a shipped
  // one of that name.
  for (InputRange& range : out.inputs) range.stream = stream_of(range.name);
  for (const InputRange& range : shipped.inputs) {
    bool replaced = false;
    for (std::size_t i = 0; i < own.inputs.size(); ++i) {
      const std::string pointer = fmt::format("/inputs/{}", i);
      const bool same_name = own.inputs[i].name == range.name;
      if (same_name != same_input(own.inputs[i], range)) {
        complain(pointer + (same_name ? "/of" : "/name"),
                 same_name
                     ? fmt::format("what ships as \"{}\" is a range of {}: expected the same, "
                                   "or another name",
                                   range.name, words_of(range))
                     : fmt::format("{} has a range that ships, \"{}\": expected that name, to "
                                   "take its place",
                                   words_of(range), range.name));
      }
      if (same_name) {
        out.inputs[i].stream = range.stream;
        if (out.inputs[i].kernels.empty()) out.inputs[i].kernels = range.kernels;
        replaced = true;
      }
    }
    if (!replaced) out.inputs.push_back(range);
  }
  for (std::size_t i = 0; i < own.inputs.size(); ++i) {
    if (out.inputs[i].engine.empty() || !out.inputs[i].kernels.empty()) continue;
    complain(fmt::format("/inputs/{}/kernels", i),
             fmt::format("expected the engine's kernels, by which pools tell that they run \"{}\"",
                         out.inputs[i].engine));
  }
  return out;
}

}  // namespace ridge::scenario
