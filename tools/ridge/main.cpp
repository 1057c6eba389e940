// The ridge program. Exit status: 0 done, 2 the user's mistake, 1 ours.
#include "commands.hpp"
#include "output.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/nearest_name.hpp"
#include "version.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace {

// Every command, in the order that help shows them.
constexpr std::array kCommands = {
    ridge::tools::add_plan_command,       ridge::tools::add_cost_command,
    ridge::tools::add_simulate_command,   ridge::tools::add_explain_command,
    ridge::tools::add_sweep_command,      ridge::tools::add_merge_command,
    ridge::tools::add_sparsity_command,   ridge::tools::add_fit_command,
    ridge::tools::add_support_command,    ridge::tools::add_reproduce_command,
    ridge::tools::add_calibrate_command,  ridge::tools::add_show_command,
    ridge::tools::add_check_command,      ridge::tools::add_list_command,
    ridge::tools::add_import_command,     ridge::tools::add_schema_command,
    ridge::tools::add_completion_command, ridge::tools::add_manual_command,
};

constexpr int kUserMistake = 2;
constexpr int kOurMistake = 1;

void print_problems(const char* text) {
  std::string line;
  for (const char* c = text;; ++c) {
    if (*c == '\n' || *c == '\0') {
      fmt::print(stderr, "ridge: {}\n", line);
      line.clear();
      if (*c == '\0') break;
    } else {
      line.push_back(*c);
    }
  }
}

// CLI11 says only that a command is missing when it does not know the one it got.
void refuse_unknown_command(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return;
  const std::string command = argv[1];
  std::vector<std::string> known;
  for (const CLI::App* subcommand : app.get_subcommands({}))
    known.push_back(subcommand->get_name());
  if (std::find(known.begin(), known.end(), command) != known.end()) return;
  throw ridge::UserError(fmt::format("expected a command ({}), got \"{}\"{}",
                                     fmt::join(known, ", "), command,
                                     ridge::did_you_mean(command, known)));
}

// CLI11's words in Ridge's voice, and the flag that was meant.
std::string mistake(const CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const CLI::App& command = chosen.empty() ? app : *chosen.front();
  const std::string name =
      chosen.empty() ? std::string("ridge") : fmt::format("ridge {}", command.get_name());
  const std::string help = fmt::format("`{} --help` shows what there is", name);
  const std::string words = error.what();
  const std::size_t flag_at = words.find(" -");
  if (words.find("not expected") == std::string::npos || flag_at == std::string::npos) {
    return fmt::format("{}: {}; {}", name, words, help);
  }
  const std::string flag =
      words.substr(flag_at + 1, words.find_first_of(" =", flag_at + 1) - flag_at - 1);
  std::vector<std::string> known;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& long_name : option->get_lnames()) known.push_back("--" + long_name);
  }
  return fmt::format("{}: there is no option \"{}\"{}; {}", name, flag,
                     ridge::did_you_mean(flag, known), help);
}

int run(int argc, char** argv) {
  CLI::App app(
      "Ridge prices and simulates the decoding of large language models: what an architecture asks "
      "of a machine, how long it takes, and what it costs.");
  app.name("ridge");
  bool verbose = false;
  auto* more = app.add_flag("--verbose", verbose,
                            "With --version: also the build, the data and the calibrations");
  auto* version_flag = app.set_version_flag(
      "--version", [&verbose] { return ridge::tools::version(verbose); },
      "Print the version and exit");
  more->needs(version_flag);
  app.require_subcommand(1);
  try {
    for (const auto add : kCommands) add(app);
    // Last, or every command would inherit it.
    app.footer(
        "Start with:\n"
        "  ridge cost                     three models on four chips\n"
        "  ridge list models              what ships with Ridge\n"
        "  ridge COMMAND --help           options and examples of a command");
    refuse_unknown_command(app, argc, argv);
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    ridge::tools::print(app.help());
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --version
    throw ridge::UserError(mistake(app, e));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away (`ridge ... | head`) shows as a failed write, and ends the program
  // quietly.
  std::signal(SIGPIPE, SIG_IGN);
  ridge::tools::remember_command_line(argc, argv);
  try {
    return run(argc, argv);
  } catch (const ridge::tools::ReaderGone&) {
    return 0;
  } catch (const ridge::UserError& e) {
    print_problems(e.what());
    return kUserMistake;
  } catch (const std::exception& e) {
    fmt::print(stderr,
               "ridge: internal error: {}\n"
               "ridge: this is a fault of Ridge; please report it with the command line, the files "
               "it read and what `ridge --version --verbose` says\n",
               e.what());
    return kOurMistake;
  }
}
