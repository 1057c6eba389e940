// Mistakes and how they are told. A user's mistake ends with exit status 2 and every problem
// listed; a broken invariant of ours ends with 1.
#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ridge {

// A mistake and where it was made; file and pointer are empty where it was not in a file.
struct Mistake {
  std::string file;
  std::string pointer;  // JSON pointer; empty for the whole document
  std::string message;
};

// The user can put this right: a file, an option, a value. what() holds one problem per line.
class UserError : public std::runtime_error {
 public:
  explicit UserError(const std::string& message) : UserError(message, {{{}, {}, message}}) {}
  UserError(const std::string& what, std::vector<Mistake> mistakes);

  [[nodiscard]] const std::vector<Mistake>& mistakes() const { return *mistakes_; }

 private:
  std::shared_ptr<const std::vector<Mistake>> mistakes_;  // copies of an exception must not throw
};

// Something that cannot happen did. Not the user's fault.
class InvariantError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Throws InvariantError("message (file:line)") unless `holds`.
#define RIDGE_INVARIANT(holds, message) \
  ((holds) ? void() : ::ridge::detail::invariant_failed(message, __FILE__, __LINE__))

namespace detail {
[[noreturn]] void invariant_failed(std::string_view message, const char* file, int line);
}

// Collects every problem in a file before giving up, so that one run shows them all: the first
// hundred in words, the rest as their number.
class Diagnostics {
 public:
  // `pointer` is a JSON pointer into `file`; the empty pointer is the whole document.
  void error(std::string_view file, std::string_view pointer, std::string_view message);
  void warning(std::string_view file, std::string_view pointer, std::string_view message);

  [[nodiscard]] bool ok() const { return errors_.empty(); }
  [[nodiscard]] const std::vector<std::string>& errors() const { return errors_; }
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

  // Throws UserError with all errors, one per line, if there are any.
  void throw_if_errors() const;

 private:
  std::vector<std::string> errors_;
  std::vector<Mistake> mistakes_;  // the same, in parts
  std::size_t further_errors_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace ridge
