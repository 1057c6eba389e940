#include "disaggregation_factors.hpp"

#include "ridge/base/format.hpp"
#include "ridge/view/text_table.hpp"

#include <fmt/format.h>

namespace ridge::answer {
namespace {

bool is_split(const SimulationReport& report) {
  return report.attention_pool != report.ffn_pool;
}

double per_gpu_of(const SimulationReport& report, std::size_t pool) {
  return report.result.mean_requests / static_cast<double>(report.pool_gpus[pool]);
}
double holding(const SimulationReport& report) {
  return static_cast<double>(report.pool_gpus[report.attention_pool]) /
         static_cast<double>(report.gpus);
}
// Between two tokens of a request, by what the requests in decode got.
double seconds_between_tokens(const SimulationReport& report) {
  return report.result.mean_requests / report.tokens_per_second();
}

}  // namespace

std::optional<DisaggregationFactors> disaggregation_factors(const SimulationReport& a,
                                                            const SimulationReport& b) {
  const auto delivers = [](const SimulationReport& report) {
    return report.result.mean_requests > 0.0 && report.tokens_per_second() > 0.0;
  };
  if (is_split(a) == is_split(b) || !delivers(a) || !delivers(b)) return std::nullopt;
  const SimulationReport& split = is_split(a) ? a : b;
  const SimulationReport& whole = is_split(a) ? b : a;
  return DisaggregationFactors{
      .split = &split,
      .whole = &whole,
      .batch = per_gpu_of(split, split.attention_pool) / per_gpu_of(whole, whole.attention_pool),
      .holding = holding(split) / holding(whole),
      .latency = seconds_between_tokens(whole) / seconds_between_tokens(split),
      .throughput = split.tokens_per_second_per_gpu() / whole.tokens_per_second_per_gpu(),
      .experts_batch = per_gpu_of(split, split.ffn_pool) / per_gpu_of(whole, whole.ffn_pool)};
}

std::string table_of(const DisaggregationFactors& f) {
  const SimulationReport& split = *f.split;
  const SimulationReport& whole = *f.whole;
  view::TextTable table;
  table.column("why", view::Align::left);
  table.column(split.name);
  table.column(whole.name);
  table.column("factor");
  const auto row = [&](const char* what, double x, double y, double factor) {
    table.row({what, significant(x, 4), significant(y, 4), significant(factor, 3)});
  };
  row("requests per GPU with KV", per_gpu_of(split, split.attention_pool),
      per_gpu_of(whole, whole.attention_pool), f.batch);
  row("GPUs with KV (%)", 100.0 * holding(split), 100.0 * holding(whole), f.holding);
  row("between two tokens (ms)", 1e3 * seconds_between_tokens(split),
      1e3 * seconds_between_tokens(whole), f.latency);
  table.rule();
  row("tokens/s/GPU", split.tokens_per_second_per_gpu(), whole.tokens_per_second_per_gpu(),
      f.throughput);
  return table.text() +
         fmt::format(
             "A GPU with experts works for {} requests, not {}. At these times between tokens the "
             "split deployment breaks even with {} times the requests per GPU with KV.\n",
             significant(per_gpu_of(split, split.ffn_pool), 3),
             significant(per_gpu_of(whole, whole.ffn_pool), 3),
             significant(f.break_even_batch(), 3));
}

const view::AnswerKeys<DisaggregationFactors>& answer_keys(const DisaggregationFactors* /*of*/) {
  using F = DisaggregationFactors;
  static const view::AnswerKeys<F> keys(
      {{"split", "The one with attention and FFN on GPUs of their own.",
        [](const F& f) { return f.split->name; }},
       {"batch", "Requests on each GPU that holds any, split over whole.", &F::batch},
       {"gpus_that_hold_requests", "Their share, split over whole.", &F::holding},
       {"latency", "TPOT, whole over split.", &F::latency},
       {"tokens_per_s_per_gpu", "Split over whole: the product.", &F::throughput},
       {"experts_batch", "Requests on each GPU that holds experts.", &F::experts_batch},
       {"break_even_batch", "At which both deliver as much.", &F::break_even_batch}});
  return keys;
}

}  // namespace ridge::answer
