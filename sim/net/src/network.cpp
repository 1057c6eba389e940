#include "ridge/net/network.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace ridge::net {

using des::SimTime;

Network::Network(const Topology& topology, Sharing sharing, std::uint32_t ecmp_ways)
    : topology_(topology),
      sharing_(sharing),
      router_(topology, ecmp_ways),
      ports_(topology),
      links_(topology, router_),
      carried_before_(topology.links().size(), 0.0) {}

TransportId Network::add_transport(const Transport& transport) {
  if (!(transport.efficiency > 0.0 && transport.efficiency <= 1.0)) {
    throw UserError(fmt::format("a transport's efficiency is above 0 and at most 1, got {}",
                                transport.efficiency));
  }
  if (!(transport.overhead >= Seconds{} && std::isfinite(transport.overhead.value()))) {
    throw UserError(fmt::format("a transport's overhead is a time of at least 0, got {} s",
                                transport.overhead.value()));
  }
  transports_.push_back({SimTime::from(transport.overhead), transport.efficiency});
  return static_cast<TransportId>(transports_.size() - 1);
}

std::vector<double> Network::carried(SimTime now) const {
  if (sharing_ == Sharing::max_min) return links_.carried(now);
  std::vector<double> bytes(topology_.links().size(), 0.0);
  for (RouteId id = 0; id < route_use_.size(); ++id) {
    const Route& route = router_[id];
    const auto links = router_.links(id);
    for (std::size_t i = 0; i < links.size(); ++i) {
      bytes[links[i]] += i <= route.source_port        ? route_use_[id].source
                         : i >= route.destination_port ? route_use_[id].destination
                                                       : route_use_[id].core;
    }
  }
  for (LinkId id = 0; id < bytes.size(); ++id) {
    const double backlog = (ports_.free_at(id) - now).seconds().value();
    if (backlog > 0.0) {
      bytes[id] = std::max(0.0, bytes[id] - backlog * topology_.link(id).capacity.value());
    }
  }
  return bytes;
}

std::vector<WireUse> Network::use(SimTime now) const {
  const std::vector<double> bytes = carried(now);
  const double elapsed = (now - measured_from_).seconds().value();
  std::vector<WireUse> result(bytes.size());
  for (LinkId id = 0; id < bytes.size(); ++id) {
    result[id].wire_bytes = bytes[id] - carried_before_[id];
    if (elapsed > 0.0) {
      result[id].utilization =
          result[id].wire_bytes / (topology_.link(id).capacity.value() * elapsed);
    }
  }
  return result;
}

void Network::restart(SimTime now) {
  carried_before_ = carried(now);
  measured_from_ = now;
}

}  // namespace ridge::net
