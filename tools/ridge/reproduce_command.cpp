#include "arguments.hpp"
#include "commands.hpp"
#include "output.hpp"
#include "ridge/base/file.hpp"
#include "ridge/evidence/kernels.hpp"
#include "ridge/evidence/ledger.hpp"
#include "ridge/evidence/reproduction.hpp"
#include "ridge/report/pages.hpp"

#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::tools {
namespace {

struct ReproduceArguments {
  std::string reproduction;
  bool measured = false;
  std::string serving;
  std::vector<std::string> kernels;
  std::string calibration;
  std::string chip;
  std::string errors;
  std::string page;
  std::string write;
  std::string report;
  int samples = 100;
  bool samples_given = false;
  std::vector<std::string> fixed;
  OutputOptions output;
};

void run_ledger(const ReproduceArguments& options) {
  const report::Asked how = asked(options.report);
  const evidence::Ledger ledger =
      options.serving.empty()
          ? evidence::predict_ledger(options.reproduction, options.samples, {}, options.fixed)
          : evidence::predict_serving_table(options.serving, options.samples, {}, options.fixed);
  for (const std::string& warning : ledger.warnings) warn(warning);
  if (!options.page.empty()) {
    const std::string what = options.serving.empty()
                                 ? fmt::format("{} --measured", options.reproduction)
                                 : fmt::format("--serving {}", options.serving);
    std::string draws = options.samples == ReproduceArguments{}.samples
                            ? ""
                            : fmt::format(" --samples {}", options.samples);
    for (const std::string& name : options.fixed) draws += fmt::format(" --fixed \"{}\"", name);
    write_file(options.page,
               evidence::ledger_page(ledger, fmt::format("ridge reproduce {} --page {}{}", what,
                                                         options.page, draws)));
  }
  if (!options.report.empty()) write_file(options.report, report::ledger_page(ledger, how));
  if (!options.write.empty()) {
    const auto files = evidence::write_scenarios(ledger, options.write);
    fmt::print(stderr, "ridge: wrote {} scenarios to {}\n", files.size(), options.write);
  }
  write_output(options.output, evidence::render(ledger, options.output.format));
}

void run_kernels(const ReproduceArguments& options) {
  const report::Asked how = asked(options.report);
  const auto measured = evidence::read_kernels(options.kernels, options.calibration, options.chip);
  const auto ledger = evidence::judge_kernels(measured);
  if (!options.page.empty()) {
    write_file(options.page,
               evidence::kernels_page(
                   ledger, fmt::format("ridge reproduce --kernels {} --calibration {}{} --page {}",
                                       fmt::join(options.kernels, " "), options.calibration,
                                       options.chip.empty() ? "" : " --chip " + options.chip,
                                       options.page)));
  }
  if (!options.report.empty()) write_file(options.report, report::kernels_page(ledger, how));
  if (!options.errors.empty()) evidence::write_transfer_errors(measured, options.errors);
  write_output(options.output, evidence::render(ledger, options.output.format));
}

void run_reproduce(const ReproduceArguments& options) {
  const int asked_for = static_cast<int>(!options.reproduction.empty()) +
                        static_cast<int>(!options.serving.empty()) +
                        static_cast<int>(!options.kernels.empty());
  if (asked_for != 1) {
    throw UserError(
        "expected one of the name of a report, --serving FILE.csv and --kernels FILE.csv");
  }
  const bool ledger = options.measured || !options.serving.empty();
  if (options.measured && options.reproduction.empty()) {
    throw UserError("--measured goes with the name of a report");
  }
  if (!options.page.empty() && !ledger && options.kernels.empty()) {
    throw UserError("--page goes with --measured, --serving or --kernels");
  }
  if (!options.write.empty() && !ledger) {
    throw UserError("--write goes with --measured or --serving");
  }
  if (!ledger && (options.samples_given || !options.fixed.empty())) {
    throw UserError(fmt::format("{} goes with --measured or --serving",
                                options.samples_given ? "--samples" : "--fixed"));
  }
  if (ledger) {
    run_ledger(options);
    return;
  }
  if (!options.kernels.empty()) {
    run_kernels(options);
    return;
  }
  const report::Asked how = asked(options.report);
  const evidence::Reproduction reproduction = evidence::reproduce(options.reproduction);
  if (!options.report.empty()) {
    write_file(options.report, report::reproduction_page(reproduction, how));
  }
  write_output(options.output, evidence::render(reproduction, options.output.format));
}

}  // namespace

void add_reproduce_command(CLI::App& app) {
  auto* command =
      app.add_subcommand("reproduce", "A published report's figures beside ours, cell by cell");
  auto options = std::make_shared<ReproduceArguments>();
  // Not "report": CLI11 2.4 takes a positional and an option of one name for the same.
  command->add_option("published", options->reproduction,
                      "The report: its name, or the path of a reproduction file; with --measured, "
                      "a ledger");
  command
      ->add_option("--serving", options->serving,
                   "Instead: a table of serving measurements, a line each (docs/serving.md)")
      ->type_name("FILE.csv");
  auto* kernels =
      command
          ->add_option("--kernels", options->kernels,
                       "Instead: measured kernels, as ridge calibrate reads them, beside a "
                       "calibration (docs/calibration.md)")
          ->type_name("FILE.csv");
  auto* calibration = command
                          ->add_option("--calibration", options->calibration,
                                       "With --kernels: the calibration, by name or path")
                          ->type_name("CALIBRATION");
  command
      ->add_option("--chip", options->chip,
                   "With --kernels: the chip that was measured, to which the calibration is "
                   "transferred")
      ->needs(kernels)
      ->type_name("CHIP");
  command
      ->add_option("--errors", options->errors,
                   "With --kernels: a file of errors of transfers, into which what this one needed "
                   "is written; without another --chip, what other kernels in place of the "
                   "measured ones needed")
      ->needs(kernels)
      ->type_name("FILE.json");
  kernels->needs(calibration);
  calibration->needs(kernels);
  command
      ->add_option("--write", options->write,
                   "With --measured or --serving: also write what was simulated for each line of "
                   "serving into this folder, as a scenario for ridge simulate and ridge explain")
      ->check(not_empty())
      ->type_name("DIR");
  command->add_flag("--measured", options->measured,
                    "What was measured, not computed: our predictions beside it, and their errors");
  command
      ->add_option("--page", options->page,
                   "With --measured, --serving or --kernels: also write the ledger as a page of "
                   "Markdown")
      ->type_name("FILE");
  auto* samples = command
                      ->add_option("--samples", options->samples,
                                   "With --measured or --serving: draws of the calibrations "
                                   "behind each interval")
                      ->check(whole_between(0, 10000))
                      ->capture_default_str();
  add_fixed_option(*command, options->fixed);
  add_report_option(*command, options->report);
  add_output_options(*command, options->output, "table|json|csv");
  command->footer([] {
    return fmt::format(
        "Reports by name: {1}; with --measured: {3}.\n"
        "Examples:\n"
        "  ridge reproduce {0}\n"
        "  ridge reproduce {0} --format json -o cells.json\n"
        "  ridge reproduce {0} --measured\n"
        "  ridge reproduce --kernels gemm.csv --calibration {2}",
        evidence::reproduction_names().front(), fmt::join(evidence::reproduction_names(), ", "),
        hw::calibrated::calibration_names().front(), fmt::join(evidence::ledger_names(), ", "));
  });
  command->callback([options, samples] {
    options->samples_given = samples->count() > 0;
    run_reproduce(*options);
  });
}

}  // namespace ridge::tools
