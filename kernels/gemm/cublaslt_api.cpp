#include "gemm/cublaslt_api.hpp"

#include <cstdlib>
#include <stdexcept>
#include <vector>

#include <dlfcn.h>

namespace ridge::kernels::gemm {
namespace {

void* open_library(std::string& tried) {
  std::vector<std::string> names;
  if (const char* const chosen = std::getenv("RIDGE_CUBLASLT"); chosen != nullptr && *chosen != 0) {
    names = {chosen};  // Another than the one asked for would be measured under its name.
  } else {
    for (const char* const folder : {"", "/usr/local/cuda/lib64/"}) {
      for (const char* const file : {"libcublasLt.so.13", "libcublasLt.so.12"}) {
        names.push_back(std::string(folder) + file);
      }
    }
  }
  for (const std::string& name : names) {
    if (void* const library = dlopen(name.c_str(), RTLD_NOW)) {
      return library;
    }
    tried += (tried.empty() ? "" : "; ") + std::string(dlerror());
  }
  return nullptr;
}

template <typename Function>
void find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name));
  if (function == nullptr) {
    throw std::runtime_error(std::string("cuBLASLt: the library has no ") + name);
  }
}

CublasLtApi load() {
  std::string tried;
  void* const library = open_library(tried);
  if (library == nullptr) {
    throw std::runtime_error("cuBLASLt was not found (" + tried +
                             "); RIDGE_CUBLASLT may name its file");
  }
  CublasLtApi api{};
  find(library, "cublasLtGetVersion", api.version);
  find(library, "cublasLtGetStatusString", api.status_string);
  find(library, "cublasLtCreate", api.create);
  find(library, "cublasLtMatmulDescCreate", api.descriptor_create);
  find(library, "cublasLtMatmulDescDestroy", api.descriptor_destroy);
  find(library, "cublasLtMatmulDescSetAttribute", api.descriptor_set);
  find(library, "cublasLtMatrixLayoutCreate", api.layout_create);
  find(library, "cublasLtMatrixLayoutDestroy", api.layout_destroy);
  find(library, "cublasLtMatmulPreferenceCreate", api.preference_create);
  find(library, "cublasLtMatmulPreferenceDestroy", api.preference_destroy);
  find(library, "cublasLtMatmulPreferenceSetAttribute", api.preference_set);
  find(library, "cublasLtMatmulAlgoGetHeuristic", api.heuristic);
  find(library, "cublasLtMatmul", api.matmul);
  return api;
}

}  // namespace

const CublasLtApi& cublaslt() {
  static const CublasLtApi api = load();
  return api;
}

std::string cublaslt_version() {
  try {
    return std::to_string(cublaslt().version());
  } catch (const std::exception&) {
    return "none";
  }
}

}  // namespace ridge::kernels::gemm
