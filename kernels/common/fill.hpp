#pragma once

#include <cstddef>
#include <cstdint>

namespace ridge::kernels {

enum class Element { kFloat, kBf16, kE4m3 };

constexpr std::size_t element_bytes(Element element) {
  return element == Element::kFloat ? 4 : element == Element::kBf16 ? 2 : 1;
}

/// Fills device memory with `scale` times random_normal(seed, index), rounded to the element type:
/// what the host would write, at the device's speed. Asynchronous on the default stream.
void fill_normal(void* data, std::size_t count, Element element, std::uint64_t seed,
                 float scale = 1.0f);

}  // namespace ridge::kernels
