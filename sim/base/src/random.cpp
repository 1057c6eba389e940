#include "ridge/base/random.hpp"

#include <cmath>
#include <numbers>

namespace ridge {
namespace {

std::uint64_t splitmix64(std::uint64_t& x) {
  x += 0x9E3779B97F4A7C15ULL;
  std::uint64_t z = x;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31U);
}

}  // namespace

std::uint64_t stream_of(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325;  // 64-bit FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

Random::Random(std::uint64_t seed, std::uint64_t stream) {
  std::uint64_t x = seed;
  // Mixing the stream in through a full round keeps neighboring (seed, stream) pairs apart.
  x = splitmix64(x) ^ (stream * 0xD1342543DE82EF95ULL);
  for (auto& word : state_) word = splitmix64(x);
}

std::uint64_t Random::below(std::uint64_t bound) {
  // Lemire's method.
  __extension__ using Wide = unsigned __int128;
  auto product = static_cast<Wide>(next()) * bound;
  auto low = static_cast<std::uint64_t>(product);
  if (low < bound) {
    const std::uint64_t threshold = (0 - bound) % bound;
    while (low < threshold) {
      product = static_cast<Wide>(next()) * bound;
      low = static_cast<std::uint64_t>(product);
    }
  }
  return static_cast<std::uint64_t>(product >> 64U);
}

double Random::exponential() {
  return -std::log1p(-uniform());
}

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

double Random::lognormal(double sigma) {
  return std::exp(sigma * normal());
}

}  // namespace ridge
