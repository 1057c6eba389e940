#include "bench/registry.hpp"

#include <cstdio>

int main() {
  for (const auto& family : ridge::kernels::bench::families()) {
    std::printf("%.*s\n", static_cast<int>(family.name.size()), family.name.data());
  }
  return 0;
}
