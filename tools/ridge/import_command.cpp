#include "commands.hpp"
#include "output.hpp"
#include "ridge/models/huggingface.hpp"

#include <filesystem>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::tools {
namespace {

constexpr const char* kAsShipped = "checkpoint";

struct ImportArguments {
  std::string config;
  std::string name;
  std::string precision = std::string(models::name_of(*models::ImportOptions{}.serve_in));
  std::vector<std::string> ignore;
  std::string as;
  bool force = false;
  OutputOptions output;
};

std::vector<std::string> precision_choices() {
  std::vector<std::string> choices = {kAsShipped};
  for (const auto& named : models::precision_names()) choices.emplace_back(named.name);
  return choices;
}

void run_import(const ImportArguments& options) {
  namespace fs = std::filesystem;
  if (!options.force && fs::is_regular_file(options.output.path)) {
    throw UserError(fmt::format("-o {}: the file is there already; --force writes over it",
                                options.output.path));
  }
  models::ImportOptions import;
  import.name = options.name;
  import.ignore = options.ignore;
  import.as = options.as;
  if (import.name.empty()) {
    const fs::path named = options.output.path.empty() ? options.config : options.output.path;
    import.name = named.stem().string();
  }
  import.serve_in.reset();
  for (const auto& named : models::precision_names()) {
    if (named.name == options.precision) import.serve_in = named.value;
  }
  const auto result =
      models::import_huggingface(models::read_checkpoint_config(options.config), import);
  write_output({.format = view::OutputFormat::json, .path = options.output.path},
               result.model_json);
  for (const auto& assumption : result.assumptions) {
    fmt::print(stderr, "ridge: assumed: {}\n", assumption);
  }
}

}  // namespace

void add_import_command(CLI::App& app) {
  auto* command =
      app.add_subcommand("import", "A Hugging Face config.json turned into a Ridge model");
  auto options = std::make_shared<ImportArguments>();
  command->add_option("config", options->config, "The config.json of a checkpoint, or its folder")
      ->type_name("CONFIG.json")
      ->required();
  command->add_option("--name", options->name,
                      "The model's name (default: that of the written or the read file)");
  command
      ->add_option(
          "--precision", options->precision,
          fmt::format("Number format to serve in: weights unless narrower, matrix products, KV "
                      "cache, attention, but for what a family serves in a format of its own; "
                      "\"{}\" keeps the checkpoint's own",
                      kAsShipped))
      ->check(CLI::IsMember(precision_choices()))
      ->type_name("FORMAT")
      ->capture_default_str();
  command
      ->add_option("--as", options->as,
                   "Read it as this family or \"model_type\", whatever the configuration says")
      ->type_name("FAMILY");
  command
      ->add_option("--ignore", options->ignore,
                   "Read it as if this key were not given: a name, or a JSON pointer; may be given "
                   "again")
      ->type_name("KEY")
      ->allow_extra_args(false);
  command->add_flag("--force", options->force, "Write over a file that is there already");
  command
      ->add_option("-o,--output", options->output.path,
                   "Write to this file instead of standard output")
      ->type_name("FILE");
  command->footer([] {
    return fmt::format(
        "What the configuration does not say is assumed, and told on standard error and in the\n"
        "model's \"comment\". A key that is not understood is refused unless its value means\n"
        "nothing (false, 0, null): a guess would be a wrong cost. You may know better: --ignore.\n"
        "Understood are the model types\n"
        "  {}\n\n"
        "Examples:\n"
        "  ridge import config.json -o my-model.json\n"
        "  ridge import checkpoints/my-model --precision {} | ridge show /dev/stdin\n"
        "  ridge import config.json --as llama --ignore my_new_key -o my-model.json",
        fmt::join(models::importable_model_types(), "\n  "), kAsShipped);
  });
  command->callback([options] { run_import(*options); });
}

}  // namespace ridge::tools
