// A libFuzzer target for the kind of file named by RIDGE_FUZZED_KIND. See tests/fuzz/README.md.
#include "file_kinds.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto kind =
      std::find_if(ridge::test::fuzzed_kinds().begin(), ridge::test::fuzzed_kinds().end(),
                   [](const ridge::test::FuzzedKind& k) { return k.name == RIDGE_FUZZED_KIND; });
  ridge::test::accepts(*kind, {reinterpret_cast<const char*>(data), size});
  return 0;
}
