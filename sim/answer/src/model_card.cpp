#include "ridge/answer/model_card.hpp"

#include "ridge/answer/cost_report.hpp"
#include "ridge/base/format.hpp"
#include "ridge/view/answer_keys.hpp"
#include "ridge/view/text_table.hpp"

#include <fmt/format.h>

namespace ridge::answer {
namespace {

using models::name_of;

struct ShapeWords {
  std::string operator()(const models::DecodeAttention& op) const {
    return fmt::format("{:g} x {} queries, {}/{} heads, {}+{} wide, {:g} cached, {}", op.sequences,
                       op.queries_per_sequence, op.query_heads, op.kv_heads, op.qk_dim, op.v_dim,
                       op.context, name_of(op.cache));
  }
  std::string operator()(const models::StateUpdate& op) const {
    return fmt::format("{:g} x {} queries, {} heads of {} x {}, {}", op.sequences,
                       op.queries_per_sequence, op.heads, op.key_dim, op.value_dim,
                       name_of(op.state));
  }
  std::string operator()(const models::TopK& op) const {
    return fmt::format("{:g} of {:g} scores, {:g} times", op.chosen, op.candidates, op.rows);
  }
  std::string operator()(const models::Gemm& op) const {
    return fmt::format("[{:g}, {}] x [{}, {}]{}, {}", op.m, op.k, op.k, op.n,
                       op.batch > 1 ? fmt::format(", {} times", op.batch) : "",
                       name_of(op.weights));
  }
  std::string operator()(const models::GroupedGemm& op) const {
    return fmt::format("[{:g}, {}] x [{}, {}] over {:.3g} of {} experts, {}", op.rows, op.k, op.k,
                       op.n, op.active_experts, op.experts, name_of(op.weights));
  }
  std::string operator()(const models::Elementwise& op) const {
    return fmt::format("{:g} read, {:g} written", op.values_read, op.values_written);
  }
  std::string operator()(const models::Collective& op) const {
    return fmt::format("{} ranks, {}", op.ranks, si(op.payload.value(), "B"));
  }
  std::string operator()(const models::PointToPoint& op) const {
    return si(op.payload.value(), "B");
  }
};

// The operators of one block of layers: a launch of each, for the whole batch.
struct BlockCard {
  std::string part;  // "attention", "FFN"
  std::string name;
  std::string kind;
  std::int64_t layers = 0;
  double parameters = 0;  // of one layer
  double active = 0;
  std::optional<std::int64_t> effective_rank;
  std::optional<Bytes> cache_at_context;  // of one sequence in one layer
  models::OperatorList operators;
};

std::vector<BlockCard> blocks(const models::ModelSpec& model, const ModelCardOptions& options) {
  std::vector<BlockCard> cards;
  const models::DecodeShape shape{.sequences = options.batch, .context = options.context};
  for (std::size_t i = 0; i < model.attentions.size(); ++i) {
    const auto& block = model.attentions[i];
    BlockCard& card = cards.emplace_back();
    card.part = "attention";
    card.name = block.name;
    card.kind = models::kind_name(block);
    card.layers = model.layers_with_attention(i);
    card.parameters = models::attention_parameters(block, model.hidden);
    card.active = card.parameters;
    card.effective_rank = models::effective_rank(block);
    card.cache_at_context = models::cache_bytes(block, options.context);
    models::attention_operators(block, model.precisions, model.hidden, shape, {},
                                models::MlaCount::absorbed, card.operators);
  }
  for (std::size_t i = 0; i < model.ffns.size(); ++i) {
    const auto& block = model.ffns[i];
    const auto parameters = models::ffn_parameters(block, model.hidden);
    BlockCard& card = cards.emplace_back();
    card.part = "FFN";
    card.name = block.name;
    card.kind = models::kind_name(block);
    card.layers = model.layers_with_ffn(i);
    card.parameters = parameters.total;
    card.active = parameters.active;
    models::routing_operators(block, model.precisions, model.hidden, options.batch, card.operators);
    models::ffn_operators(block, model.precisions, model.hidden, options.batch, {}, card.operators);
  }
  return cards;
}

std::string table(const models::ModelSpec& model, const ModelCardOptions& options) {
  const auto billion = [](double x) { return fmt::format("{} billion", significant(x / 1e9)); };
  std::string out = fmt::format("{}: {}\n\n", model.name, model.title);
  view::TextTable facts;
  facts.column("", view::Align::left);
  facts.column("", view::Align::left);
  facts.row({"parameters",
             fmt::format("{}, {} active per token (LM head counted, embedding not)",
                         billion(model.total_parameters()), billion(model.active_parameters()))});
  if (model.claims.total_billion || model.claims.active_billion) {
    const auto claim = [&](const std::optional<double>& x) {
      return x ? billion(*x * 1e9) : std::string("not given");
    };
    facts.row(
        {"  as published", fmt::format("{}, {} active ({})", claim(model.claims.total_billion),
                                       claim(model.claims.active_billion), model.claims.source)});
  }
  facts.row({"weights", si(model.weight_bytes().value(), "B")});
  facts.row({"layers", fmt::format("{} of hidden size {}", model.layers(), model.hidden)});
  facts.row({"vocabulary", fmt::format("{}{}", model.vocabulary,
                                       model.tied_embeddings ? ", embeddings tied" : "")});
  // Sliding windows hold less of a token the longer the context.
  const double cache = model.cache_bytes(options.context).value();
  facts.row({"KV cache", fmt::format("{} per token; {} at {}", si(cache / options.context, "B"),
                                     si(cache, "B"), tokens_words(options.context))});
  facts.row({"effective rank", fmt::format("{}", model.effective_rank())});
  const auto& p = model.precisions;
  facts.row({"precisions",
             fmt::format("weights {}, arithmetic {}, cache {}, activations {}", name_of(p.weights),
                         name_of(p.compute), name_of(model.cache), name_of(p.activations))});
  facts.row({"on the wire", fmt::format("{} to the FFN, {} back", name_of(p.wire_dispatch),
                                        name_of(p.wire_combine))});
  if (model.mtp.modules > 0) {
    facts.row(
        {"MTP", fmt::format("{} module{}", model.mtp.modules, model.mtp.modules == 1 ? "" : "s")});
  }
  // The first two lines are the empty header and its rule.
  const std::string body = facts.text();
  out += body.substr(body.find('\n', body.find('\n') + 1) + 1);

  for (const auto& card : blocks(model, options)) {
    out += fmt::format("\n{} \"{}\" ({}) in {} layers: {} M parameters{}{}{}\n\n", card.part,
                       card.name, card.kind, card.layers, significant(card.parameters / 1e6),
                       card.active == card.parameters
                           ? ""
                           : fmt::format(", {} M active", significant(card.active / 1e6)),
                       card.cache_at_context
                           ? fmt::format(", {} of cache", si(card.cache_at_context->value(), "B"))
                           : "",
                       card.effective_rank ? fmt::format(", rank {}", *card.effective_rank) : "");
    view::TextTable text;
    text.column("operator", view::Align::left);
    text.column("FLOP");
    text.column("weights");
    text.column("cache");
    text.column("activations");
    text.column("shape", view::Align::left);
    for (const auto& op : card.operators) {
      const models::Demand d = models::demand(op);
      const auto bytes = [](Bytes b) { return b.value() > 0.0 ? si(b.value(), "B") : "-"; };
      text.row({std::string(op.name), d.flop.value() > 0.0 ? si(d.flop.value(), "") : "-",
                bytes(d.weights), bytes(d.cache_read + d.cache_written),
                bytes(d.activations_read + d.activations_written),
                std::visit(ShapeWords{}, op.shape)});
    }
    out += text.text();
  }
  out += fmt::format("\nOne layer, {:g} sequence{} of {} tokens: what one launch asks for.\n",
                     options.batch, options.batch == 1.0 ? "" : "s", tokens_words(options.context));
  return out;
}

// What the JSON says of a block's operator.
struct OperatorCard {
  const models::Operator* op;
  models::Demand demand;
};

struct ModelCard {
  const models::ModelSpec& model;
  ModelCardOptions options;
  std::vector<BlockCard> blocks;

  [[nodiscard]] std::vector<BlockCard> of(std::string_view part) const {
    std::vector<BlockCard> out;
    std::copy_if(blocks.begin(), blocks.end(), std::back_inserter(out),
                 [&](const BlockCard& card) { return card.part == part; });
    return out;
  }
};

const view::AnswerKeys<OperatorCard>& answer_keys(const OperatorCard* /*of*/) {
  using O = OperatorCard;
  static const view::AnswerKeys<O> keys(
      {{"name", "", [](const O& o) { return o.op->name; }},
       {"part", "", [](const O& o) { return name_of(o.op->part); }},
       {"shape", "", [](const O& o) { return std::visit(ShapeWords{}, o.op->shape); }},
       {"flop", "", [](const O& o) { return o.demand.flop.value(); }},
       {"compute", "Number format of the arithmetic.",
        [](const O& o) { return name_of(o.demand.compute); }},
       {"weight_bytes", "", [](const O& o) { return o.demand.weights.value(); }},
       {"cache_read_bytes", "", [](const O& o) { return o.demand.cache_read.value(); }},
       {"cache_written_bytes", "", [](const O& o) { return o.demand.cache_written.value(); }},
       {"activations_read_bytes", "", [](const O& o) { return o.demand.activations_read.value(); }},
       {"activations_written_bytes", "",
        [](const O& o) { return o.demand.activations_written.value(); }}});
  return keys;
}

const view::AnswerKeys<BlockCard>& answer_keys(const BlockCard* /*of*/) {
  using B = BlockCard;
  static const view::AnswerKeys<B> keys(
      {{"name", "", &B::name},
       {"kind", "", &B::kind},
       {"layers", "With this block.", &B::layers},
       {"parameters", "Of one layer.", &B::parameters},
       {"active_parameters", "Multiplied with one token.", &B::active},
       view::left_out<B>("effective_rank", "", &B::effective_rank),
       view::left_out<B>("cache_bytes", "Of a request.",
                         [](const B& b) {
                           return b.cache_at_context ? std::optional(b.cache_at_context->value())
                                                     : std::nullopt;
                         }),
       {"operators", "What a layer launches.", [](const B& b) {
          std::vector<OperatorCard> out;
          for (const auto& op : b.operators) out.push_back({&op, models::demand(op)});
          return out;
        }}});
  return keys;
}

struct PrecisionCard {
  const models::ModelSpec& model;
};

const view::AnswerKeys<PrecisionCard>& answer_keys(const PrecisionCard* /*of*/) {
  using P = PrecisionCard;
  static const view::AnswerKeys<P> keys(
      {{"weights", "", [](const P& p) { return name_of(p.model.precisions.weights); }},
       {"compute", "", [](const P& p) { return name_of(p.model.precisions.compute); }},
       {"cache", "", [](const P& p) { return name_of(p.model.cache); }},
       {"activations", "", [](const P& p) { return name_of(p.model.precisions.activations); }},
       {"wire_dispatch", "", [](const P& p) { return name_of(p.model.precisions.wire_dispatch); }},
       {"wire_combine", "", [](const P& p) { return name_of(p.model.precisions.wire_combine); }}});
  return keys;
}

std::optional<double> claimed(const std::optional<double>& billion) {
  return billion ? std::optional(*billion * 1e9) : std::nullopt;
}

const view::AnswerKeys<ModelCard>& answer_keys(const ModelCard* /*of*/) {
  using C = ModelCard;
  static const view::AnswerKeys<C> keys(
      {view::constant<C>("kind", "model"),
       {"name", "", [](const C& c) { return c.model.name; }},
       {"title", "", [](const C& c) { return c.model.title; }},
       view::figures_of<C>(model_figures(),
                           [](const C& c) -> const models::ModelSpec& { return c.model; }),
       {"published_total_parameters", "",
        [](const C& c) { return claimed(c.model.claims.total_billion); }},
       {"published_active_parameters", "",
        [](const C& c) { return claimed(c.model.claims.active_billion); }},
       {"kv_bytes", "Of a request.",
        [](const C& c) { return c.model.cache_bytes(c.options.context).value(); }},
       {"hidden", "", [](const C& c) { return c.model.hidden; }},
       {"vocabulary", "", [](const C& c) { return c.model.vocabulary; }},
       {"mtp_modules", "", [](const C& c) { return c.model.mtp.modules; }},
       {"precision", "Number formats.", [](const C& c) { return PrecisionCard{c.model}; }},
       {"context_tokens", view::kContextWords, [](const C& c) { return c.options.context; }},
       {"batch", "Requests that one launch serves.", [](const C& c) { return c.options.batch; }},
       {"attention", "", [](const C& c) { return c.of("attention"); }},
       {"ffn", "", [](const C& c) { return c.of("FFN"); }}});
  return keys;
}

}  // namespace

const view::AnswerDescription& model_answer() {
  return answer_keys(static_cast<const ModelCard*>(nullptr));
}

std::string model_card(const models::ModelSpec& model, const ModelCardOptions& options,
                       view::OutputFormat format) {
  return format == view::OutputFormat::json
             ? view::answer_json(ModelCard{model, options, blocks(model, options)})
             : table(model, options);
}

}  // namespace ridge::answer
