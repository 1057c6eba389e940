// The commands and options of the ridge program as plain data, read from its CLI11 parser: what the
// shell completions and the manual are written from.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace ridge::tools {

struct OptionInfo {
  std::vector<std::string> spellings;  // "--model", "-m"; a positional's name without dashes
  std::string value;                   // what it takes, in capitals; empty for a flag
  std::string help;
  bool positional = false;
  bool many = false;                    // may be repeated
  std::vector<std::string> choices;     // the values it takes, where they are few
  std::vector<std::string> name_kinds;  // else the kinds of `ridge list` whose names it takes
};

struct CommandInfo {
  std::string name;
  std::string help;
  std::string footer;
  std::vector<OptionInfo> options;
  std::vector<CommandInfo> commands;
};

[[nodiscard]] CommandInfo command_tree(const CLI::App& app);

}  // namespace ridge::tools
