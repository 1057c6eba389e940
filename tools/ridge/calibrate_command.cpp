#include "arguments.hpp"
#include "commands.hpp"
#include "output.hpp"
#include "ridge/answer/calibration_card.hpp"
#include "ridge/base/file.hpp"
#include "ridge/hwmodels/calibrated/calibrate.hpp"
#include "ridge/report/pages.hpp"
#include "ridge/view/progress.hpp"

#include <filesystem>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace ridge::tools {
namespace {

namespace fs = std::filesystem;
using namespace hw::calibrated;

struct CalibrateArguments {
  std::vector<std::string> measurements;
  std::string chip;
  std::string name;
  std::string source;
  std::string base;
  std::vector<std::string> prefer;
  std::string output;
  std::string plots;
  std::string report;
  bool force = false;
  bool outliers = false;
  int threads = 0;
  std::uint64_t seed = 1;
};

// "decode_attention bf16 head_dim 128", "sglang:fa3" -> a name that any file system takes.
std::string plot_name(const CurveKey& key) {
  std::string name = key.slot() + (key.kernel.empty() ? "" : " " + key.kernel);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_') c = '-';
  }
  return name + ".svg";
}

void draw_plots(const fs::path& folder, const CalibrateResult& result) {
  make_folder(folder);
  for (const auto& [key, points] : result.held_out) {
    const std::string title = key.slot() + (key.kernel.empty() ? "" : ", " + key.kernel);
    write_file(folder / plot_name(key), report::residual_plot(title, points).svg());
  }
}

void tell_outliers(const Calibration& calibration, bool each) {
  std::int64_t count = 0;
  for (const Curve& curve : calibration.curves) {
    count += curve.standby ? 0 : curve.outlier_count;
    if (!each) continue;
    for (const Outlier& outlier : curve.outliers) {
      const bool last = &outlier == &curve.outliers.back();
      fmt::print(stderr, "ridge: outlier: {}: {} measured {:.4g} us, predicted {:.4g} us{}\n",
                 outlier.where, curve.key.slot(), outlier.measured_us, outlier.predicted_us,
                 last && curve.outlier_count > static_cast<std::int64_t>(curve.outliers.size())
                     ? fmt::format(" ({} like it)", curve.outlier_count)
                     : "");
    }
  }
  if (count > 0 && !each) {
    warn(
        fmt::format("{} measurements are more than a factor of 1.65 off their curve; --outliers "
                    "names the worst of each",
                    count));
  }
}

void run_calibrate(const CalibrateArguments& options) {
  const report::Asked how = asked(options.report);
  const hw::ChipSpec chip = hw::load_chip(options.chip);
  std::error_code ignored;
  if (!options.force && fs::exists(options.output, ignored)) {
    throw UserError(fmt::format("{}: exists already; --force overwrites it", options.output));
  }

  const MeasurementSet set = read_measurements(measurement_files(options.measurements), chip.name);
  check_device(set, chip);
  for (const std::string& words : set.left_aside()) warn(words);

  std::optional<Calibration> base;
  if (!options.base.empty()) base = base_for(options.base, chip);

  CalibrateResult result;
  {
    view::Progress progress("fitting curves", set.series.size());
    CalibrateOptions calibrate_options;
    calibrate_options.name =
        options.name.empty() ? fs::path(options.output).stem().string() : options.name;
    calibrate_options.source = options.source;
    calibrate_options.preferred = options.prefer;
    calibrate_options.base = base ? &*base : nullptr;
    calibrate_options.threads = options.threads;
    calibrate_options.fit.seed = options.seed;
    calibrate_options.progress = [&progress] { progress.add(1); };
    result = calibrate(set, chip, calibrate_options);
  }
  for (const std::string& reason : result.refused) warn(reason);
  for (const std::string& note : result.notes) warn(note);
  tell_outliers(result.calibration, options.outliers);

  write_file(options.output, to_json(result.calibration));
  if (!options.plots.empty()) draw_plots(options.plots, result);
  if (!options.report.empty()) write_file(options.report, report::calibration_page(result, how));
  print(answer::calibration_ledger(result.calibration));
}

}  // namespace

void add_calibrate_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "calibrate",
      "Kernel models fitted to measurements, with the error of what they have not seen");
  auto options = std::make_shared<CalibrateArguments>();
  command
      ->add_option("measurements", options->measurements,
                   "CSV files, ridge-bench's JSON, or folders of them")
      ->type_name("MEASUREMENTS...")
      ->required();
  command->add_option("--chip", options->chip, "What they were measured on")
      ->check(not_empty())
      ->type_name("CHIP")
      ->required();
  command->add_option("-o,--output", options->output, "The calibration to write")
      ->type_name("FILE.json")
      ->required();
  command->add_flag("--force", options->force, "Overwrite the output");
  command->add_option("--name", options->name, "Name of the calibration (default: the file's)")
      ->type_name("NAME");
  command->add_option("--source", options->source, "Where the measurements come from, in words")
      ->type_name("WORDS");
  command
      ->add_option("--base", options->base,
                   "A calibration of the same generation: where the fits start, and what fills the "
                   "operators without measurements, with a larger error")
      ->check(not_empty())
      ->type_name("CALIBRATION");
  command
      ->add_option("--prefer", options->prefer,
                   "Kernel to use where several were measured for one operator; may be repeated")
      ->type_name("KERNEL")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command
      ->add_option("--plots", options->plots, "Draw the residuals of each curve into this folder")
      ->type_name("FOLDER");
  add_report_option(*command, options->report);
  command->add_flag("--outliers", options->outliers,
                    "Name the measurements that are farthest from their curves");
  command->add_option("--threads", options->threads, "Threads to fit with (default: all)")
      ->check(whole_between(1, 1024))
      ->type_name("N");
  command->add_option("--seed", options->seed, "Of folds and starts")
      ->check(seed())
      ->capture_default_str();
  command->footer([] {
    const std::string chip = example_names().chip;
    return fmt::format(
        "Whole shapes are left out in turn (heads, n x k, model), never single rows, and the\n"
        "error is that of the shapes left out. docs/calibration.md lists the columns of the CSV\n"
        "files, what each parameter means and how to read the ledger.\n\n"
        "Examples:\n"
        "  ridge calibrate bench.json --chip {0} -o my-{0}.json --plots residuals\n"
        "  ridge calibrate bench.json --chip {0} -o my-{0}.json --base {0}",
        chip);
  });
  command->callback([options] { run_calibrate(*options); });
}

}  // namespace ridge::tools
