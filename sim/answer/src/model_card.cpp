#include "ridge/answer/model_card.hpp"

#include "ridge/answer/cost_report.hpp"
#include "ridge/base/format.hpp"
#include "ridge/view/answer_json.hpp"
#include "ridge/view/text_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

using Json = nlohmann::ordered_json;
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

Json block_json(const BlockCard& card) {
  Json operators = Json::array();
  for (const auto& op : card.operators) {
    const models::Demand d = models::demand(op);
    operators.push_back({{"name", op.name},
                         {"part", name_of(op.part)},
                         {"shape", std::visit(ShapeWords{}, op.shape)},
                         {"flop", d.flop.value()},
                         {"compute", name_of(d.compute)},
                         {"weight_bytes", d.weights.value()},
                         {"cache_read_bytes", d.cache_read.value()},
                         {"cache_written_bytes", d.cache_written.value()},
                         {"activations_read_bytes", d.activations_read.value()},
                         {"activations_written_bytes", d.activations_written.value()}});
  }
  Json out{{"name", card.name},
           {"kind", card.kind},
           {"layers", card.layers},
           {"parameters", card.parameters},
           {"active_parameters", card.active}};
  if (card.effective_rank) out["effective_rank"] = *card.effective_rank;
  if (card.cache_at_context) out["cache_bytes"] = card.cache_at_context->value();
  out["operators"] = std::move(operators);
  return out;
}

std::string json(const models::ModelSpec& model, const ModelCardOptions& options) {
  const auto claim = [](const std::optional<double>& billion) {
    return billion ? Json(*billion * 1e9) : Json(nullptr);
  };
  Json attention = Json::array();
  Json ffn = Json::array();
  for (const auto& card : blocks(model, options)) {
    (card.part == "attention" ? attention : ffn).push_back(block_json(card));
  }
  const auto& p = model.precisions;
  Json out{{"kind", "model"}, {"name", model.name}, {"title", model.title}};
  view::put_figures(view::figure_values(model_figures(), model), out);
  out.update(Json{{"published_total_parameters", claim(model.claims.total_billion)},
                  {"published_active_parameters", claim(model.claims.active_billion)},
                  {"kv_bytes", model.cache_bytes(options.context).value()},
                  {"hidden", model.hidden},
                  {"vocabulary", model.vocabulary},
                  {"mtp_modules", model.mtp.modules},
                  {"precision",
                   {{"weights", name_of(p.weights)},
                    {"compute", name_of(p.compute)},
                    {"cache", name_of(model.cache)},
                    {"activations", name_of(p.activations)},
                    {"wire_dispatch", name_of(p.wire_dispatch)},
                    {"wire_combine", name_of(p.wire_combine)}}},
                  {"context_tokens", options.context},
                  {"batch", options.batch},
                  {"attention", attention},
                  {"ffn", ffn}});
  return view::answer_text(out);
}

}  // namespace

std::string model_card(const models::ModelSpec& model, const ModelCardOptions& options,
                       view::OutputFormat format) {
  return format == view::OutputFormat::json ? json(model, options) : table(model, options);
}

}  // namespace ridge::answer
