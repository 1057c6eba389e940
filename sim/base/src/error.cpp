#include "ridge/base/error.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge {

UserError::UserError(const std::string& what, std::vector<Mistake> mistakes)
    : std::runtime_error(what),
      mistakes_(std::make_shared<const std::vector<Mistake>>(std::move(mistakes))) {}

void detail::invariant_failed(std::string_view message, const char* file, int line) {
  const std::string_view path = file;
  const auto slash = path.find_last_of('/');
  throw InvariantError(fmt::format("{} ({}:{})", message,
                                   slash == std::string_view::npos ? path : path.substr(slash + 1),
                                   line));
}

namespace {
std::string located(std::string_view file, std::string_view pointer, std::string_view message) {
  if (pointer.empty()) {
    return fmt::format("{}: {}", file, message);
  }
  return fmt::format("{}: {}: {}", file, pointer, message);
}
}  // namespace

void Diagnostics::error(std::string_view file, std::string_view pointer, std::string_view message) {
  constexpr std::size_t kTold = 100;
  if (errors_.size() == kTold) {
    ++further_errors_;
    return;
  }
  errors_.push_back(located(file, pointer, message));
  mistakes_.push_back({std::string(file), std::string(pointer), std::string(message)});
}

void Diagnostics::warning(std::string_view file, std::string_view pointer,
                          std::string_view message) {
  warnings_.push_back(located(file, pointer, message));
}

void Diagnostics::throw_if_errors() const {
  if (!errors_.empty()) {
    const std::string rest =
        further_errors_ > 0 ? fmt::format("\nand {} more problems", further_errors_) : "";
    throw UserError(fmt::format("{}{}", fmt::join(errors_, "\n"), rest), mistakes_);
  }
}

}  // namespace ridge
