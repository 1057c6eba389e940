#include "ridge/report/question.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/json.hpp"
#include "ridge/base/ordered_json.hpp"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::report {
namespace {

namespace fs = std::filesystem;

// A string that names a file beside the scenario names it from the page's folder as well. The kind
// of thing it is matters not: models, chips, calibrations, traces.
void move_paths(OrderedJson& value, const fs::path& from, const fs::path& to) {
  if (value.is_structured()) {
    for (OrderedJson& child : value) move_paths(child, from, to);
    return;
  }
  if (!value.is_string()) return;
  constexpr std::string_view kCalibrated = "calibrated:";
  std::string text = value.get<std::string>();
  const bool calibrated = text.starts_with(kCalibrated);
  if (calibrated) text.erase(0, kCalibrated.size());
  const bool may_be_path = is_path(text) || text.ends_with(".csv") || text.ends_with(".gz");
  std::error_code ignored;
  if (!may_be_path || fs::path(text).is_absolute() || !fs::exists(from / text, ignored)) return;
  const fs::path moved = fs::relative(from / text, to, ignored);
  if (moved.empty()) return;
  // A bare file name would be looked up among what ships.
  const std::string path = moved.has_parent_path() ? moved.string() : "./" + moved.string();
  value = (calibrated ? std::string(kCalibrated) : "") + path;
}

view::PageQuestion kept(OrderedJson question, const fs::path& file, const Asked& asked,
                        std::string again, std::optional<std::uint64_t> seed) {
  question.erase("$schema");
  move_paths(question, fs::absolute(file).parent_path(), fs::absolute(asked.page).parent_path());
  if (seed) question["seed"] = *seed;
  return {.command = asked.command,
          .json = question.dump(2, ' ', false, OrderedJson::error_handler_t::replace),
          .file_name = file.stem().string() + ".json",
          .again = std::move(again)};
}

}  // namespace

void check_page_path(const std::string& path, std::string_view option) {
  if (path.empty() || fs::path(path).extension() == ".html") return;
  throw UserError(fmt::format("{}: expected a name that ends in .html, got \"{}\"", option, path));
}

view::PageQuestion question_of(const fs::path& file, const Asked& asked, std::string again,
                               std::optional<std::uint64_t> seed) {
  return kept(OrderedJson::parse(json_text_of(file)), file, asked, std::move(again), seed);
}

view::PageQuestion question_of(const JsonDocument& document, const Asked& asked, std::string again,
                               std::optional<std::uint64_t> seed) {
  return kept(OrderedJson(document.json()), document.name(), asked, std::move(again), seed);
}

}  // namespace ridge::report
