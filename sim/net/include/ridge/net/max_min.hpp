// Max-min fair rates: no flow can have more without taking from one that has no more than it.
#pragma once

#include "ridge/des/four_ary_heap.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace ridge::net {

// Who uses what. Flow f uses the links uses[first_use[f]] .. uses[first_use[f + 1] - 1].
struct SharingProblem {
  struct Use {
    std::uint32_t link = 0;
    // The flow takes weight times its rate here: it stands for that many equal ones.
    std::uint32_t weight = 1;
  };
  std::vector<double> capacity;  // by link, bytes per second
  std::vector<std::uint32_t> first_use = {0};
  std::vector<Use> uses;

  [[nodiscard]] std::size_t flows() const { return first_use.size() - 1; }
  void clear();
};

// Progressive filling (Bertsekas and Gallager, Data Networks, section 6.5.2): the rates of all
// flows rise together; when a link fills up, its flows stop rising.
// O(u + l log l) for u uses of l links. Holds its scratch space, so that solving again and again
// does not allocate.
class MaxMin {
 public:
  // Bytes per second by flow; valid until the next call. Every flow must use a link.
  std::span<const double> solve(const SharingProblem& problem);

 private:
  struct Load {
    double left = 0.0;         // capacity not yet given to flows that have stopped rising
    std::uint64_t rising = 0;  // weight of the flows that have not
  };
  void index_flows_by_link(const SharingProblem& problem);
  void push(std::uint32_t link, double share);

  std::vector<Load> loads_;
  std::vector<std::uint32_t> first_flow_;  // by link, into flows_
  std::vector<std::uint32_t> flows_;
  std::vector<double> rates_;
  des::FourAryHeap<std::uint32_t> next_to_fill_;
};

}  // namespace ridge::net
