#include "common/fill.hpp"
#include "common/launch.cuh"
#include "common/numeric.hpp"
#include "common/random.hpp"

namespace ridge::kernels {
namespace {

__device__ void store(float* to, float x) {
  *to = x;
}
__device__ void store(Bf16* to, float x) {
  *to = to_bf16(x);
}
__device__ void store(E4m3* to, float x) {
  *to = to_e4m3(x);
}

template <typename T>
__global__ void fill_kernel(T* data, std::size_t count, std::uint64_t seed, float scale) {
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += stride) {
    store(data + i, scale * random_normal(seed, i));
  }
}

template <typename T>
void launch(void* data, std::size_t count, std::uint64_t seed, float scale) {
  if (count != 0) {
    launch_kernel({.grid = 2048, .block = 256}, fill_kernel<T>, static_cast<T*>(data), count, seed,
                  scale);
  }
}

}  // namespace

void fill_normal(void* data, std::size_t count, Element element, std::uint64_t seed, float scale) {
  switch (element) {
    case Element::kFloat:
      return launch<float>(data, count, seed, scale);
    case Element::kBf16:
      return launch<Bf16>(data, count, seed, scale);
    case Element::kE4m3:
      return launch<E4m3>(data, count, seed, scale);
  }
}

}  // namespace ridge::kernels
