// A sweep writes numbers into a question that was read once. It must never show.
#include "property.hpp"
#include "ridge/hwmodels/theory/token_cost.hpp"
#include "ridge/sweep/pareto.hpp"
#include "ridge/sweep/sweep.hpp"
#include "ridge/sweep/sweep_output.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

using nlohmann::json;

constexpr std::array kColumns = {"total_parameters", "active_parameters", "weight_bytes",
                                 "layers",           "effective_rank",    "kv_bytes_per_token",
                                 "kv_bytes",         "attention_flop",    "linear_flop",
                                 "ffn_flop",         "total_usd_per_Mtok"};

// One point, read from a file of its own. Nothing where the reader or the model refuses it.
std::optional<std::vector<double>> alone(const json& model_json, const json& chip_json,
                                         double context) {
  Diagnostics diagnostics;
  const JsonContext context_of_file{.file = "alone", .diagnostics = &diagnostics};
  models::ModelSpec model;
  read_model(JsonNode(model_json, context_of_file), model);
  hw::ChipSpec chip;
  read_chip(JsonNode(chip_json, context_of_file), chip);
  if (!diagnostics.ok()) return std::nullopt;
  const hw::theory::TokenTime time =
      hw::theory::TokenTimeModel().time(model, hw::theory::RooflineChip(chip), context);
  const hw::theory::TokenCost cost = hw::theory::cost_of(time, chip.price()->rate);
  return std::vector<double>{model.total_parameters(),
                             model.active_parameters(),
                             model.weight_bytes().value(),
                             static_cast<double>(model.layers()),
                             static_cast<double>(model.effective_rank()),
                             model.cache_bytes_per_token().value(),
                             time.demand.cache.value(),
                             time.demand.attention.value(),
                             time.demand.attention_linear.value(),
                             time.demand.ffn.value(),
                             cost.total().value() * 1e6};
}

// A model and a chip, and every number in them.
struct Base {
  models::ModelSpec model;
  hw::ChipSpec chip;
  std::vector<std::string> numbers;

  explicit Base(const json& base) {
    Diagnostics diagnostics;
    const JsonContext context{.file = "x", .diagnostics = &diagnostics};
    read_model(JsonNode(base.at("model"), context, "/model"), model);
    read_chip(JsonNode(base.at("chip"), context, "/chip"), chip);
    for (const char* part : {"model", "chip"}) {
      const json leaves = base.at(part).flatten();
      for (const auto& [pointer, value] : leaves.items()) {
        if (value.is_number()) numbers.push_back(fmt::format("/{}{}", part, pointer));
      }
    }
  }

  [[nodiscard]] bool takes(const std::string& pointer, double value) {
    constexpr std::string_view kModel = "/model";
    constexpr std::string_view kChip = "/chip";
    const JsonPlace place = pointer.starts_with(kModel)
                                ? find_place(model, pointer.substr(kModel.size()))
                                : find_place(chip, pointer.substr(kChip.size()));
    // What has no place of its own is read anew, and checked then.
    return !place || place.assign(value);
  }

  [[nodiscard]] double any_value(const std::string& pointer, double now) {
    const auto most = static_cast<std::int64_t>(2.0 * std::max(now, 4.0));
    const auto value = static_cast<double>(*rc::gen::inRange<std::int64_t>(1, most + 1));
    return takes(pointer, value) ? value : now;
  }
};

TEST(Sweep, EveryPointEqualsTheSamePointAloneToTheLastBit) {
  const auto names = models::model_names();
  test::expect_property("a sweep's point equals the same point alone", [&] {
    const auto name = names[*rc::gen::inRange<std::size_t>(0, names.size())];
    json base = {{"kind", "cost"},
                 {"context_tokens", 8192},
                 {"model", models::model_document(name).json()},
                 {"chip", hw::chip_document("h800").json()}};
    Base parts(base);
    json scenario = {{"kind", "sweep"},
                     {"title", "t"},
                     {"base", base},
                     {"invalid_points", "skip"},
                     {"columns", kColumns}};
    std::set<std::string> chosen;
    std::vector<std::pair<json::json_pointer, std::vector<double>>> axes;
    const auto count = *rc::gen::inRange<std::size_t>(1, 4);
    while (axes.size() < count) {
      const auto& place = parts.numbers[*rc::gen::inRange<std::size_t>(0, parts.numbers.size())];
      if (!chosen.insert(place).second) continue;
      const json::json_pointer pointer(place);
      std::vector<double> values;
      for (int i = 0; i < 3; ++i) {
        values.push_back(parts.any_value(place, base[pointer].get<double>()));
      }
      scenario["axes"].push_back({{"pointer", place}, {"values", values}});
      axes.emplace_back(pointer, values);
    }
    RC_LOG(name + " " + scenario["axes"].dump());

    const SweepScenario question = read_sweep(JsonDocument("x", scenario));
    const auto result = [&]() -> std::optional<SweepResult> {
      try {
        return run_sweep(question, {});
      } catch (const UserError& e) {
        // A sweep of which nothing is left is refused.
        RC_ASSERT(std::string(e.what()).find("points are invalid") != std::string::npos);
        return std::nullopt;
      }
    }();
    if (!result) {
      std::vector<std::size_t> at(axes.size());
      for (bool more = true; more;) {
        json same = base;
        for (std::size_t a = 0; a < axes.size(); ++a) {
          same[axes[a].first] = axes[a].second[at[a]];
        }
        RC_ASSERT(!alone(same["model"], same["chip"], 8192).has_value());
        std::size_t a = 0;
        while (a < at.size() && ++at[a] == axes[a].second.size()) at[a++] = 0;
        more = a < at.size();
      }
      return;
    }
    std::map<std::uint64_t, std::vector<double>> rows;
    for (const SweepChunk& chunk : result->chunks()) {
      for (std::size_t row = 0; row < chunk.offsets.size(); ++row) {
        const auto begin =
            chunk.values.begin() + static_cast<std::ptrdiff_t>(row * kColumns.size());
        rows[chunk.first + chunk.offsets[row]] = {begin, begin + kColumns.size()};
      }
    }
    for (std::uint64_t point = 0; point < result->points(); ++point) {
      json same = base;
      for (std::size_t a = 0; a < axes.size(); ++a) {
        same[axes[a].first] = axes[a].second[result->position(point, a)];
      }
      const auto expected = alone(same["model"], same["chip"], 8192);
      const auto found = rows.find(point);
      RC_ASSERT(expected.has_value() == (found != rows.end()));
      if (expected) RC_ASSERT(found->second == *expected);
    }
  });
}

std::string written(const SweepScenario& scenario, view::OutputFormat format, unsigned threads) {
  const SweepOptions options{.threads = threads};
  std::string text;
  write_sweep(run_sweep(scenario, options), format, options,
              [&](std::string_view piece) { text += piece; });
  return text;
}

TEST(Sweep, IsTheSameTextOnAnyNumberOfThreads) {
  // Several chunks, invalid points, a filter, a front, names and references.
  const SweepScenario scenario = read_sweep(JsonDocument::parse(R"({
    "kind": "sweep", "title": "t", "invalid_points": "skip",
    "base": {"kind": "cost", "model": "qwen3-235b-a22b", "chip": "h800",
             "afd_chips": ["h800", "h20"], "context_tokens": 8192},
    "axes": [
      {"pointer": "/context_tokens", "from": 1024, "to": 65536, "step": 1024},
      {"pointer": "/model/attention/gqa/kv_heads", "from": 1, "to": 16, "step": 1},
      {"pointer": "/model/attention/gqa/head_dim", "from": 16, "to": 256, "step": 16},
      {"pointer": "/chip", "values": ["h800", "a800"]}],
    "filters": [{"column": "kv_bytes_per_token", "max": 200000}],
    "pareto": {"minimize": ["afd_usd_per_Mtok", "kv_bytes"], "maximize": ["effective_rank"],
               "within": ["/context_tokens", "/chip"]},
    "references": ["step-3"]})",
                                                                "x.json"));
  for (const auto format :
       {view::OutputFormat::csv, view::OutputFormat::json, view::OutputFormat::table}) {
    const std::string one = written(scenario, format, 1);
    EXPECT_GT(one.size(), 1000U);
    for (const unsigned threads : {2U, 3U, 7U}) {
      EXPECT_TRUE(written(scenario, format, threads) == one) << threads;
    }
  }
}

TEST(Sweep, FlagsItsFrontAsAComparisonOfAllRowsWould) {
  const SweepResult result = run_sweep(read_sweep(JsonDocument::parse(R"({
    "kind": "sweep", "title": "t",
    "base": {"kind": "cost", "model": "step-3", "chip": "h800", "context_tokens": 8192},
    "columns": ["total_usd_per_Mtok", "kv_bytes_per_token", "effective_rank"],
    "axes": [
      {"pointer": "/context_tokens", "values": [8192, 32768]},
      {"pointer": "/model/attention/mfa/query_heads", "from": 1, "to": 90, "step": 1},
      {"pointer": "/model/attention/mfa/head_dim", "from": 8, "to": 512, "step": 8}],
    "pareto": {"minimize": ["total_usd_per_Mtok", "kv_bytes_per_token"],
               "maximize": ["effective_rank"], "within": ["/context_tokens"]}})",
                                                                      "x.json")),
                                       {.threads = 2});
  ASSERT_GT(result.chunks().size(), 2U);
  struct Row {
    std::size_t context;
    double usd, kv, rank;
    bool flag;
  };
  std::vector<Row> rows;
  for (const SweepChunk& chunk : result.chunks()) {
    for (std::size_t i = 0; i < chunk.offsets.size(); ++i) {
      rows.push_back({result.position(chunk.first + chunk.offsets[i], 0), chunk.values[3 * i],
                      chunk.values[3 * i + 1], chunk.values[3 * i + 2], chunk.pareto[i]});
    }
  }
  std::size_t on_front = 0;
  for (const Row& a : rows) {
    const bool beaten = std::any_of(rows.begin(), rows.end(), [&](const Row& b) {
      return b.context == a.context && b.usd <= a.usd && b.kv <= a.kv && b.rank >= a.rank &&
             (b.usd < a.usd || b.kv < a.kv || b.rank > a.rank);
    });
    ASSERT_EQ(a.flag, !beaten) << a.context << " " << a.rank;
    on_front += a.flag ? 1 : 0;
  }
  EXPECT_GT(on_front, 10U);
  EXPECT_LT(on_front, rows.size() / 2);
}

}  // namespace
}  // namespace ridge::sweep
