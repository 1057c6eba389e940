#include "bench/family.hpp"

#include <algorithm>
#include <cmath>
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

std::string fields_of(const Shape& shape, const std::vector<std::string_view>& names) {
  std::vector<Shape::Field> fields;
  for (const std::string_view name : names) {
    for (const Shape::Field& field : shape.fields()) {
      if (field.name == name) {
        fields.push_back(field);
      }
    }
  }
  return Shape(std::move(fields)).to_string();
}

int input_sets(double bytes, const DeviceFacts& device, int most) {
  // Exactly twice the L2 would do for a cache that forgets the oldest first; a real one hashes
  // addresses and keeps some lines longer, and with a single set a part of it is there every time.
  constexpr double kTimesL2 = 4;
  const double sets =
      std::ceil(kTimesL2 * static_cast<double>(device.l2_bytes) / std::max(bytes, 1.0));
  return static_cast<int>(std::clamp(sets, 2.0, static_cast<double>(std::max(most, 2))));
}

}  // namespace ridge::kernels::bench
