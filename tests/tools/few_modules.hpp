// A few whole attention modules, as public tables have them: made up.
#pragma once

#include "temporary_file.hpp"

#include <string>

namespace ridge::test {

// The path of a CSV of two, and of one of a model that nobody knows.
inline std::string few_modules() {
  static const TemporaryFile kFile(
      "few-modules.csv",
      "kernel,part,model,kv_dtype,gemm_dtype,heads,index_heads,index_dim,top_k,batch,kv_len,scores,"
      "latency_us\n"
      "vllm:FLASHMLA_SPARSE,module,deepseek-v3.2,fp8,fp8_block,16,64,128,2048,8,8193,,120\n"
      "sglang:sglang_dsa_skip_indexer_flashmla_kv,module_shared_index,glm-5,bfloat16,bfloat16,8,32,"
      "128,2048,8,8193,,70\n"
      "vllm:FLASHMLA_SPARSE,module,nobody-knows,fp8,fp8_block,16,64,128,2048,8,8193,,120\n");
  return kFile.path();
}

}  // namespace ridge::test
