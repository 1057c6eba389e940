#pragma once

// Stand-in for kernels/common/dynamic_shared.cuh.
namespace ridge::kernels {

unsigned char* dynamic_shared_memory();

}  // namespace ridge::kernels
