#pragma once

// Stand-in for kernels/common/cp_async.cuh, carried out by the emulated device.
namespace ridge::kernels {

void cp_async_16(void* destination, const void* source);
void cp_async_commit();
void cp_async_wait_pending(unsigned pending);
template <int Pending>
void cp_async_wait() {
  cp_async_wait_pending(Pending);
}

}  // namespace ridge::kernels
