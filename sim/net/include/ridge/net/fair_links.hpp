// Links shared max-min fairly by all flows that cross them, as a fluid.
#pragma once

#include "ridge/des/four_ary_heap.hpp"
#include "ridge/des/sim_time.hpp"
#include "ridge/net/max_min.hpp"
#include "ridge/net/router.hpp"
#include "ridge/net/topology.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace ridge::net {

// Rates change only when a flow starts or ends, and then only for flows that share a link with it
// directly or through others: that connected component is solved anew, once per instant however
// many flows start or end in it.
class FairLinks {
 public:
  struct Flow {
    RouteId route = 0;
    std::uint32_t per_source = 1;
    std::uint32_t per_destination = 1;
    double wire_bytes = 0.0;
    std::uint64_t tag = 0;
  };
  struct Drained {
    Flow flow;
    des::SimTime at;  // the last byte has left the source
  };

  // Both must outlive this object.
  FairLinks(const Topology& topology, const Router& router);

  // The flow's first byte is ready at `ready`, which is not before the last advance().
  void add(des::SimTime ready, const Flow& flow);

  // When advance() is due; never() without flows.
  [[nodiscard]] des::SimTime next_event() const;

  // Moves to `now`, which is not after next_event(), and returns what has drained, in order of
  // arrival. The span is valid until the next call.
  std::span<const Drained> advance(des::SimTime now);

  [[nodiscard]] std::size_t flows() const { return drains_.size() + waiting_.size(); }
  // Bytes on the wire that all flows, past and present, have put on each link by `now`, which is
  // not before the last advance().
  [[nodiscard]] std::vector<double> carried(des::SimTime now) const;
  // The sum of the present rates on each link, bytes per second.
  [[nodiscard]] std::vector<double> load() const;

 private:
  static constexpr std::uint32_t kNowhere = std::numeric_limits<std::uint32_t>::max();

  struct Active {
    Flow flow;
    double remaining = 0.0;  // wire bytes at `since`
    double rate = 0.0;
    des::SimTime since;
    des::SimTime drains_at;
    std::uint64_t order = 0;
    std::uint32_t place = kNowhere;      // in drains_; kNowhere once drained
    std::uint32_t component = kNowhere;  // index in the problem being solved
  };

  [[nodiscard]] std::uint32_t weight(const Flow& flow, std::size_t position) const;
  [[nodiscard]] double drained_by(const Active& active, des::SimTime now) const;
  void touch(const Flow& flow);
  void activate(const Flow& flow, des::SimTime now);
  void settle(des::SimTime now);
  void collect_component();
  void apply_rates(des::SimTime now, std::span<const double> rates);

  // A binary heap of the active flows by (drains_at, order), which knows where each flow is, since
  // rates change often and entries must move.
  [[nodiscard]] bool drains_before(std::uint32_t a, std::uint32_t b) const;
  void place(std::uint32_t position, std::uint32_t slot);
  void move_up(std::uint32_t position);
  void move_down(std::uint32_t position);
  void remove_first();

  const Topology& topology_;
  const Router& router_;
  std::vector<char> binds_;  // by link: whether it can be what a flow waits for
  std::vector<Active> slots_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::uint32_t> drains_;
  des::FourAryHeap<Flow> waiting_;  // by (ready, order)
  std::uint64_t order_ = 0;
  std::vector<std::vector<std::uint32_t>> flows_on_;  // by link; drained ones leave when touched
  std::vector<double> carried_;                       // by link, of drained flows

  std::vector<LinkId> touched_;                 // links whose flows have changed
  std::vector<std::uint32_t> link_in_problem_;  // by link
  std::vector<std::uint32_t> to_free_;
  std::vector<std::uint32_t> component_;
  std::vector<LinkId> component_links_;
  SharingProblem problem_;
  MaxMin max_min_;
  std::vector<Drained> drained_;
};

}  // namespace ridge::net
