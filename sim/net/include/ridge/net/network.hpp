// Transfers over a topology, inside somebody else's event loop.
#pragma once

#include "ridge/des/sim_time.hpp"
#include "ridge/net/fair_links.hpp"
#include "ridge/net/router.hpp"
#include "ridge/net/serial_ports.hpp"
#include "ridge/net/topology.hpp"
#include "ridge/net/transfer.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ridge::net {

// Both give the same answer, to the picosecond, for a transfer on an idle network:
// overhead + delay + latency of the route + bytes / (efficiency * smallest capacity).
enum class Sharing {
  at_ports,  // messages queue at NIC and GPU ports: constant time per transfer
  max_min,   // all links shared max-min fairly: sees the core, costs a solution per change
};

struct WireUse {
  double wire_bytes = 0.0;
  double utilization = 0.0;  // of this direction, in [0, 1]
};

// Owns no clock and no queue. It tells its owner when to come back through a sink, any object with
//   void deliver(SimTime when, std::uint64_t tag);  the transfer with this tag arrives then
//   void wake(SimTime when);                        call wake(when, sink) then
// both called during start() and wake() only, with `when` not in the past. The owner turns them
// into events of its own: a delivery at Priority::deliver, a wake at Priority::settle, so that all
// transfers that start in one instant share the links from one solution. Wakes that have been
// overtaken still come and do nothing.
class Network {
 public:
  // `topology` must outlive the network.
  Network(const Topology& topology, Sharing sharing, std::uint32_t ecmp_ways = 32);
  // Its parts refer to each other.
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // Throws UserError unless 0 < efficiency <= 1 and overhead >= 0.
  TransportId add_transport(const Transport& transport);

  // The route of flow number `flow` between two GPUs; ask once and keep it. Throws UserError if
  // there is none.
  RouteId route(GpuId from, GpuId to, std::uint64_t flow = 0) {
    return router_.route(from, to, flow);
  }

  template <class Sink>
  void start(des::SimTime now, const Transfer& transfer, Sink&& sink) {
    const RoundedTransport& transport = transports_[transfer.transport];
    const des::SimTime ready = now + transport.overhead + transfer.delay;
    const double wire_bytes = static_cast<double>(transfer.bytes) / transport.efficiency;
    const Group& group = transfer.group;
    ++transfers_;
    bytes_ += transfer.bytes * group.copies;
    if (sharing_ == Sharing::at_ports) {
      count(transfer.route, wire_bytes, group);
      sink.deliver(ports_.send(ready, router_[transfer.route], wire_bytes, group.per_source,
                               group.per_destination),
                   transfer.tag);
      return;
    }
    links_.add(ready,
               {transfer.route, group.per_source, group.per_destination, wire_bytes, transfer.tag});
    if (const auto when = wake_to_schedule()) sink.wake(*when);
  }

  template <class Sink>
  void wake(des::SimTime now, Sink&& sink) {
    if (now != scheduled_wake_) return;
    scheduled_wake_ = des::SimTime::never();
    for (const FairLinks::Drained& drained : links_.advance(now)) {
      sink.deliver(drained.at + router_[drained.flow.route].latency, drained.flow.tag);
    }
    if (const auto when = wake_to_schedule()) sink.wake(*when);
  }

  // Groups count once as transfers, and with all their members' bytes.
  [[nodiscard]] std::uint64_t transfers() const { return transfers_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  // By link, from the last restart to `now`. At ports, what has been accepted counts as carried,
  // except what still waits for its port.
  [[nodiscard]] std::vector<WireUse> use(des::SimTime now) const;
  // Forgets the use so far (a warm-up), not the transfers under way.
  void restart(des::SimTime now);

  [[nodiscard]] const Topology& topology() const { return topology_; }
  [[nodiscard]] const Router& router() const { return router_; }

 private:
  struct RoundedTransport {
    des::SimTime overhead;
    double efficiency = 1.0;
  };
  // Wire bytes by part of a route. Kept by route, and spread over links when asked for: one
  // addition per part and transfer instead of one per link.
  struct RouteUse {
    double source = 0.0;
    double core = 0.0;
    double destination = 0.0;
  };

  void count(RouteId route, double wire_bytes, const Group& group) {
    if (route >= route_use_.size()) route_use_.resize(router_.routes());
    RouteUse& use = route_use_[route];
    use.source += wire_bytes * group.per_source;
    use.core += wire_bytes;
    use.destination += wire_bytes * group.per_destination;
  }

  // The next wake, if none is scheduled that early.
  std::optional<des::SimTime> wake_to_schedule() {
    const des::SimTime next = links_.next_event();
    if (next >= scheduled_wake_) return std::nullopt;
    scheduled_wake_ = next;
    return next;
  }

  [[nodiscard]] std::vector<double> carried(des::SimTime now) const;

  const Topology& topology_;
  Sharing sharing_;
  Router router_;
  SerialPorts ports_;
  FairLinks links_;
  std::vector<RoundedTransport> transports_;
  des::SimTime scheduled_wake_ = des::SimTime::never();
  std::uint64_t transfers_ = 0;
  std::uint64_t bytes_ = 0;
  std::vector<RouteUse> route_use_;
  des::SimTime measured_from_;
  std::vector<double> carried_before_;  // by link, at measured_from_
};

}  // namespace ridge::net
