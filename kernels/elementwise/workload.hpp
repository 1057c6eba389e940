#pragma once

#include "bench/family.hpp"

#include <memory>

namespace ridge::kernels::elementwise {

/// A kernel that is launched on one of several sets of buffers in turn, so that none of its input
/// is still in L2. `Buffers` is made from a shape and the number of sets, and has launch(set,
/// stream).
template <typename Buffers>
class RotatingWorkload : public bench::Workload {
 public:
  RotatingWorkload(const bench::Shape& shape, int sets) : sets_(sets), buffers_(shape, sets) {}
  int sets() const override { return sets_; }
  void launch(int set, bench::Stream stream) override { buffers_.launch(set, stream); }

 private:
  int sets_;
  Buffers buffers_;
};

}  // namespace ridge::kernels::elementwise
