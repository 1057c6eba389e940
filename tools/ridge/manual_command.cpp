#include "command_tree.hpp"
#include "commands.hpp"
#include "output.hpp"

#include <algorithm>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::tools {
namespace {

// Text as roff takes it: no line looks like a request, and a hyphen stays one.
std::string roff(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out.push_back(c);
    }
    line_begins = c == '\n';
  }
  return out;
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

// CLI11's footers come with a newline or two at their end.
std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void write_options(const CommandInfo& command, std::string& out) {
  for (const OptionInfo& option : command.options) {
    std::string head;
    if (option.positional) {
      head = upper(option.spellings.front());
      if (option.many) head += " ...";
    } else {
      head = fmt::format("{}", fmt::join(option.spellings, ", "));
      if (!option.value.empty()) head += " " + option.value;
    }
    out += fmt::format(".TP\n.B {}\n{}\n", roff(head), roff(option.help));
    if (!option.choices.empty()) {
      out += fmt::format("One of {}.\n", roff(fmt::format("{}", fmt::join(option.choices, ", "))));
    }
  }
}

void write_footer(const CommandInfo& command, std::string& out) {
  const std::string footer = trimmed(command.footer);
  if (!footer.empty()) out += fmt::format(".PP\n.nf\n{}\n.fi\n", roff(footer));
}

std::string manual(const CommandInfo& tree) {
  std::string out = fmt::format(
      ".TH RIDGE 1 \"\" \"Ridge {}\" \"User Commands\"\n"
      ".SH NAME\nridge \\- model\\-system co\\-design of LLM decoding\n"
      ".SH SYNOPSIS\n.B ridge\n.I COMMAND\n[\\fIOPTION\\fR ...]\n"
      ".SH DESCRIPTION\n{}\n",
      RIDGE_VERSION, roff(tree.help));
  write_options(tree, out);
  write_footer(tree, out);
  out += ".SH COMMANDS\n";
  for (const CommandInfo& command : tree.commands) {
    out += fmt::format(".SS {}\n{}.\n", roff(command.name), roff(command.help));
    write_options(command, out);
    for (const CommandInfo& sub : command.commands) {
      out += fmt::format(".TP\n.B {} {}\n{}\n", roff(command.name), roff(sub.name), roff(sub.help));
    }
    write_footer(command, out);
  }
  out +=
      ".SH EXIT STATUS\n0 done, 2 a mistake in what was asked, 1 a fault of Ridge.\n"
      ".SH ENVIRONMENT\n"
      ".TP\n.B RIDGE_DATA\nThe folder of the shipped models, chips, calibrations and scenarios, in "
      "place of the installed one.\n"
      ".TP\n.B XDG_CONFIG_HOME\nWhere ridge/models, ridge/chips, ridge/calibrations and "
      "ridge/scenarios hold parts of your own (default: ~/.config).\n";
  return out;
}

}  // namespace

void add_manual_command(CLI::App& app) {
  auto* command = app.add_subcommand("manual", "The manual page, for man");
  command->footer("Examples:\n  ridge manual | man -l -");
  command->callback([&app] { write_stdout(manual(command_tree(app))); });
}

}  // namespace ridge::tools
