#include "command_tree.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <CLI/CLI.hpp>

namespace ridge::tools {
namespace {

// Which options and positionals take the names that `ridge list` knows.
struct Named {
  std::string_view option;
  std::string_view command;  // empty for all
  std::array<std::string_view, 2> kinds;
};
constexpr std::array kNamed = {
    Named{"--model", "", {"models"}},      Named{"--chip", "", {"chips"}},
    Named{"--base", "", {"calibrations"}}, Named{"--compare", "", {"scenarios"}},
    Named{"scenario", "", {"scenarios"}},  Named{"name", "show", {"models", "chips"}},
};

// "FORMAT:{csv,json,table}" names its choices.
std::vector<std::string> choices_in(const std::string& type) {
  const auto open = type.find('{');
  const auto close = type.rfind('}');
  std::vector<std::string> choices;
  if (open == std::string::npos || close == std::string::npos) return choices;
  std::string choice;
  for (const char c : type.substr(open + 1, close - open - 1)) {
    if (c == ',') {
      choices.push_back(std::move(choice));
      choice.clear();
    } else {
      choice.push_back(c);
    }
  }
  choices.push_back(std::move(choice));
  return choices;
}

OptionInfo info_of(const CLI::Option& option, const std::string& command) {
  OptionInfo info;
  for (const std::string& name : option.get_lnames()) info.spellings.push_back("--" + name);
  for (const std::string& name : option.get_snames()) info.spellings.push_back("-" + name);
  info.positional = option.get_positional();
  if (info.positional) info.spellings = {option.get_name()};
  info.help = option.get_description();
  info.many = option.get_items_expected_max() > 1;
  if (option.get_items_expected_max() == 0) return info;
  const std::string type = option.get_type_name();
  info.choices = choices_in(type);
  info.value = type.substr(0, type.find(':'));
  for (const Named& named : kNamed) {
    const auto& s = info.spellings;
    if (std::find(s.begin(), s.end(), named.option) == s.end()) continue;
    if (!named.command.empty() && named.command != command) continue;
    for (const std::string_view kind : named.kinds) {
      if (!kind.empty()) info.name_kinds.emplace_back(kind);
    }
  }
  return info;
}

}  // namespace

CommandInfo command_tree(const CLI::App& app) {
  CommandInfo info{
      .name = app.get_name(), .help = app.get_description(), .footer = app.get_footer()};
  for (const CLI::Option* option : app.get_options({})) {
    info.options.push_back(info_of(*option, info.name));
  }
  for (const CLI::App* command : app.get_subcommands({})) {
    info.commands.push_back(command_tree(*command));
  }
  return info;
}

}  // namespace ridge::tools
