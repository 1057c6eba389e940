// Tables of serving measurements: what an engine delivered on so many GPUs, one line a
// measurement, and the question that Ridge is asked for each.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/evidence/ledger.hpp"
#include "ridge/scenario/input_draws.hpp"
#include "ridge/scenario/library.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::evidence {

// A line of the table. What is empty there is empty, or nothing, here.
struct ServingRow {
  std::size_t line = 0;
  bool engine_column = false;  // where there is none, source and cautions may name the engine
  std::string id;
  std::string source;
  std::string engine;
  std::string model;
  std::string chip;
  std::string strategy;  // in words
  std::string weight_precision;
  std::string kv_precision;
  std::string overlap;  // of two micro-batches: yes, no, unknown
  std::string metric;
  std::string unit;
  std::string cautions;
  std::optional<double> gpus;  // of all workers
  // Of one worker.
  std::optional<double> attention_tp;
  std::optional<double> attention_dp;
  std::optional<double> moe_tp;
  std::optional<double> moe_ep;
  std::optional<double> redundant_experts;
  std::optional<double> isl;  // prompt, tokens
  std::optional<double> osl;  // answer, tokens
  std::optional<double> mean_context;
  std::optional<double> requests_per_gpu;
  std::optional<double> concurrency;  // requests in the whole system
  std::optional<double> drafts;
  std::optional<double> acceptance;
  double value = 0;
};

// Every mistake in the table at once, each with its line and column. Throws UserError.
[[nodiscard]] std::vector<ServingRow> read_serving_table(const std::string& path);

// Releases of an engine, both ends among them; an empty end is open.
struct Releases {
  std::string engine;  // its title
  std::string from;    // "0.5.2"
  std::string until;
};

// What the engines do that is in no kernel, as their own sources say.
struct ServingEngine {
  std::string title;
  std::vector<std::string> names;    // as tables write it, in small letters
  std::vector<std::string> kernels;  // its own in calibrations, a star for any letters
  Seconds step_overhead;             // between two steps, when the GPUs wait for the host
  // In its place where a library sums over nodes; nothing: the same.
  std::optional<Seconds> step_overhead_over_nodes;
  Seconds gap_before_sums_over_nodes;  // of each, in a captured graph
  // As routing_us of /deployment/execution, of experts in MXFP4, which have kernels of their own.
  std::optional<Seconds> routing_in_mxfp4;
  std::vector<std::int64_t> captured_with_drafts;  // none: as captured of the terms
  decode::Execution execution;
  // Where a library exchanges tokens, preferred to the others.
  std::vector<std::string> kernels_by_library;
  // Where expert parallelism spans nodes; nothing: the same.
  std::optional<decode::Execution> execution_over_nodes;
  bool mixes_prefill = false;  // prompts share their steps with decoding
  // Between tokens and experts within a node, with data-parallel attention.
  decode::ExchangeWay exchange_within_node = decode::ExchangeWay::all_to_all;
  std::optional<decode::Schedule> two_batches;  // the order that it overlaps them in; nothing: any
  // Its figures come from a profile of GPUs: no gap between steps is in them.
  bool profiled = false;
  bool even_routing = false;  // it imposed equal loads of the experts when it was measured
  std::string source;
};

// What a checkpoint keeps in several formats.
enum class WeightPart : std::uint8_t { attention, dense, shared, routed };

// What words on the precision of weights mean; the parts that none of them keeps are in BF16.
struct ServingWeights {
  struct Kept {
    std::vector<WeightPart> parts;
    models::WeightFormat weights;
    models::Precision compute = models::Precision::bf16;
  };
  std::vector<std::string> names;
  std::vector<std::string> models;  // as tables write them; none: any
  bool shipped = false;             // these ship so and not otherwise: a line need not say it
  std::vector<Kept> kept;
  std::string source;

  [[nodiscard]] Kept of(WeightPart part) const;
};

// A table of measurements, and how its words are to be taken.
struct ServingTerms {
  std::string rows;                           // the CSV file, from the folder of the terms
  std::map<std::string, std::string> models;  // as the table writes it -> as Ridge does
  std::map<std::string, std::string> chips;   // likewise
  std::vector<std::string> chip_words;        // of packages and machines, not of chips
  // Words of strategies: whether the GPUs that decode work on prompts too.
  struct Strategies {
    std::vector<std::string> prefill_elsewhere;
    std::vector<std::string> prefill_on_the_same;
  };
  Strategies strategies;
  std::map<std::string, models::Precision> caches;  // as the table writes their precision
  std::vector<ServingWeights> weights;              // the first that fits a line's model and words
  std::map<std::string, std::string> calibrations;  // of chips that have none of their own
  std::vector<ServingEngine> engines;
  // Of tensor parallelism over several nodes, where no sums were measured over so many: what it
  // takes from the wires.
  net::Transport within_node;
  net::Transport between_nodes;
  // Of experts, as a power law has it, unless routing was imposed.
  struct Popularity {
    double exponent = 0.0;
    std::string source;
  };
  Popularity expert_popularity;
  // Where a balancer is at work: what it knows of that, and how many copies it makes.
  struct Balancer {
    double error = 0.0;  // as balancer_error of /noise/experts
    std::int64_t copies = 0;
    std::string source;
  };
  Balancer balancer;
  // On these chips: the kernel of an all-reduce that does the norm too, before the engine's own,
  // and what the norm adds to it.
  struct Norm {
    std::vector<std::string> chips;
    std::vector<std::string> kernels;
    Seconds added;
    std::string source;
  };
  std::vector<Norm> norm_in_all_reduce;
  // Releases that turned that kernel off on these chips: the norm has one of its own, and sums are
  // of these.
  struct NormsApart {
    std::vector<Releases> releases;
    std::vector<std::string> chips;
    std::vector<std::string> kernels;
    std::string source;
  };
  std::optional<NormsApart> norms_apart;
  // That engines capture graphs of, ascending: what lies between runs as the next larger one.
  struct Captured {
    std::vector<std::int64_t> batches;
    std::vector<std::string> as_measured;  // sources whose recipes captured what they measured
    std::string source;
  };
  Captured captured;
  // Of the bandwidth that exchanges over NICs were measured with.
  struct Nics {
    double share = 1.0;
    std::string source;
  };
  Nics exchange_nics;
  // Lines of a time when exchanges went over NICs alone, by a part of their sources.
  struct ExchangesByNics {
    std::vector<std::string> lines;
    std::string source;
  };
  ExchangesByNics exchanges_by_nics;
  // Kernels that lines ran which their engine's own are not, preferred to those.
  struct KernelsByLine {
    std::vector<std::string> lines;  // by a part of their sources
    std::vector<std::string> kernels;
    std::string source;
  };
  std::vector<KernelsByLine> kernels_by_line;
  // Lines in FP4 whose checkpoints keep attention's output projections in four bits too.
  struct FourBitOutputs {
    std::vector<std::string> lines;  // by a part of their sources or engines
    std::string source;
  };
  std::optional<FourBitOutputs> four_bit_outputs;
  // Lines whose recipes keep caches in FP8, where their tables do not say.
  struct EightBitCaches {
    std::vector<std::string> lines;  // by a part of their sources or engines
    std::string source;
  };
  std::optional<EightBitCaches> eight_bit_caches;
  // Lines of a time when an engine that drafts waited for its host between steps.
  struct DraftsWithoutOverlap {
    std::vector<std::string> lines;  // by a part of their sources
    Seconds step_overhead;
    std::string source;
  };
  std::optional<DraftsWithoutOverlap> drafts_without_overlap;
  // Lines of engines in which a request that comes from prefill elsewhere takes a step of the GPUs
  // that it joins: the others' requests get no token in it.
  struct JoinsTakeAStep {
    std::vector<std::string> lines;  // by a part of their sources or engines
    std::vector<Releases> releases;
    Seconds host;  // where there is no other group, so that no step is run: what its GPUs wait for
    std::string source;
  };
  std::optional<JoinsTakeAStep> joins_take_a_step;
  // Why measured kernels of all-to-all exchanges stand in for engines' gathers within a node;
  // nothing: they do not.
  struct StandIn {
    std::string source;
  };
  std::optional<StandIn> gathers_as_all_to_all;
  bool prompts = true;        // whether those of others are counted where they share the GPUs
  bool measured_sums = true;  // whether sums over nodes are, where they were measured
  // Whether they take what they take on the median of those clusters, or on the first.
  bool median_cluster = true;
  bool sums_of_squares = true;  // whether norms over the heads of all GPUs add them up
};
[[nodiscard]] const KeyTable& keys_of(const ServingTerms*);

// The terms without one thing that engines do beside their kernels, for what it is worth.
struct ServingMechanism {
  std::string_view name;
  void (*without)(ServingTerms&);
};
[[nodiscard]] std::span<const ServingMechanism> serving_mechanisms();

// Predicts each line that can be asked; the others are left out, with the reason. Asks `go_on` from
// any thread, and leaves the ledger alone where it says no: whether it never did. Intervals are of
// `samples` draws; rows keep what was simulated where `with_scenarios` says so.
bool predict_serving(const std::vector<ServingRow>& rows, const std::string& file,
                     const ServingTerms& terms, const scenario::InputDraws& draws, int samples,
                     scenario::Library& library, bool with_scenarios, Ledger& ledger,
                     const GoOn& go_on = {});

}  // namespace ridge::evidence
