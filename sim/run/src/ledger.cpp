#include "ridge/run/ledger.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/text_table.hpp"
#include "ridge/hwmodels/link_spec.hpp"
#include "ridge/models/attention.hpp"
#include "ridge/run/kernel_choice.hpp"
#include "ridge/run/scenario_files.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::run {
namespace {

enum class Kind : std::uint8_t { simulation, attention_layer, message };
constexpr std::array<Named<Kind>, 3> kKinds = {{{"simulation", Kind::simulation},
                                                {"attention_layer", Kind::attention_layer},
                                                {"message", Kind::message}}};

// A deployment's throughput or TPOT.
void predict_simulation(JsonObject& entry, const std::string& file, int samples, LedgerRow& row) {
  std::string scenario;
  std::string quantity;
  entry.required("scenario", scenario);
  const auto quantity_node = entry.required("quantity");
  const std::array<std::string, 2> quantities = {"tokens_per_s_per_gpu", "tpot_ms"};
  const auto chosen = quantity_node ? quantity_node->read_choice(quantities) : std::nullopt;
  if (!chosen || scenario.empty()) return;
  const std::string reference = reference_from(file, scenario);
  const SimulationReport report = simulate(load_simulation(reference));
  const Uncertainty uncertainty = uncertainty_of(reference, samples);
  row.provenance = report.provenance;
  if (*chosen == 0) {
    row.unit = "tok/s/GPU";
    row.predicted = report.tokens_per_second_per_gpu();
    if (samples > 0) row.interval = uncertainty.tokens_per_second_per_gpu;
  } else {
    row.unit = "ms";
    row.predicted = report.result.mean_tpot.value() * 1e3;
    if (samples > 0) {
      row.interval =
          Interval{uncertainty.tpot_seconds.low * 1e3, uncertainty.tpot_seconds.high * 1e3};
    }
  }
}

double layer_microseconds(const hw::KernelModel& kernels, const models::OperatorList& operators) {
  Seconds total;
  for (const auto& op : operators) total += kernels.time(op).time;
  return total.value() * 1e6;
}

// One attention layer with the projections before and after it.
void predict_layer(JsonObject& entry, const std::string& file, int samples, LedgerRow& row) {
  std::string model_name;
  std::string chip_name;
  std::string which;
  models::DecodeShape shape;
  models::AttentionShard shard;
  models::Precision precision = models::Precision::bf16;
  bool complete = entry.required("model", model_name);
  complete = entry.required("chip", chip_name) && complete;
  complete = entry.required("kernel_model", which) && complete;
  complete = entry.required("context_tokens", shape.context, between(1, 1e9)) && complete;
  complete = entry.required("sequences", shape.sequences, between(1, 1e6)) && complete;
  complete = entry.required("tensor_parallel", shard.tensor_parallel, between(1, 1024)) && complete;
  complete =
      entry.required("attention_precision", precision, models::precision_names()) && complete;
  if (!complete) return;
  const models::ModelSpec model = models::load_model(reference_from(file, model_name));
  const hw::ChipSpec chip = hw::load_chip(reference_from(file, chip_name));
  models::AttentionBlock block = model.attentions.front();
  block.cache = precision;
  block.compute = precision;
  models::OperatorList operators;
  models::attention_operators(block, model.precisions, model.hidden, shape, shard,
                              models::MlaCount::absorbed, operators);
  const auto kernels = choose_kernels(which, chip, file);
  row.unit = "us";
  row.provenance = kernels->provenance();
  row.predicted = layer_microseconds(*kernels, operators);
  if (samples == 0 || which == "theoretical") return;
  std::vector<double> drawn;
  for (int i = 1; i <= samples; ++i) {
    const CalibrationDraw draw{static_cast<std::uint64_t>(i)};
    drawn.push_back(layer_microseconds(*choose_kernels(which, chip, file, draw), operators));
  }
  row.interval = central_interval(std::move(drawn));
}

void predict_message(JsonObject& entry, LedgerRow& row) {
  std::int64_t bytes = 0;
  hw::LinkSpec link;
  bool complete = entry.required("bytes", bytes, between(1, 1e15));
  complete = entry.required("bandwidth_GBps", link.bandwidth) && complete;
  complete = entry.required("overhead_us", link.latency, at_least(0)) && complete;
  if (!complete) return;
  row.unit = "us";
  row.provenance = "theory";
  row.predicted = link.time(Bytes{static_cast<double>(bytes)}).value() * 1e6;
}

LedgerRow predict(const JsonNode& node, int samples) {
  JsonObject entry(node);
  LedgerRow row;
  entry.required("figure", row.figure);
  entry.required("measured", row.measured, positive());
  entry.required("source", row.source);
  entry.required("explanation", row.explanation);
  Kind kind = Kind::message;
  if (!entry.required("kind", kind, std::span<const Named<Kind>>(kKinds))) return row;
  try {
    switch (kind) {
      case Kind::simulation:
        predict_simulation(entry, node.file(), samples, row);
        break;
      case Kind::attention_layer:
        predict_layer(entry, node.file(), samples, row);
        break;
      case Kind::message:
        predict_message(entry, row);
        break;
    }
  } catch (const UserError& e) {
    node.error(e.what());
  }
  return row;
}

std::string short_provenance(const LedgerRow& row) {
  return row.provenance.substr(0, row.provenance.find(' '));
}

std::string interval_words(const LedgerRow& row) {
  if (!row.interval) return "-";
  return fmt::format("{} to {}", significant(row.interval->low, 4),
                     significant(row.interval->high, 4));
}

std::string summary(const Ledger& ledger) {
  const auto worst = std::max_element(ledger.rows.begin(), ledger.rows.end(),
                                      [](const LedgerRow& a, const LedgerRow& b) {
                                        return std::abs(a.error()) < std::abs(b.error());
                                      });
  const auto within = [&](double limit) {
    return std::count_if(ledger.rows.begin(), ledger.rows.end(),
                         [&](const LedgerRow& row) { return std::abs(row.error()) <= limit; });
  };
  return fmt::format("{} of {} within 10 %, {} within 15 %; the worst is {} ({:+.0f} %).\n",
                     within(0.10), ledger.rows.size(), within(0.15), worst->figure,
                     100.0 * worst->error());
}

std::string table(const Ledger& ledger) {
  TextTable text;
  text.column("figure", Align::left);
  text.column("measured");
  text.column("predicted");
  text.column("", Align::left);
  text.column("error");
  text.column("9 of 10 draws");
  text.column("kernel times", Align::left);
  for (const LedgerRow& row : ledger.rows) {
    text.row({row.figure, significant(row.measured, 4), significant(row.predicted, 4), row.unit,
              fmt::format("{:+.1f} %", 100.0 * row.error()), interval_words(row),
              short_provenance(row)});
  }
  return ledger.title + "\n\n" + text.text() + "\n" + summary(ledger);
}

std::string csv(const Ledger& ledger) {
  std::string out = "figure,unit,measured,predicted,error,low,high,provenance,source,explanation\n";
  for (const LedgerRow& row : ledger.rows) {
    out += csv_line({row.figure, row.unit, fmt::format("{}", row.measured),
                     fmt::format("{}", row.predicted), fmt::format("{}", row.error()),
                     row.interval ? fmt::format("{}", row.interval->low) : "",
                     row.interval ? fmt::format("{}", row.interval->high) : "", row.provenance,
                     row.source, row.explanation}) +
           "\n";
  }
  return out;
}

std::string json(const Ledger& ledger) {
  using Json = nlohmann::ordered_json;
  Json rows = Json::array();
  for (const LedgerRow& row : ledger.rows) {
    rows.push_back(
        {{"figure", row.figure},
         {"unit", row.unit},
         {"measured", row.measured},
         {"predicted", row.predicted},
         {"error", row.error()},
         {"interval", row.interval ? Json{row.interval->low, row.interval->high} : Json(nullptr)},
         {"provenance", row.provenance},
         {"source", row.source},
         {"explanation", row.explanation}});
  }
  return Json{{"title", ledger.title}, {"rows", rows}}.dump(2) + "\n";
}

}  // namespace

Ledger predict_ledger(const std::string& name_or_path, int samples) {
  const Catalog catalog("the name of a ledger", "scenarios/ledger");
  const JsonDocument document = JsonDocument::read(catalog.resolve(name_or_path));
  Diagnostics diagnostics;
  const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
  Ledger ledger;
  {
    JsonObject object(JsonNode(document.json(), context));
    object.ignore("$schema");
    object.ignore("comment");
    require_kind(object, "ledger");
    object.required("title", ledger.title);
    if (const auto entries = object.required("entries")) {
      for (const JsonNode& entry : entries->elements()) {
        ledger.rows.push_back(predict(entry, samples));
      }
      if (entries->is_array() && ledger.rows.empty()) entries->expected("at least one entry");
    }
  }
  diagnostics.throw_if_errors();
  return ledger;
}

std::string render(const Ledger& ledger, OutputFormat format) {
  switch (format) {
    case OutputFormat::csv:
      return csv(ledger);
    case OutputFormat::json:
      return json(ledger);
    case OutputFormat::table:
      break;
  }
  return table(ledger);
}

std::string ledger_page(const Ledger& ledger, const std::string& command) {
  std::string out = fmt::format(
      "# How far off is Ridge?\n\n"
      "{}. None of them was used in fitting: kernels and links are calibrated from kernel- and\n"
      "link-level measurements alone. This page is made by\n\n    {}\n\n"
      "*Nine of ten draws*: where 90 % of the predictions fall when every calibrated curve is "
      "drawn\n"
      "again within what its fit leaves open.\n\n"
      "| figure | measured | predicted | error | nine of ten draws | kernel times |\n"
      "| --- | ---: | ---: | ---: | ---: | --- |\n",
      ledger.title, command);
  for (const LedgerRow& row : ledger.rows) {
    out += fmt::format("| {} | {} {} | {} | {:+.1f} % | {} | {} |\n", row.figure,
                       significant(row.measured, 4), row.unit, significant(row.predicted, 4),
                       100.0 * row.error(), interval_words(row), row.provenance);
  }
  out += "\n" + summary(ledger) + "\n## Why\n\n";
  for (const LedgerRow& row : ledger.rows) {
    out += fmt::format("- **{}** ({}; {:+.1f} %): {}\n", row.figure, row.source,
                       100.0 * row.error(), row.explanation);
  }
  return out;
}

}  // namespace ridge::run
