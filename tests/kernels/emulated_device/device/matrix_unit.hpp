#pragma once

#include "scheduler.hpp"
#include "shared_memory.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <vector>

namespace ridge::emulated {

enum class OperandType { kBf16, kF16, kE4m3 };

/// One wgmma.mma_async m64nNk(32 bytes) with float accumulators.
struct MatrixInstruction {
  OperandType type;
  int n;
  bool a_in_registers;  ///< Otherwise K-major in shared memory.
  bool b_k_major;       ///< Otherwise MN-major.
  std::uint64_t a;      ///< Descriptor, unless A is in registers.
  std::uint64_t b;
  bool accumulate;

  bool operator==(const MatrixInstruction&) const = default;
};

/// A warp's quarter of its warpgroup's matrix instructions: 16 of the 64 rows. Instructions execute
/// in order at random times between their issue by all 32 lanes and the wait that covers them.
/// Until that wait the accumulator registers hold NaN. Source: PTX ISA 8.7, "Asynchronous
/// Warpgroup Level Matrix Instructions".
class MatrixUnit : public Engine {
 public:
  MatrixUnit(Scheduler& scheduler, const SharedMemory& shared, unsigned warp,
             bool truncate_fp8_sums)
      : scheduler_(scheduler),
        shared_(shared),
        warp_(warp),
        truncate_fp8_sums_(truncate_fp8_sums) {}

  void fence(unsigned lane) { lanes_[lane].fenced = true; }
  /// `d` are the lane's N / 2 accumulators; `a` its four registers of A, or null.
  void issue(unsigned lane, const MatrixInstruction& instruction, float* d, const std::uint32_t* a);
  void commit(unsigned lane);
  void wait(unsigned lane, int pending);

  bool has_work() const override;
  void step(Chance& chance) override;

  /// Instructions that no wait covered, and how many and which there were: the four warps of a
  /// warpgroup must agree.
  bool drained() const { return chains_.empty(); }
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  /// Instructions that accumulate into the same registers.
  struct Chain {
    int id;
    int n;
    std::array<float*, 32> d{};  ///< Null: the lane has not begun, or has its result.
    std::array<bool, 32> done{};
    std::uint64_t last = 0;     ///< Number of its last instruction.
    std::vector<float> values;  ///< [N][16 rows]
  };
  struct Issued {
    MatrixInstruction instruction;
    int chain;
    unsigned lanes = 0;
    std::array<std::array<std::uint32_t, 4>, 32> a{};
    std::array<const std::uint32_t*, 32> a_at{};
  };
  struct Lane {
    bool fenced = false;
    std::uint64_t issued = 0;
    std::vector<std::uint64_t> commits;  ///< Instructions issued before each commit.
    bool waiting = false;
  };
  Chain& chain(int id);
  Chain& join_chain(unsigned lane, Issued& issued, bool first_lane, float* d);
  void execute(Issued& issued);

  Scheduler& scheduler_;
  const SharedMemory& shared_;
  unsigned warp_;
  bool truncate_fp8_sums_;
  std::array<Lane, 32> lanes_;
  std::deque<Issued> queue_;  ///< From instruction `executed_` on.
  std::uint64_t executed_ = 0;
  std::vector<Chain> chains_;
  int next_chain_ = 0;
  std::uint64_t fingerprint_ = 0;
  bool used_ = false;
};

}  // namespace ridge::emulated
