#include "command_tree.hpp"
#include "commands.hpp"
#include "output.hpp"

#include <memory>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::tools {
namespace {

// A word in single quotes, which no shell here looks into.
std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out.push_back(c == '\n' ? ' ' : c);
    }
  }
  return out + "'";
}

std::string joined_spellings(const CommandInfo& command) {
  std::string words;
  for (const OptionInfo& option : command.options) {
    if (option.positional) continue;
    for (const std::string& spelling : option.spellings) words += spelling + " ";
  }
  return words;
}

std::string joined_commands(const CommandInfo& command) {
  std::string words;
  for (const CommandInfo& sub : command.commands) words += sub.name + " ";
  return words;
}

// ---- bash

// What completes one value: names, choices or files.
std::string bash_action(const OptionInfo& option) {
  if (!option.choices.empty()) {
    return fmt::format("_ridge_words {}",
                       in_quotes(fmt::format("{}", fmt::join(option.choices, " "))));
  }
  if (!option.name_kinds.empty()) {
    return fmt::format("_ridge_names {}", fmt::join(option.name_kinds, " "));
  }
  return "_ridge_files";
}

void bash_command(const CommandInfo& command, std::string& out) {
  out += fmt::format("    {})\n      case $previous in\n", command.name);
  std::string positional;
  for (const OptionInfo& option : command.options) {
    if (option.positional) {
      if (positional.empty()) positional = bash_action(option);
    } else if (!option.value.empty()) {
      out += fmt::format("        {}) {}; return ;;\n", fmt::join(option.spellings, "|"),
                         bash_action(option));
    }
  }
  out += "      esac\n";
  out += fmt::format("      [[ $word == -* ]] && {{ _ridge_words {}; return; }}\n",
                     in_quotes(joined_spellings(command)));
  if (!command.commands.empty()) {
    positional = "_ridge_words " + in_quotes(joined_commands(command));
  }
  if (!positional.empty()) out += fmt::format("      {}\n", positional);
  out += "      ;;\n";
}

std::string bash_script(const CommandInfo& tree) {
  std::string out =
      "# Completion of ridge for bash; written by `ridge completion bash`.\n"
      "_ridge_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$word\"); }\n"
      "_ridge_files() { compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); "
      "}\n"
      "# Names, or files where the word looks like a path; a list is completed after its last "
      "comma.\n"
      "_ridge_names() {\n"
      "  if [[ $word == */* ]]; then _ridge_files; return; fi\n"
      "  local kind names='' before=''\n"
      "  for kind in \"$@\"; do names+=\" $(ridge list \"$kind\" --names 2>/dev/null)\"; done\n"
      "  [[ $word == *,* ]] && before=${word%,*},\n"
      "  mapfile -t COMPREPLY < <(compgen -P \"$before\" -W \"$names\" -- \"${word##*,}\")\n"
      "}\n"
      "_ridge() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  COMPREPLY=()\n"
      "  if [[ $COMP_CWORD -eq 1 ]]; then\n"
      "    _ridge_words " +
      in_quotes(joined_commands(tree) + joined_spellings(tree)) +
      "\n    return\n  fi\n"
      "  case ${COMP_WORDS[1]} in\n";
  for (const CommandInfo& command : tree.commands) bash_command(command, out);
  return out + "  esac\n}\ncomplete -F _ridge ridge\n";
}

// ---- zsh

// Text between the brackets and colons of an _arguments specification.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

std::string zsh_action(const OptionInfo& option) {
  if (!option.choices.empty()) return fmt::format("({})", fmt::join(option.choices, " "));
  if (!option.name_kinds.empty()) {
    return fmt::format("_ridge_names {}", fmt::join(option.name_kinds, " "));
  }
  return "_files";
}

std::string zsh_arguments(const CommandInfo& command) {
  std::string out = "        _arguments -S";
  for (const OptionInfo& option : command.options) {
    const std::string value =
        option.value.empty() ? ""
                             : fmt::format(":{}:{}", zsh_text(option.value), zsh_action(option));
    if (option.positional) {
      out += " \\\n          " +
             in_quotes(fmt::format("{}:{}:{}", option.many ? "*" : "",
                                   zsh_text(option.spellings[0]), zsh_action(option)));
      continue;
    }
    for (const std::string& spelling : option.spellings) {
      out += " \\\n          " +
             in_quotes(fmt::format("({}){}[{}]{}", fmt::join(option.spellings, " "), spelling,
                                   zsh_text(option.help), value));
    }
  }
  if (!command.commands.empty()) {
    std::string names = joined_commands(command);
    names.pop_back();
    out += " \\\n          " + in_quotes(fmt::format("1:command:({})", names));
  }
  return out + "\n";
}

std::string zsh_script(const CommandInfo& tree) {
  std::string out =
      "#compdef ridge\n"
      "# Completion of ridge for zsh; written by `ridge completion zsh`.\n"
      "_ridge_names() {\n"
      "  local kind; local -a names\n"
      "  for kind in \"$@\"; do names+=(${(f)\"$(ridge list $kind --names 2>/dev/null)\"}); done\n"
      "  compset -P '*,'\n"
      "  compadd -a names\n"
      "  _files -g '*.json'\n"
      "}\n"
      "_ridge() {\n"
      "  local state; local -a commands\n"
      "  commands=(\n";
  for (const CommandInfo& command : tree.commands) {
    out += "    " + in_quotes(fmt::format("{}:{}", command.name, zsh_text(command.help))) + "\n";
  }
  out +=
      "  )\n"
      "  _arguments -C '1:command:->command' '*::argument:->argument'\n"
      "  case $state in\n"
      "    command) _describe command commands ;;\n"
      "    argument)\n"
      "      case $words[1] in\n";
  for (const CommandInfo& command : tree.commands) {
    out += fmt::format("      {})\n{}        ;;\n", command.name, zsh_arguments(command));
  }
  return out +
         "      esac\n      ;;\n  esac\n}\n"
         "if [[ ${funcstack[1]} == _ridge ]]; then _ridge \"$@\"; else compdef _ridge ridge; fi\n";
}

// ---- fish

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out.push_back('\\');
    out.push_back(c == '\n' ? ' ' : c);
  }
  return out + "'";
}

std::string fish_values(const OptionInfo& option) {
  if (option.value.empty() && !option.positional) return "";
  if (!option.choices.empty()) {
    return " -x -a " + fish_quoted(fmt::format("{}", fmt::join(option.choices, " ")));
  }
  if (!option.name_kinds.empty()) {
    return fmt::format(" {}-a '(__ridge_names {})'", option.positional ? "-F " : "-rF ",
                       fmt::join(option.name_kinds, " "));
  }
  return option.positional ? " -F" : " -rF";
}

std::string fish_script(const CommandInfo& tree) {
  std::string out =
      "# Completion of ridge for fish; written by `ridge completion fish`.\n"
      "function __ridge_names\n"
      "  for kind in $argv\n"
      "    ridge list $kind --names 2>/dev/null\n"
      "  end\n"
      "end\n"
      "complete -c ridge -f\n";
  for (const CommandInfo& command : tree.commands) {
    out += fmt::format("complete -c ridge -n __fish_use_subcommand -a {} -d {}\n", command.name,
                       fish_quoted(command.help));
  }
  for (const CommandInfo& command : tree.commands) {
    const std::string when =
        fmt::format("complete -c ridge -n '__fish_seen_subcommand_from {}'", command.name);
    for (const CommandInfo& sub : command.commands) {
      out += fmt::format("{} -a {} -d {}\n", when, sub.name, fish_quoted(sub.help));
    }
    for (const OptionInfo& option : command.options) {
      out += when;
      if (!option.positional) {
        for (const std::string& s : option.spellings) {
          out += s.starts_with("--") ? " -l " + s.substr(2) : " -s " + s.substr(1);
        }
        out += " -d " + fish_quoted(option.help);
      }
      out += fish_values(option) + "\n";
    }
  }
  return out;
}

}  // namespace

void add_completion_command(CLI::App& app) {
  auto* command = app.add_subcommand("completion", "Completion of commands and names for a shell");
  auto shell = std::make_shared<std::string>();
  command->add_option("shell", *shell, "The shell to write for")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->required();
  command->footer(
      "Examples:\n"
      "  source <(ridge completion bash)\n"
      "  source <(ridge completion zsh)\n"
      "  ridge completion fish | source\n"
      "An installed Ridge has them where the shells look for them.");
  command->callback([shell, &app] {
    const CommandInfo tree = command_tree(app);
    write_stdout(*shell == "bash"  ? bash_script(tree)
                 : *shell == "zsh" ? zsh_script(tree)
                                   : fish_script(tree));
  });
}

}  // namespace ridge::tools
