// What the commands share: where an answer goes, and the options every command spells alike.
#pragma once

#include "ridge/answer/simulation_report.hpp"
#include "ridge/report/question.hpp"
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

// Whoever read standard output has gone (`ridge ... | head`): there is nobody left to tell
// anything.
struct ReaderGone {};

// Writes the whole answer to the chosen place, a table folded to the width of the output. Throws
// UserError on any failure, the full disk included.
void write_output(const OutputOptions& options, std::string_view text);
void write_stdout(std::string_view text);
// Text for people: folded to the width of the output.
void print(std::string_view text);

// Real names for the examples in help, from the default cost scenario: no source file names a model
// or a chip.
struct ExampleNames {
  std::string model;
  std::string other_model;
  std::string chip;
  std::string other_chip;
};
[[nodiscard]] ExampleNames example_names();

// The SVG of `draw` in the file `path`, or a PNG made of it where the name ends so. check_ refuses
// other names, and PNG without the program that makes it, before any work is done; nothing is drawn
// where `path` is empty.
void check_picture_path(const std::string& path, std::string_view option = "--picture");
void write_picture(const std::string& path, const std::string& svg);

// Adds --report, which writes the answer as a page. asked() refuses names that do not end in .html,
// before any work is done.
void add_report_option(CLI::App& command, std::string& path);
[[nodiscard]] report::Asked asked(const std::string& path);

// A line on standard error: "ridge: warning: ...".
void warn(std::string_view text);
// The warnings of a simulation, behind `which` where there are several; of many operators outside
// their range one line, unless `verbose`.
void warn_of(const answer::SimulationReport& report, bool verbose, std::string_view which = {});

}  // namespace ridge::tools
