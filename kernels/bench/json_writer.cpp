#include "bench/json_writer.hpp"

#include <charconv>
#include <cmath>
#include <stdexcept>

namespace ridge::kernels::bench {

std::string JsonWriter::escape(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string escaped;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        escaped += "\\\"";
        break;
      case '\\':
        escaped += "\\\\";
        break;
      case '\n':
        escaped += "\\n";
        break;
      case '\t':
        escaped += "\\t";
        break;
      default:
        if (code < 0x20) {
          escaped += "\\u00";
          escaped += kHex[code >> 4];
          escaped += kHex[code & 15];
        } else {
          escaped += c;
        }
    }
  }
  return escaped;
}

void JsonWriter::new_line() {
  if (indent_ > 0) {
    text_ += '\n';
    text_.append(levels_.size() * static_cast<std::size_t>(indent_), ' ');
  }
}

void JsonWriter::before_value() {
  if (done_) {
    throw std::logic_error("JSON: a second value at the top level");
  }
  if (levels_.empty()) {
    return;
  }
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (levels_.back().bracket == '{') {
    throw std::logic_error("JSON: a value without a key in an object");
  }
  if (!levels_.back().empty) {
    text_ += indent_ > 0 ? "," : ", ";
  }
  levels_.back().empty = false;
  new_line();
}

JsonWriter& JsonWriter::key(std::string_view name) {
  if (levels_.empty() || levels_.back().bracket != '{' || after_key_) {
    throw std::logic_error("JSON: a key where none belongs");
  }
  if (!levels_.back().empty) {
    text_ += indent_ > 0 ? "," : ", ";
  }
  levels_.back().empty = false;
  new_line();
  text_ += '"';
  text_ += escape(name);
  text_ += "\": ";
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::open(char bracket) {
  before_value();
  text_ += bracket;
  levels_.push_back({bracket});
  return *this;
}

JsonWriter& JsonWriter::close(char opening, char closing) {
  if (levels_.empty() || levels_.back().bracket != opening || after_key_) {
    throw std::logic_error("JSON: a closing bracket where none belongs");
  }
  const bool empty = levels_.back().empty;
  levels_.pop_back();
  if (!empty) {
    new_line();
  }
  text_ += closing;
  done_ = levels_.empty();
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  before_value();
  text_ += json;
  done_ = levels_.empty();
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  return raw('"' + escape(text) + '"');
}
JsonWriter& JsonWriter::value(bool flag) {
  return raw(flag ? "true" : "false");
}
JsonWriter& JsonWriter::value(std::int64_t number) {
  return raw(std::to_string(number));
}
JsonWriter& JsonWriter::value(std::uint64_t number) {
  return raw(std::to_string(number));
}

JsonWriter& JsonWriter::value(double number) {
  if (!std::isfinite(number)) {
    return raw("null");
  }
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), number).ptr;
  return raw(std::string_view(buffer, static_cast<std::size_t>(end - buffer)));
}

const std::string& JsonWriter::text() const {
  if (!done_) {
    throw std::logic_error("JSON: the document is not finished");
  }
  return text_;
}

}  // namespace ridge::kernels::bench
