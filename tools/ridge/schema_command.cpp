#include "commands.hpp"
#include "output.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/files/file_kinds.hpp"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::tools {
namespace {

void run_schema(const std::string& kind, bool page) {
  const auto text = page ? files::keys_page(kind) : files::schema_text(kind);
  if (!text) {
    const auto known = files::schema_names();
    throw UserError(fmt::format("expected a kind of file ({}), got \"{}\"{}",
                                fmt::join(known, ", "), kind, did_you_mean(kind, known)));
  }
  write_stdout(*text);
}

}  // namespace

void add_schema_command(CLI::App& app) {
  auto* command =
      app.add_subcommand("schema", "The keys of a kind of file: as JSON Schema, or as a page");
  auto kind = std::make_shared<std::string>();
  auto page = std::make_shared<bool>(false);
  command->add_option("kind", *kind, "Kind of file")->required()->type_name("KIND");
  command->add_flag("--page", *page, "Tables of keys for people, in Markdown");
  command->footer(
      fmt::format("Kinds: {}\n\nExamples:\n  ridge schema chip\n  ridge schema chip --page",
                  fmt::join(files::schema_names(), ", ")));
  command->callback([kind, page] { run_schema(*kind, *page); });
}

}  // namespace ridge::tools
