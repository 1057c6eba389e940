#include "bench/family.hpp"

#include <cstdio>
#include <stdexcept>

namespace ridge::kernels::bench {

const Shape::Value* Shape::find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (field.name == name) {
      return &field.value;
    }
  }
  return nullptr;
}

bool Shape::has(std::string_view name) const {
  return find(name) != nullptr;
}

namespace {

template <typename T>
const T& expect(const Shape::Value* value, std::string_view name, const char* kind) {
  if (value == nullptr) {
    throw std::invalid_argument("shape has no field '" + std::string(name) + "'");
  }
  if (const T* typed = std::get_if<T>(value)) {
    return *typed;
  }
  throw std::invalid_argument("shape field '" + std::string(name) + "' is not " + kind);
}

}  // namespace

std::int64_t Shape::integer(std::string_view name) const {
  return expect<std::int64_t>(find(name), name, "an integer");
}

double Shape::real(std::string_view name) const {
  return expect<double>(find(name), name, "a real number");
}

const std::string& Shape::word(std::string_view name) const {
  return expect<std::string>(find(name), name, "a word");
}

std::string Shape::to_string() const {
  std::string text;
  for (const Field& field : fields_) {
    if (!text.empty()) {
      text += ' ';
    }
    text += field.name;
    text += '=';
    if (const auto* integer = std::get_if<std::int64_t>(&field.value)) {
      text += std::to_string(*integer);
    } else if (const auto* real = std::get_if<double>(&field.value)) {
      char buffer[32];
      std::snprintf(buffer, sizeof(buffer), "%.6g", *real);
      text += buffer;
    } else {
      text += std::get<std::string>(field.value);
    }
  }
  return text;
}

}  // namespace ridge::kernels::bench
