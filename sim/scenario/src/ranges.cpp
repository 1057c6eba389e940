#include "ridge/scenario/ranges.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/json.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/scenario/scenario.hpp"

#include <array>

namespace ridge::scenario {

static constexpr std::array<Named<RangedInput>, 4> kRangedInputs = {
    {{"expert_popularity", RangedInput::expert_popularity},
     {"balancer_error", RangedInput::balancer_error},
     {"exchange_nics", RangedInput::exchange_nics},
     {"step_overhead_us", RangedInput::step_overhead_us}}};

const SumsSpan* SumsOverNodes::over(std::int64_t gpus, std::int64_t gpus_per_node) const {
  for (const SumsSpan& span : spans) {
    if (span.gpus_per_node == gpus_per_node && span.nodes * gpus_per_node == gpus) return &span;
  }
  return nullptr;
}

static void check_ends(const JsonNode& node, const void* object) {
  const auto& range = *static_cast<const InputRange*>(object);
  if (range.low > range.high) node.child("low").error("is above \"high\"");
  if (range.of == RangedInput::exchange_nics && range.low <= 0.0) {
    node.child("low").error("expected a share above 0");
  }
  if (range.of != RangedInput::step_overhead_us && !range.engine.empty()) {
    node.child("engine").error("of no effect but of \"step_overhead_us\": expected none");
  }
}

static const KeyTable& keys_of(const InputRange* /*of*/) {
  using R = InputRange;
  static const KeyTable table =
      key_table<R>(
          "range", "An input that intervals draw evenly from a range that sources tell.",
          {
              key<&R::name>("name", "What it is; `--fixed` takes it."),
              key<&R::of>("of",
                          "What is drawn, where a scenario leaves it open. expert_popularity: the "
                          "exponent of a power law of /noise/experts. balancer_error: of a "
                          "balancer of their load. exchange_nics: the share of the NICs' bandwidth "
                          "that exchanges between nodes reach. step_overhead_us: of the "
                          "deployment.",
                          std::span(kRangedInputs)),
              key<&R::engine>("engine",
                              "Of step_overhead_us: whose it is; of all that have none of their "
                              "own where absent.")
                  .optional(),
              key<&R::kernels>("kernels",
                               "Of this engine in calibrations, a star for any letters: pools that "
                               "prefer them are taken to run it.")
                  .optional(),
              key<&R::low>("low",
                           "The least, in the unit of \"of\": of expert_popularity an exponent, of "
                           "balancer_error the standard deviation of a logarithm, of exchange_nics "
                           "a share, of step_overhead_us microseconds.",
                           between(0, 1e9)),
              key<&R::high>("high", "The most, in the same unit.", between(0, 1e9)),
              key<&R::source>("source", "Where it was found."),
          })
          .relation(check_ends);
  return table;
}

static const KeyTable& keys_of(const SumsCluster* /*of*/) {
  using C = SumsCluster;
  static const KeyTable table =
      key_table<C>("cluster", "Where sums were measured.",
                   {
                       key<&C::fabric>("fabric", "Between its nodes."),
                       key<&C::ways>("ways", "As /network/all_reduce of a simulate scenario."),
                       key<&C::source>("source", "Who measured them."),
                   });
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
  static const KeyTable table = key_table<S>(
      "sums_over_nodes", "Sums of tensor parallelism over several nodes, as they were measured.",
      {
          key<&S::spans>("spans", "Over other numbers of nodes, the wires decide."),
          key<&S::source>("source", "Of all of them."),
      });
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
          "", "What intervals draw of inputs that are known within a range alone.",
          {
              key_of_all<R>("kind", "", keys::constant("ranges", "a file of kind \"ranges\"")),
              key<&R::title>("title", "What they are, in a line."),
              key<&R::inputs>("inputs", "Each drawn on its own."),
              key<&R::releases>("releases", ""),
              key<&R::sums_over_nodes>("sums_over_nodes", ""),
          })
          .file("ranges");
  return table;
}

Ranges read_ranges(const std::string& name_or_path) {
  const Catalog catalog("the name of ranges", "scenarios/ranges");
  const JsonDocument document = JsonDocument::read(catalog.resolve(name_or_path));
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  Ranges ranges;
  read_keys(JsonNode(document.json(), context), ranges);
  diagnostics.throw_if_errors();
  return ranges;
}

}  // namespace ridge::scenario
