#include "arguments.hpp"
#include "commands.hpp"
#include "names.hpp"
#include "output.hpp"
#include "ridge/answer/cost_report.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/format.hpp"
#include "ridge/base/ordered_json.hpp"
#include "ridge/report/pages.hpp"
#include "ridge/scenario/cost_scenario.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::tools {
namespace {

struct CostArguments {
  std::string scenario = scenario::kDefaultCostScenario;
  std::string models;
  std::string chips;
  std::string contexts;
  std::string price;
  double batch = 0.0;
  bool count_mla_as_step3 = false;
  std::string report;
  OutputOptions output;
};

// The scenario's file with what the command line put in place of its parts. A batch, prices and
// ways to count are no keys of it: the command says them.
view::PageQuestion question_of(const CostArguments& options, const scenario::CostScenario& scenario,
                               const report::Asked& how) {
  auto question = report::question_of(scenario::scenario_path(options.scenario), how, "ridge cost");
  auto document = OrderedJson::parse(question.json);
  if (!options.models.empty()) document["models"] = split_list(options.models, "--model");
  if (!options.chips.empty()) document["chips"] = split_list(options.chips, "--chip");
  if (!options.contexts.empty()) document["context_tokens"] = scenario.contexts;
  question.json = document.dump(2, ' ', false, OrderedJson::error_handler_t::replace);
  return question;
}

void run_cost(const CostArguments& options) {
  const report::Asked how = asked(options.report);
  scenario::CostScenario scenario = scenario::load_cost_scenario(options.scenario);
  if (!options.contexts.empty()) {
    scenario.contexts.clear();
    for (const auto& text : split_list(options.contexts, "--context")) {
      scenario.contexts.push_back(parse_tokens(text, "--context"));
    }
  }
  answer::CostQuestion question;
  question.models = models_or(options.models, scenario);
  question.chips = chips_or(options.chips, scenario);
  question.contexts = scenario.contexts;
  question.prices = answer::parse_prices(options.price, "--price");
  if (options.batch > 0.0) question.assumptions.batch = options.batch;
  if (options.count_mla_as_step3) question.assumptions.mla_count = models::MlaCount::step3;
  const answer::CostReport report = answer::answer(question);
  if (!options.report.empty()) {
    write_file(options.report,
               report::cost_page(report, scenario.title, question_of(options, scenario, how), how));
  }
  write_output(options.output, answer::render(report, options.output.format));
}

}  // namespace

void add_cost_command(CLI::App& app) {
  auto* command = app.add_subcommand("cost", "What decoding a token costs, by model and chip");
  auto options = std::make_shared<CostArguments>();
  command
      ->add_option("scenario", options->scenario,
                   "What to compare: a scenario's name or file; the options below override it")
      ->capture_default_str();
  command->add_option("-m,--model", options->models, "Models: names (ridge list models) or files")
      ->check(not_empty())
      ->type_name("A,B,...");
  command->add_option("-c,--chip", options->chips, "Chips: names (ridge list chips) or files")
      ->check(not_empty())
      ->type_name("A,B,...");
  command->add_option("--context", options->contexts, "Cached tokens per request")
      ->check(not_empty())
      ->type_name("8K,32K,...");
  command
      ->add_option("--price", options->price,
                   "A price list (see ridge show CHIP), USD per hour of single chips, or both")
      ->type_name("LIST,CHIP=USD,...");
  command
      ->add_option("--batch", options->batch,
                   "Tokens that share one reading of the weights (default: unlimited)")
      ->check(number_between(1.0, 1e9));
  command->add_flag("--count-mla-as-step3", options->count_mla_as_step3,
                    "Count MLA's value product over 576 values, as the Step-3 report does");
  add_report_option(*command, options->report);
  add_output_options(*command, options->output, "table|csv|json");
  command->footer([] {
    const ExampleNames names = example_names();
    return fmt::format(
        "Examples:\n"
        "  ridge cost\n"
        "  ridge cost --model {0} --chip {1},{2} --context 8K,32K,128K\n"
        "  ridge cost --chip {1},{2} --price {1}=1.5,{2}=0.9\n"
        "  ridge cost --model my-model.json --chip {1} --batch 256 --format json",
        names.model, names.chip, names.other_chip);
  });
  command->callback([options] { run_cost(*options); });
}

}  // namespace ridge::tools
