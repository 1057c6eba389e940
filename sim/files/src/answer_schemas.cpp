#include "ridge/files/answer_schemas.hpp"

#include "ridge/answer/cost_report.hpp"
#include "ridge/answer/fit_report.hpp"
#include "ridge/answer/simulation_figures.hpp"
#include "ridge/answer/sparsity_report.hpp"
#include "ridge/answer/support_report.hpp"
#include "ridge/base/json_lines.hpp"
#include "ridge/decode/step_graph.hpp"
#include "ridge/evidence/kernels.hpp"
#include "ridge/view/answer_json.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::files {
namespace {

using Json = nlohmann::ordered_json;

// Schemas of values. Words come last and may be left out where the key says all.

Json of_type(const char* type, std::string_view words) {
  Json out = Json::object();
  if (!words.empty()) out["description"] = words;
  out["type"] = type;
  return out;
}
Json text(std::string_view words = {}) {
  return of_type("string", words);
}
Json number(std::string_view words = {}) {
  return of_type("number", words);
}
Json whole(std::string_view words = {}) {
  return of_type("integer", words);
}
Json truth(std::string_view words = {}) {
  return of_type("boolean", words);
}
// Null where it is unknown, or there is none.
Json maybe(Json schema) {
  schema["type"] = {schema["type"], "null"};
  return schema;
}
Json list(const Json& item, std::string_view words = {}) {
  Json out = of_type("array", words);
  out["items"] = item;
  return out;
}
// Both ends of an interval.
Json interval(std::string_view words) {
  Json out = list(number(), words);
  out["minItems"] = 2;
  out["maxItems"] = 2;
  return out;
}
// An object with names that are not known beforehand.
Json by_name(const Json& value, std::string_view words = {}) {
  Json out = of_type("object", words);
  out["additionalProperties"] = value;
  return out;
}

struct Key {
  std::string name;
  Json schema;
  bool required = true;
};
Key optional(std::string name, Json schema) {
  return {std::move(name), std::move(schema), false};
}

using Keys = std::vector<Key>;

void put(const Key& key, Json& object) {
  object["properties"][key.name] = key.schema;
  if (key.required) object["required"].push_back(key.name);
}
Json object_of(const Keys& keys, std::string_view words = {}) {
  Json out = of_type("object", words);
  out["required"] = Json::array();
  out["additionalProperties"] = false;
  out["properties"] = Json::object();
  for (const Key& key : keys) put(key, out);
  return out;
}

Keys operator+(Keys all, const Keys& more) {
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

Json of_figure(const view::FigureSpec& spec) {
  switch (spec.kind) {
    case view::FigureKind::label:
      return maybe(text(spec.words));
    case view::FigureKind::truth:
      return maybe(truth(spec.words));
    case view::FigureKind::count:
      return maybe(whole(spec.words));
    case view::FigureKind::number:
      break;
  }
  return maybe(number(spec.words));
}

bool is_index(std::string_view token) {
  return token == "0" || token == "1";
}

// Puts a figure where its pointer leads in the schema of an object. A group of figures is null
// where it has none; one with a part that may be null by itself keeps what there is.
void put_figure(const view::FigureSpec& spec, std::string_view pointer, Json& object) {
  const auto end = std::min(pointer.find('/', 1), pointer.size());
  const std::string token(pointer.substr(1, end - 1));
  const std::string_view rest = pointer.substr(end);
  if (is_index(token)) {
    object["type"] = {"array", "null"};
    object["items"].push_back(of_figure(spec));
    return;
  }
  if (!object.contains("properties")) {
    object = object_of({});
    object["type"] = {"object", "null"};
  }
  Json& properties = object["properties"];
  Json& required = object["required"];
  if (std::find(required.begin(), required.end(), token) == required.end()) {
    required.push_back(token);
  }
  if (rest.empty()) {
    properties[token] = of_figure(spec);
  } else {
    put_figure(spec, rest, properties[token]);
  }
}

template <typename Answer>
Keys figures(std::span<const view::Figure<Answer>> all) {
  Json object = object_of({});
  for (const auto& figure : all) {
    if (!figure.spec.pointer.empty()) put_figure(figure.spec, figure.spec.pointer, object);
  }
  Keys out;
  for (const auto& item : object["properties"].items()) out.push_back({item.key(), item.value()});
  return out;
}

const Json& notes() {
  static const Json notes = list(text(), "What to know before believing the figures.");
  return notes;
}
Json provenance() {
  return text("What the figures rest on: theory, or a calibration with its held-out error.");
}

// A value for each stage of a step.
Json stages(std::string_view words) {
  Keys keys;
  for (std::size_t s = 0; s < decode::kStages; ++s) {
    keys.push_back({std::string(decode::name_of(static_cast<decode::Stage>(s))), number()});
  }
  return object_of(keys, words);
}

Keys cost_keys() {
  const Keys what = {{"model", text()}, {"context_tokens", number("Cached tokens of a request.")}};
  return {{"provenance", provenance()},
          {"rows", list(object_of(what + Keys{{"chip", text()}} + figures(answer::chip_figures())),
                        "Each model on each chip at each context.")},
          {"afd", list(object_of(what + figures(answer::pairing_figures())),
                       "For each model and context the chips that are cheapest for attention and "
                       "for the FFN.")},
          {"prices", list(text(), "Of each chip, with its source.")},
          {"notes", notes()}};
}

Keys simulate_keys() {
  const auto share = [](const char* words) { return number(words); };
  Keys keys = {{"scenario", text("Its name.")},
               {"title", text()},
               {"provenance", provenance()},
               {"link_provenance", text("What the times of exchanges rest on.")}};
  for (Key& key : figures(answer::simulation_figures())) {
    if (key.name == "uncertainty") {
      // Without draws its intervals are null, and there is nothing else to say.
      key.schema["required"] = {"tpot_ms", "tokens_per_s_per_gpu"};
    }
    keys.push_back(std::move(key));
  }
  const Json pool = object_of(
      {{"pool", text()},
       {"gpus", whole()},
       {"busy", share("Of the pool's GPU time: kernels.")},
       {"waiting_for_slowest_gpu", share("Of the pool's GPU time: for others of the instance.")},
       {"waiting_for", stages("Of the pool's GPU time: idle because of this stage.")},
       {"empty", share("Of the pool's GPU time: no requests.")},
       {"memory_bytes_per_gpu", number()},
       {"weight_bytes_per_gpu", number()},
       {"reserve_bytes_per_gpu", number("Beside weights and KV.")},
       {"kv_budget_bytes_per_gpu", number()}});
  const Json link = object_of({{"name", text()}, {"utilization", share("Of the time.")}});
  const Json path =
      object_of({{"service", stages("Milliseconds that a step is served.")},
                 {"queueing", stages("Milliseconds that a step waits behind another.")}},
                "What a step is made of.");
  return keys + Keys{{"pools", list(pool)},
                     {"links", list(link)},
                     {"critical_path_ms", path},
                     {"checksum", text("Of all events: the same for the same question and seed.")},
                     {"warnings", list(text())}};
}

Keys compare_keys() {
  const Json simulation = {{"$ref", "#/definitions/simulation"}};
  return {{"scenario", simulation},
          {"compare", simulation},
          optional("disaggregation",
                   object_of(
                       {{"split", text("The one with attention and FFN on GPUs of their own.")},
                        {"batch", number("Requests on each GPU that holds any, split over whole.")},
                        {"gpus_that_hold_requests", number("Their share, split over whole.")},
                        {"latency", number("TPOT, whole over split.")},
                        {"tokens_per_s_per_gpu", number("Split over whole: the product.")},
                        {"experts_batch", number("Requests on each GPU that holds experts.")},
                        {"break_even_batch", number("At which both deliver as much.")}},
                       "Why the split one delivers more per GPU, or less."))};
}

Keys explain_keys() {
  const Json launched = object_of(
      {{"name", text()},
       {"kernel", maybe(text("That it was measured as."))},
       {"us", number("Mean over the layers.")},
       {"bound", text("What it waits for.")},
       {"error", number("Relative standard error, of the worst layer; 0 of theory.")},
       {"held_out_error",
        maybe(number("Of the kernel: the median of shapes that its fit had not seen."))},
       {"doublings_outside", number("Of the shapes that its fit had seen, of the worst layer.")}});
  const Json part = object_of({{"stage", text()},
                               {"pool", text("Where it runs; of a message, which it leaves.")},
                               {"of", text("The block of the model, or what moves.")},
                               {"layers", whole()},
                               {"us", number("Mean over the layers, where it takes longest.")},
                               {"operators", list(launched)}});
  const Json what_if = object_of(
      {{"what", text()},
       {"is_operator", truth()},
       {"tpot_ms", number()},
       {"change", number("Of the mean TPOT: below 0 where it is less.")},
       {"moves_bottleneck_at",
        maybe(number("How many times as fast, to a percent; null where it was not found, and "
                     "not looked for of operators and arrivals."))},
       {"moves_bottleneck_to", maybe(text("The stage."))}});
  return {{"scenario", text("Its name.")},
          {"title", text()},
          {"provenance", provenance()},
          {"link_provenance", text("What the times of exchanges rest on.")},
          {"tpot_ms", number("Mean.")},
          {"bottleneck", text("The stage that most of the critical path goes to.")},
          {"bottleneck_share", number("Of the critical path.")},
          {"faster", number("How many times as fast each thing is that is tried.")},
          {"parts", list(part, "Of a step of one micro-batch.")},
          {"what_ifs", list(what_if, "What helps most first.")},
          {"warnings", list(text())}};
}

Keys rate_keys() {
  Keys one = {{"requests_per_second", number()}, {"holds", truth("Whether the SLA is met.")}};
  for (const char* name :
       {"tokens_per_s_per_gpu", "tpot_p95_ms", "queueing_p95_ms", "time_in_system_p95_ms"}) {
    one.push_back({name, of_figure(answer::simulation_figure(name).spec)});
  }
  return {{"title", text()},
          {"largest_rate_held", maybe(number("Requests per second at which the SLA is met."))},
          {"smallest_rate_missed", maybe(number("Requests per second at which it no longer is."))},
          {"tries", list(object_of(one))}};
}

Keys sweep_keys() {
  Json cell = Json::object();
  cell["type"] = {"number", "string", "boolean", "null"};
  const Json rows = list(by_name(cell));
  Json designs = rows;
  designs["description"] =
      "A row each: what its axes say, its columns, and whether nothing beats it.";
  Json references = rows;
  references["description"] = "The same of what the designs are compared with.";
  return {{"title", text()},
          {"provenance", provenance()},
          {"points", whole("How often the question was asked.")},
          {"invalid_points", whole("Of them that are no design.")},
          {"kept_points", whole("Of them that pass the filters.")},
          {"notes", notes()},
          {"columns", by_name(text(), "What each column is.")},
          {"rows", designs},
          {"references", references}};
}

Keys plan_keys() {
  const Keys structure = {{"name", text()},
                          {"model", text()},
                          {"strategy", text()},
                          {"gpus", whole("Of a replica.")},
                          {"on", text("Instances and their chips.")},
                          {"split", text("How it is split, in words.")}};
  const Json launch = whole("Requests in each group and micro-batch.");
  const Json ranked = object_of(
      structure +
      Keys{
          {"replicas", whole("That the goal allows, or that its rate takes.")},
          {"batch", whole("Requests that a replica decodes at once.")},
          {"requests_per_launch", launch},
          {"requests_per_launch_as_fitted", whole("The same before draws asked for room.")},
          {"requests_per_launch_in_memory", whole("The most that fit.")},
          {"tpot_ms", number("Mean.")},
          {"tpot_p95_ms", number("95th percentile.")},
          {"queueing_ms", maybe(number("At the SLA's percentile, of a workload that arrives."))},
          {"tokens_per_s_per_gpu", number()},
          {"tokens_per_s_per_user", number()},
          {"usd_per_Mtok", maybe(number())},
          {"sla_met_share", maybe(number("Of the draws."))},
          {"sla_met_often_enough", truth("As often as the goal wants.")},
          {"tokens_per_s_per_gpu_90", maybe(interval("90 % of the draws."))},
          {"beats_next_share", maybe(number("Share of draws in which it beats the one after it."))},
          {"bound_by", text("What keeps it from delivering more.")},
          {"kernel_times", provenance()},
          {"links", text("What the times of exchanges rest on.")},
          {"warnings", list(text())},
          {"gpu_us_per_token",
           object_of({{"attention", number()},
                      {"ffn", number()},
                      {"head", number()},
                      {"waiting", number("For another stage, the network or links.")}},
                     "Of a GPU's time per token.")}});
  return {{"title", text()},
          {"partial", truth("Whether the search was stopped.")},
          {"objective", text("What the best has most, or least, of.")},
          {"sla_tpot_ms", number()},
          {"sla_percentile", number("That the SLA is compared with.")},
          {"context_tokens", number("Cached tokens of a request.")},
          {"confidence", number("Share of draws in which the SLA shall be met.")},
          {"samples", whole("Draws of the calibrations.")},
          {"kernel_times", by_name(provenance(), "Of each chip.")},
          {"assumed", text("What no key of a goal says.")},
          {"ranking", list(ranked, "Best first.")},
          {"why", list(text(), "Why the first is first.")},
          {"what_would_make_2_first",
           list(object_of(
               {{"of", text()},
                {"share", maybe(number("They would have to take this share of what they do."))}}))},
          {"near_misses",
           list(object_of(structure + Keys{{"tpot_ms", number()}, {"times_sla", number()}}),
                "Where nothing meets the SLA: what comes nearest.")},
          {"front", list(object_of(structure + Keys{{"within_ms", number("The TPOT allowed.")},
                                                    {"requests_per_launch", launch},
                                                    {"tpot_ms", number()},
                                                    {"tokens_per_s_per_user", number()},
                                                    {"tokens_per_s_per_gpu", number()}}),
                         "The best within other TPOTs than the SLA's, as fitted.")},
          {"impossible", list(object_of({{"strategy", text()},
                                         {"structures", whole("How many share the reason.")},
                                         {"reason", text("Of the first.")}}))},
          {"search", object_of({{"considered", whole()},
                                {"possible", whole()},
                                {"pruned_by_attention", whole()},
                                {"pruned_by_floor", whole()},
                                {"judged", whole()},
                                {"simulations", whole("Of a batch.")},
                                {"cycle_ratios", whole("Of a batch.")},
                                {"draws", whole("Of a batch.")}},
                               "What became of the structures.")}};
}

Keys reproduce_keys() {
  const Json counts = object_of({{"table", text()},
                                 {"cells", whole()},
                                 {"matches", whole()},
                                 {"slips", whole("That differ for a known reason.")},
                                 {"unexplained", whole()}});
  return {{"provenance", provenance()},
          {"title", text()},
          {"source", text()},
          {"assumptions", list(text())},
          {"cells", list(object_of({{"table", text()},
                                    {"row", text()},
                                    {"column", text()},
                                    {"unit", text()},
                                    {"paper", number("As printed.")},
                                    {"ridge", number("As computed.")},
                                    {"matches", truth("To the digits that are printed.")},
                                    {"slip", maybe(text("Why it differs."))}}))},
          {"tables", list(counts)},
          {"summary", counts}};
}

Keys ledger_keys() {
  const Json groups =
      list(object_of({{"by", text("What the rows are of: kind, model, chip, engine; all.")},
                      {"name", text()},
                      {"rows", whole()},
                      {"median_error", number("Of |error|.")},
                      {"p90_error", number("Of |error|.")},
                      {"worst_error", number("Of |error|.")},
                      {"bias", number("Median of the error.")},
                      {"intervals", whole("Rows with one.")},
                      {"in_interval", whole("Rows that lie in theirs.")}}));
  const Json row = object_of(
      {{"figure", text()},
       {"unit", text()},
       {"measured", number()},
       {"predicted", number()},
       {"error", number("Predicted over measured, less one.")},
       {"time_error", number("The same of the time behind the figure.")},
       {"interval", maybe(interval("90 % of the draws of calibrations and seeds."))},
       {"provenance", provenance()},
       {"links", text("What the times of exchanges rest on.")},
       {"source", text("Of the measured figure.")},
       {"explanation", text("Why it may be off.")},
       {"note", text()},
       {"parts_unit", text()},
       {"parts", list(object_of({{"what", text()}, {"value", number()}}),
                      "What the prediction is made of.")},
       optional("group",
                object_of(
                    {{"kind", text()}, {"model", text()}, {"chip", text()}, {"engine", text()}}))});
  return {{"title", text()},
          {"rows", list(row)},
          optional("groups", groups),
          optional("without", list(object_of({{"what", text()}, {"groups", groups}}),
                                   "The errors without one thing that the predictions count.")),
          optional("left_out",
                   list(object_of({{"figure", text()}, {"source", text()}, {"reason", text()}})))};
}

Keys fit_keys() {
  return {
      {"provenance", provenance()},
      {"model", text()},
      {"stage_budget_ms", number()},
      {"context_tokens", number()},
      {"micro_batches", whole()},
      {"weights_share", number("Of the memory.")},
      {"rows",
       list(object_of({{"chip", text()},
                       optional("unknown", text("Why there is no answer.")),
                       optional("attention", object_of(figures(answer::attention_fit_figures()))),
                       optional("ffn", object_of(figures(answer::ffn_fit_figures())))}))},
      {"notes", notes()}};
}

Keys sparsity_keys() {
  Keys row = {{"chip", text()}, optional("unknown", text("Why there is no answer."))};
  for (Key& key : figures(answer::sparsity_figures())) {
    row.push_back(optional(std::move(key.name), std::move(key.schema)));
  }
  return {{"provenance", provenance()},
          {"model", text()},
          {"hidden", whole()},
          {"layers", whole()},
          {"sparsity", number("Share of the experts that a token uses.")},
          {"bytes_per_token_and_layer", number("On the wire, both ways.")},
          {"stage_budget_ms", number()},
          {"rows", list(object_of(row))},
          {"notes", notes()}};
}

Keys kernels_keys() {
  return {{"calibration", text()},
          {"chip", text("What it was fitted for.")},
          {"files", list(text())},
          {"device", text("As the files name it; empty where they do not.")},
          {"rows", list(object_of(Keys{{"operator", text()},
                                       {"format", text("Of the product or the cache.")},
                                       {"head_dim", whole("Attention only, else 0.")},
                                       {"kernel", text("That was measured.")},
                                       {"answered_by",
                                        maybe(text("Whose curve answers; null: there is none."))}} +
                                  figures(evidence::kernel_figures())))},
          {"notes", notes()}};
}

Keys support_keys() {
  const Json row =
      object_of(Keys{{"part", text("attention, FFN, LM head.")},
                     {"block", text("The model's name for these layers; empty for the LM head.")},
                     {"operator", text()},
                     {"basis", text("measured, transferred, stand-in, no curve, assumed, theory; "
                                    "nothing where it takes no time of its own.")},
                     {"kernel", text("Whose curve answers; empty where it has no name.")}} +
                figures(answer::support_figures()));
  Json shares = Json::object();
  shares["description"] = "Share of the operators' time, by what it rests on.";
  shares["type"] = "object";
  shares["additionalProperties"] = {{"type", "number"}};
  const Json chip = object_of(
      {{"chip", text()},
       optional("unknown", text("Why nothing can be priced.")),
       optional("kernels", text("Where the times come from.")),
       optional("share_by_basis", shares),
       optional("measured_within_range", number("Share measured, within the shapes measured.")),
       optional("operators", list(row))});
  return {{"model", text()},
          {"context", number("Cached tokens per request.")},
          {"batch", number("Requests that a launch serves.")},
          {"remark", text("Where the context is more than the model was made for; else empty.")},
          {"chips", list(chip)}};
}

Keys model_keys() {
  const Json launch = object_of({{"name", text()},
                                 {"part", text()},
                                 {"shape", text()},
                                 {"flop", number()},
                                 {"compute", text("Number format of the arithmetic.")},
                                 {"weight_bytes", number()},
                                 {"cache_read_bytes", number()},
                                 {"cache_written_bytes", number()},
                                 {"activations_read_bytes", number()},
                                 {"activations_written_bytes", number()}});
  const Json blocks = list(object_of({{"name", text()},
                                      {"kind", text()},
                                      {"layers", whole("With this block.")},
                                      {"parameters", number("Of one layer.")},
                                      {"active_parameters", number("Multiplied with one token.")},
                                      optional("effective_rank", whole()),
                                      optional("cache_bytes", number("Of a request.")),
                                      {"operators", list(launch, "What a layer launches.")}}));
  return Keys{{"kind", {{"const", "model"}}}, {"name", text()}, {"title", text()}} +
         figures(answer::model_figures()) +
         Keys{{"published_total_parameters", maybe(number())},
              {"published_active_parameters", maybe(number())},
              {"kv_bytes", number("Of a request.")},
              {"hidden", whole()},
              {"vocabulary", whole()},
              {"mtp_modules", whole()},
              {"precision", object_of({{"weights", text()},
                                       {"compute", text()},
                                       {"cache", text()},
                                       {"activations", text()},
                                       {"wire_dispatch", text()},
                                       {"wire_combine", text()}},
                                      "Number formats.")},
              {"context_tokens", number("Cached tokens of a request.")},
              {"batch", number("Requests that one launch serves.")},
              {"attention", blocks},
              {"ffn", blocks}};
}

Keys chip_keys() {
  const Json fact =
      object_of({{"value", maybe(number())},
                 {"source", text()},
                 {"absent", truth("The chip has none.")},
                 {"unconfirmed", truth("Not seen in a source that can be trusted.")}});
  const Json by_precision = by_name(number());
  return {{"kind", {{"const", "chip"}}},
          {"name", text()},
          {"title", text()},
          {"vendor", text()},
          {"generation", text()},
          {"facts", by_name(fact, "Each figure; its unit ends its name.")},
          {"ridge_point_FLOP_per_byte", by_precision},
          {"prices", list(object_of({{"name", text("Of the list.")},
                                     {"rate_USD_per_hour", number()},
                                     {"source", text()},
                                     {"usd_per_flop", by_precision},
                                     {"usd_per_byte", maybe(number("Of memory traffic."))}}))}};
}

Keys list_keys() {
  return {{"kind", text("What is listed.")}, {"entries", list(by_name(text()))}};
}

Keys check_keys() {
  const Json mistake = object_of({{"file", text("Where it is, which a file may only name.")},
                                  {"pointer", text("JSON pointer; empty for the whole file.")},
                                  {"message", text("What was expected, and found.")}});
  return {{"files", list(object_of({{"file", text()},
                                    {"kind", maybe(text("Null where it could not be told."))},
                                    {"ok", truth()},
                                    {"mistakes", list(mistake)}}))}};
}

struct Answer {
  std::string_view name;
  std::string_view command;
  Keys (*keys)();
  Keys (*definitions)() = nullptr;
};
// A new answer is one line here.
constexpr std::array kAnswers = {
    Answer{"cost-answer", "ridge cost", cost_keys},
    Answer{"simulate-answer", "ridge simulate", simulate_keys},
    Answer{"compare-answer", "ridge simulate --compare", compare_keys,
           [] {
             return Keys{{"simulation", object_of(simulate_keys())}};
           }},
    Answer{"rate-answer", "ridge simulate --largest-rate", rate_keys},
    Answer{"explain-answer", "ridge explain", explain_keys},
    Answer{"sweep-answer", "ridge sweep", sweep_keys},
    Answer{"plan-answer", "ridge plan", plan_keys},
    Answer{"reproduce-answer", "ridge reproduce", reproduce_keys},
    Answer{"ledger-answer", "ridge reproduce --measured", ledger_keys},
    Answer{"kernels-answer", "ridge reproduce --kernels", kernels_keys},
    Answer{"fit-answer", "ridge fit", fit_keys},
    Answer{"sparsity-answer", "ridge sparsity", sparsity_keys},
    Answer{"support-answer", "ridge support", support_keys},
    Answer{"model-answer", "ridge show MODEL", model_keys},
    Answer{"chip-answer", "ridge show CHIP", chip_keys},
    Answer{"check-answer", "ridge check", check_keys},
    Answer{"list-answer", "ridge list", list_keys},
};

}  // namespace

std::vector<std::string> answer_names() {
  std::vector<std::string> out;
  for (const Answer& answer : kAnswers) out.emplace_back(answer.name);
  return out;
}

std::optional<std::string> answer_schema(const std::string& name) {
  const auto found = std::find_if(kAnswers.begin(), kAnswers.end(),
                                  [&](const Answer& answer) { return answer.name == name; });
  if (found == kAnswers.end()) return std::nullopt;
  std::string title = name;
  std::replace(title.begin(), title.end(), '-', ' ');
  Json out{{"$schema", "http://json-schema.org/draft-07/schema#"},
           {"title", fmt::format("Ridge {}", title)}};
  const Keys version = {{"schema_version", {{"const", view::kSchemaVersion}}}};
  out.update(object_of(version + found->keys(),
                       fmt::format("What {} --format json writes.", found->command)));
  if (found->definitions != nullptr) {
    for (const Key& key : found->definitions()) out["definitions"][key.name] = key.schema;
  }
  return json_lines(out);
}

}  // namespace ridge::files
