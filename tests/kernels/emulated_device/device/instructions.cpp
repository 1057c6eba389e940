// The functions that the stand-ins for kernels/common declare, in terms of the running CTA.

#include "cluster.hpp"
#include "common/async_copy.cuh"
#include "common/cluster.cuh"
#include "common/dynamic_shared.cuh"
#include "common/wgmma.cuh"
#include "error.hpp"
#include "thread_block.hpp"

#include <vector>

namespace ridge::emulated {
namespace {

ThreadBlock& block() {
  return ThreadBlock::current();
}

}  // namespace

const std::array<std::uint64_t, 32>& exchange_in_warp(unsigned mask, const char* operation,
                                                      std::uint64_t value) {
  ThreadBlock& here = block();
  return here.warp().exchange(here.lane(), mask, operation, {value})[0];
}

unsigned lane() {
  return block().lane();
}

void sync_threads() {
  block().sync_threads();
}

void trap() {
  fail("__trap() by thread %u", block().thread());
}

}  // namespace ridge::emulated

namespace ridge::kernels {

using emulated::block;

unsigned char* dynamic_shared_memory() {
  return block().shared().generic();
}

std::uint32_t shared_address(const void* pointer) {
  return block().shared().address_of(pointer);
}

void mbarrier_init(std::uint32_t barrier, std::uint32_t arrivals) {
  block().transaction_barriers().init(barrier, arrivals);
}
void mbarrier_init_fence() {
  block().transaction_barriers().fence_init();
  block().fence_async_proxy();
}
void mbarrier_arrive(std::uint32_t barrier) {
  block().transaction_barriers().arrive(barrier);
}
void mbarrier_arrive_expect(std::uint32_t barrier, std::uint32_t bytes) {
  block().transaction_barriers().arrive(barrier, bytes);
}
void mbarrier_wait(std::uint32_t barrier, std::uint32_t parity) {
  block().transaction_barriers().wait(barrier, parity);
}

void bulk_load(std::uint32_t destination, const void* source, std::uint32_t bytes,
               std::uint32_t barrier, std::uint64_t policy) {
  block().scheduler().pause();
  block().require_visible_to_copies(source, bytes);
  block().copies().load_bytes(destination, source, bytes, barrier, policy);
}
namespace {

/// A box that a copy may read.
void pause_before_box(const CUtensorMap* map) {
  block().scheduler().pause();
  const emulated::TensorMap tensor = emulated::read_tensor_map(map);
  block().require_visible_to_copies(tensor.address, tensor.span_bytes());
}

void load_box(std::uint32_t destination, const CUtensorMap* map, std::uint32_t barrier,
              const std::vector<std::int32_t>& at, std::uint64_t policy) {
  pause_before_box(map);
  block().copies().load_box(destination, map, barrier, at, policy);
}

void load_box_multicast(std::uint32_t destination, const CUtensorMap* map, std::uint32_t barrier,
                        const std::vector<std::int32_t>& at, std::uint16_t ranks,
                        std::uint64_t policy) {
  pause_before_box(map);
  const emulated::ThreadBlock& here = block();
  block().cluster().at_each(ranks, "a multicast copy", [&](emulated::ThreadBlock& there) {
    if (&there != &here) {
      there.transaction_barriers().require_published(barrier);
    }
    there.copies().load_box(destination, map, barrier, at, policy);
  });
}

}  // namespace

void tensor_load_2d(std::uint32_t destination, const CUtensorMap* map, std::uint32_t barrier,
                    std::int32_t x, std::int32_t y, std::uint64_t policy) {
  load_box(destination, map, barrier, {x, y}, policy);
}
void tensor_load_3d(std::uint32_t destination, const CUtensorMap* map, std::uint32_t barrier,
                    std::int32_t x, std::int32_t y, std::int32_t z, std::uint64_t policy) {
  load_box(destination, map, barrier, {x, y, z}, policy);
}
void tensor_load_2d_multicast(std::uint32_t destination, const CUtensorMap* map,
                              std::uint32_t barrier, std::int32_t x, std::int32_t y,
                              std::uint16_t ranks, std::uint64_t policy) {
  load_box_multicast(destination, map, barrier, {x, y}, ranks, policy);
}
void tensor_load_3d_multicast(std::uint32_t destination, const CUtensorMap* map,
                              std::uint32_t barrier, std::int32_t x, std::int32_t y, std::int32_t z,
                              std::uint16_t ranks, std::uint64_t policy) {
  load_box_multicast(destination, map, barrier, {x, y, z}, ranks, policy);
}
void prefetch_tensor_map(const CUtensorMap* map) {
  emulated::read_tensor_map(map);
}

void fence_async_proxy() {
  block().fence_async_proxy();
}
void fence_async_proxy_global() {
  block().fence_async_proxy_global();
}
void named_barrier(int id, int threads) {
  block().numbered_barriers().sync(id, threads);
}

std::uint32_t cluster_rank() {
  return block().rank();
}
void cluster_sync() {
  block().cluster().sync(block());
}
void mbarrier_arrive_at(std::uint32_t barrier, std::uint32_t rank) {
  emulated::ThreadBlock& here = block();
  if (rank == here.rank()) {  // Has no way to go.
    here.transaction_barriers().arrive(barrier);
    return;
  }
  here.scheduler().pause();
  here.cluster().at(rank, "an arrival", [&](emulated::ThreadBlock& there) {
    there.transaction_barriers().arrive_remotely(barrier, {here.rank(), here.thread()});
  });
}

namespace {

/// An address in the cluster's window: that of its CTA, above the bits of a CTA's own window.
constexpr std::uint32_t kRankShift = 24;

}  // namespace

std::uint32_t address_at(std::uint32_t address, std::uint32_t rank) {
  return (rank + 1) << kRankShift | address;
}
void store_async(std::uint32_t destination, float4 values, std::uint32_t barrier) {
  emulated::ThreadBlock& here = block();
  here.scheduler().pause();
  if (destination >> kRankShift != barrier >> kRankShift || destination >> kRankShift == 0) {
    emulated::fail(
        "st.async to shared %#x signals %#x: addresses of one CTA of the cluster expected",
        destination, barrier);
  }
  constexpr std::uint32_t kWithin = (1u << kRankShift) - 1;
  here.cluster().at((destination >> kRankShift) - 1, "a store", [&](emulated::ThreadBlock& there) {
    if (&there != &here) {
      there.transaction_barriers().require_published(barrier & kWithin);
    }
    there.copies().store(destination & kWithin, &values, barrier & kWithin);
  });
}
void mbarrier_wait_in_cluster(std::uint32_t barrier, std::uint32_t parity) {
  block().transaction_barriers().wait(barrier, parity, emulated::Scope::kCluster);
}

void set_register_budget(unsigned registers, bool increase) {
  block().set_registers(registers, increase);
}
void allow_dependent_launch() {
  block().allow_dependents();
}
void wait_for_prerequisites() {
  block().wait_for_prerequisites();
}

void wgmma_fence() {
  block().matrix_unit().fence(block().lane());
}
void wgmma_commit() {
  block().matrix_unit().commit(block().lane());
}
void wgmma_wait_pending(int pending) {
  block().matrix_unit().wait(block().lane(), pending);
}

namespace {

emulated::OperandType operand(WgmmaType type) {
  switch (type) {
    case WgmmaType::kBf16:
      return emulated::OperandType::kBf16;
    case WgmmaType::kF16:
      return emulated::OperandType::kF16;
    case WgmmaType::kE4m3:
      break;
  }
  return emulated::OperandType::kE4m3;
}

}  // namespace

void wgmma_shared(WgmmaType type, int n, float* d, std::uint64_t a, std::uint64_t b,
                  bool accumulate) {
  block().matrix_unit().issue(block().lane(), {operand(type), n, false, true, a, b, accumulate}, d,
                              nullptr);
}
void wgmma_registers(WgmmaType type, int n, float* d, const std::uint32_t* a, std::uint64_t b,
                     bool b_k_major, bool accumulate) {
  block().matrix_unit().issue(block().lane(), {operand(type), n, true, b_k_major, 0, b, accumulate},
                              d, a);
}

}  // namespace ridge::kernels
