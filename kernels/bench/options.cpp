#include "bench/options.hpp"

#include <cmath>
#include <cstdlib>

namespace ridge::kernels::bench {
namespace {

double seconds(const std::string& option, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value) || value <= 0) {
    throw UsageError(option + ": expected a positive number of seconds, got '" + text + "'");
  }
  return value;
}

}  // namespace

std::string usage() {
  return "usage: ridge-bench [--quick | --full | --new] [--output FILE] [options]\n"
         "\n"
         "Checks every kernel against its reference, measures the machine's ceilings, the kernels "
         "and\n"
         "their baselines, and writes one measurement file (docs/measurement-format.md).\n"
         "An interrupted run continues where it stopped.\n"
         "\n"
         "  --quick            a grid that calibrates every operator (the default)\n"
         "  --full             a denser grid\n"
         "  --new              what no GPU has run yet, beside what it would take the place of\n"
         "  -o, --output FILE  where to write (measurement.json)\n"
         "  --family NAME      only this family; may be repeated\n"
         "  --only TEXT        only points and cases whose description contains TEXT\n"
         "  --time-limit S     stop after S seconds and write what there is\n"
         "  --item-limit S     give up a comparison or a point after S seconds (30)\n"
         "  --fresh            measure again what an interrupted run already has\n"
         "  --no-check         skip the comparisons with the references before measuring\n"
         "  --check            only the comparisons; exit 1 if one fails\n"
         "  --smoke            of the comparisons only the simplest of every compiled kernel\n"
         "  --explain          print the launch plans of the grid; needs no GPU\n"
         "  --list             print the families and the number of their points; needs no GPU\n"
         "  --help             this text\n"
         "\n"
         "Every family runs in a process of its own: a kernel that hangs or breaks the device "
         "costs\n"
         "its own points and no others. SIGTERM and SIGINT end a run like --time-limit.\n"
         "\n"
         "Exit status: 0 done, 1 a kernel is wrong or failed, 2 a mistake on the command line, 3 "
         "no\n"
         "GPU, 4 stopped before the end: what there is was written, and the same command goes "
         "on.\n";
}

Options parse_options(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const auto next = [&](const char* what) -> const std::string& {
      if (i + 1 >= arguments.size()) {
        throw UsageError(argument + ": expected " + what + " after it");
      }
      return arguments[++i];
    };
    if (argument == "--quick") {
      options.extent = Extent::kQuick;
    } else if (argument == "--full") {
      options.extent = Extent::kFull;
    } else if (argument == "--new") {
      options.extent = Extent::kNew;
    } else if (argument == "--output" || argument == "-o") {
      options.output = next("a file name");
    } else if (argument == "--family") {
      options.families.push_back(next("the name of a family (see --list)"));
    } else if (argument == "--only") {
      options.only = next("a piece of a point's description");
    } else if (argument == "--time-limit") {
      options.time_limit_s = seconds(argument, next("a number of seconds"));
    } else if (argument == "--item-limit") {
      options.item_limit_s = seconds(argument, next("a number of seconds"));
    } else if (argument == "--fresh") {
      options.fresh = true;
    } else if (argument == "--no-check") {
      options.skip_check = true;
    } else if (argument == "--smoke") {
      options.smoke = true;
    } else if (argument == "--check") {
      options.action = Action::kCheck;
    } else if (argument == "--explain") {
      options.action = Action::kExplain;
    } else if (argument == "--list") {
      options.action = Action::kList;
    } else if (argument == "--worker-describe") {
      options.action = Action::kDescribe;
    } else if (argument == "--worker") {
      options.action = Action::kWork;
    } else if (argument == "--help" || argument == "-h") {
      options.action = Action::kHelp;
    } else {
      throw UsageError("unknown argument '" + argument + "'; --help lists what there is");
    }
  }
  return options;
}

}  // namespace ridge::kernels::bench
