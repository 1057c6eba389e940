#pragma once

#include "barriers.hpp"
#include "scheduler.hpp"
#include "shared_memory.hpp"
#include "tensor_map.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace ridge::emulated {

/// cp.async.bulk and cp.async.bulk.tensor (tile mode) from global to a CTA's shared memory, and
/// st.async to it. A copy's bytes are poisoned from its issue until it lands, which it does at a
/// random time; a multicast copy is one at each of its destinations. Source: PTX ISA 8.7,
/// "cp.async.bulk", "st.async", "Tensors", and the driver's cuTensorMapEncodeTiled.
class CopyEngine : public Engine {
 public:
  CopyEngine(Scheduler& scheduler, SharedMemory& shared, TransactionBarriers& barriers)
      : scheduler_(scheduler), shared_(shared), barriers_(barriers) {}

  // The threads' turns are not waited for here: a thread of another CTA may issue a copy.
  void load_bytes(std::uint32_t destination, const void* source, std::uint32_t bytes,
                  std::uint32_t barrier, std::uint64_t policy);
  /// `at` has the map's rank: the box's first element.
  void load_box(std::uint32_t destination, const CUtensorMap* map, std::uint32_t barrier,
                const std::vector<std::int32_t>& at, std::uint64_t policy);
  /// 16 bytes from a thread's registers.
  void store(std::uint32_t destination, const void* data, std::uint32_t barrier);

  bool has_work() const override { return !under_way_.empty() || !stores_under_way_.empty(); }
  void step(Chance& chance) override;

 private:
  struct Copy {
    std::uint32_t destination;
    std::uint32_t bytes;
    std::uint32_t barrier;
    std::uint32_t phase = 0;               ///< Of the barrier, at issue.
    const std::uint8_t* source = nullptr;  ///< Of contiguous bytes; otherwise a box of `map`.
    TensorMap map{};
    std::int64_t at[TensorMap::kMostDimensions] = {};
  };
  /// What a thread stores: much more of it, and smaller, than copies.
  struct Store {
    std::uint32_t destination;
    std::uint32_t barrier;
    std::uint32_t phase;
    std::array<std::uint8_t, 16> data;
  };
  void issue(Copy copy, std::uint64_t policy);
  std::uint32_t begin(std::uint32_t destination, std::uint32_t bytes, std::uint32_t barrier);
  void land_box(const Copy& copy);

  Scheduler& scheduler_;
  SharedMemory& shared_;
  TransactionBarriers& barriers_;
  std::vector<Copy> under_way_;
  std::vector<Store> stores_under_way_;
  bool used_ = false;
};

}  // namespace ridge::emulated
