#include "bench/registry.hpp"

#include "decode_attention/family.hpp"
#include "moe/family.hpp"

// One line here and one below join a family to ridge-bench; its header declares
// `const bench::Family& <name>_family()`.

namespace ridge::kernels::bench {

const std::vector<Family>& families() {
  static const std::vector<Family> table = {
      decode::decode_attention_family(),
      moe::moe_family(),
  };
  return table;
}

}  // namespace ridge::kernels::bench
