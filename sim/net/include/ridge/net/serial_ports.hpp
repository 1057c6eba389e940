// The cheap network: messages line up at the port they leave by and at the port they enter by.
#pragma once

#include "ridge/des/sim_time.hpp"
#include "ridge/net/router.hpp"
#include "ridge/net/topology.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ridge::net {

// Each direction of each port serves one message at a time, in the order of the calls, at full
// rate; links between the ports bound a message's rate but are not contended. Constant time and
// no memory per transfer: when it is delivered is known when it starts. Messages that enter by
// one port line up in the order in which they were sent, not in which they arrive, which differs
// only where latencies do.
class SerialPorts {
 public:
  explicit SerialPorts(const Topology& topology) : free_at_(topology.links().size()) {
    capacity_.reserve(topology.links().size());
    for (const Link& link : topology.links()) capacity_.push_back(link.capacity.value());
  }

  // The instant at which the last of `wire_bytes` that are ready at `ready` has arrived.
  des::SimTime send(des::SimTime ready, const Route& route, double wire_bytes,
                    std::uint32_t per_source, std::uint32_t per_destination) {
    const double out = capacity_[route.source_port_link] / per_source;
    const double in = capacity_[route.destination_port_link] / per_destination;
    const double rate = std::min({route.source_rate / per_source, route.core_rate,
                                  route.destination_rate / per_destination});
    const des::SimTime in_flight = des::SimTime::from(Seconds{wire_bytes / rate});
    const auto time_at = [&](double port_rate) {
      // Most often the port is the narrowest place of its route.
      return port_rate == rate ? in_flight : des::SimTime::from(Seconds{wire_bytes / port_rate});
    };

    des::SimTime& source = free_at_[route.source_port_link];
    const des::SimTime departure = std::max(ready, source);
    source = departure + time_at(out);

    const des::SimTime first_byte = departure + route.latency;
    des::SimTime& destination = free_at_[route.destination_port_link];
    destination = std::max(first_byte, destination) + time_at(in);
    return std::max(first_byte + in_flight, destination);
  }

  // When the port direction `link` will have served all that it has been given.
  [[nodiscard]] des::SimTime free_at(LinkId link) const { return free_at_[link]; }

 private:
  std::vector<des::SimTime> free_at_;
  std::vector<double> capacity_;
};

}  // namespace ridge::net
