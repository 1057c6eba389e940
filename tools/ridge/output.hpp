// What the commands share: where an answer goes, and the options every command spells alike.
#pragma once

#include "ridge/view/output_format.hpp"

#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace ridge::tools {

struct OutputOptions {
  view::OutputFormat format = view::OutputFormat::table;
  std::string path;  // empty for standard output
};

// Adds --format (with the given choices, "table|csv|json") and -o,--output.
void add_output_options(CLI::App& command, OutputOptions& options, std::string_view choices);

// Writes the whole answer to the chosen place. Throws UserError on any failure, the full disk
// included.
void write_output(const OutputOptions& options, std::string_view text);
void write_stdout(std::string_view text);

// Real names for the examples in help, from the default cost scenario: no source file names a model
// or a chip.
struct ExampleNames {
  std::string model;
  std::string other_model;
  std::string chip;
  std::string other_chip;
};
[[nodiscard]] ExampleNames example_names();

// A line on standard error: "ridge: warning: ...".
void warn(std::string_view text);

}  // namespace ridge::tools
