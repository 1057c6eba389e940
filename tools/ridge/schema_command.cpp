#include "commands.hpp"
#include "output.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/files/answer_schemas.hpp"
#include "ridge/files/file_kinds.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::tools {
namespace {

std::vector<std::string> all_names() {
  auto names = files::schema_names();
  const auto answers = files::answer_names();
  names.insert(names.end(), answers.begin(), answers.end());
  return names;
}

void run_schema(const std::string& kind, bool page) {
  auto text = page ? files::keys_page(kind) : files::schema_text(kind);
  if (!text && !page) text = files::answer_schema(kind);
  if (!text) {
    const auto known = page ? files::schema_names() : all_names();
    throw UserError(fmt::format("expected a kind of file{} ({}), got \"{}\"{}",
                                page ? "" : " or of answer", fmt::join(known, ", "), kind,
                                did_you_mean(kind, known)));
  }
  write_stdout(*text);
}

}  // namespace

void add_schema_command(CLI::App& app) {
  auto* command = app.add_subcommand(
      "schema", "The keys of a kind of file, or of an answer: as JSON Schema, or as a page");
  auto kind = std::make_shared<std::string>();
  auto page = std::make_shared<bool>(false);
  command->add_option("kind", *kind, "Kind of file or answer")->required()->type_name("KIND");
  command->add_flag("--page", *page, "Of a kind of file: tables of keys for people, in Markdown");
  command->footer(
      fmt::format("Kinds of file: {}\nKinds of answer: {}\n\nExamples:\n"
                  "  ridge schema chip\n  ridge schema chip --page\n  ridge schema simulate-answer",
                  fmt::join(files::schema_names(), ", "), fmt::join(files::answer_names(), ", ")));
  command->callback([kind, page] { run_schema(*kind, *page); });
}

}  // namespace ridge::tools
