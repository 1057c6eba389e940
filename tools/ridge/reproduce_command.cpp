#include "commands.hpp"
#include "output.hpp"
#include "ridge/run/reproduction.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::tools {
namespace {

struct Options {
  std::string reproduction;
  OutputOptions output;
};

void run_reproduce(const Options& options) {
  const run::Reproduction reproduction = run::reproduce(options.reproduction);
  write_output(options.output, run::render(reproduction, options.output.format));
}

}  // namespace

void add_reproduce_command(CLI::App& app) {
  auto* command =
      app.add_subcommand("reproduce", "A published report's figures beside ours, cell by cell");
  auto options = std::make_shared<Options>();
  command
      ->add_option("report", options->reproduction,
                   fmt::format("The report: {}, or the path of a reproduction file",
                               fmt::join(run::reproduction_names(), ", ")))
      ->required();
  add_output_options(*command, options->output, "table|json|csv");
  command->footer([] {
    return fmt::format(
        "Examples:\n"
        "  ridge reproduce {0}\n"
        "  ridge reproduce {0} --format json -o cells.json",
        run::reproduction_names().front());
  });
  command->callback([options] { run_reproduce(*options); });
}

}  // namespace ridge::tools
