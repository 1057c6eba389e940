#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::kernels::bench {

/// Writes JSON text, and nothing but valid JSON text: a misuse (a value without a key in an object,
/// an unclosed array) throws std::logic_error. Here because the kernels folder uses no third-party
/// library.
class JsonWriter {
 public:
  /// `indent` spaces per level; 0 writes everything on one line.
  explicit JsonWriter(int indent = 2) : indent_(indent) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('{', '}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close('[', ']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(bool flag);
  JsonWriter& value(std::int64_t number);
  JsonWriter& value(std::uint64_t number);
  JsonWriter& value(int number) { return value(static_cast<std::int64_t>(number)); }
  /// The shortest text that reads back as the same double; null when it is not finite.
  JsonWriter& value(double number);
  /// Text that is JSON already, such as another writer's `text()`.
  JsonWriter& raw(std::string_view json);

  /// The document; every container must be closed.
  const std::string& text() const;

  static std::string escape(std::string_view text);

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char opening, char closing);
  void before_value();
  void new_line();

  struct Level {
    char bracket;
    bool empty = true;
  };
  int indent_;
  bool after_key_ = false;
  bool done_ = false;
  std::vector<Level> levels_;
  std::string text_;
};

}  // namespace ridge::kernels::bench
