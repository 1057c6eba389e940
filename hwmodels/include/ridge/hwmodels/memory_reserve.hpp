// What a GPU's memory holds beside weights, KV and activations: contexts of the driver and its
// libraries, and what collectives keep. As vLLM's log has it on H100 ("non_torch_memory": 0.16 GiB
// in its pull request 12126, of which a quarter is made here for other releases; about 2.1 GiB with
// tensor parallelism).
#pragma once

#include "ridge/base/quantity.hpp"

namespace ridge::hw {

inline constexpr Bytes kReserveAlone{0.25 * 1024 * 1024 * 1024};
inline constexpr Bytes kReserveTogether{2.1 * 1024 * 1024 * 1024};  // with other GPUs

}  // namespace ridge::hw
