// What is sent, and by what means.
#pragma once

#include "ridge/base/quantity.hpp"
#include "ridge/des/sim_time.hpp"
#include "ridge/net/router.hpp"

#include <cstdint>
#include <string>

namespace ridge::net {

// How messages are sent: a library and its protocol on a kind of link.
struct Transport {
  Seconds overhead;         // software time before the first byte leaves, per message
  double efficiency = 1.0;  // payload bytes over bytes on the wire, in (0, 1]
  std::string source;       // where the two figures come from
  bool operator==(const Transport&) const = default;
};

using TransportId = std::uint32_t;

// A transfer that stands for a group of simultaneous, equal ones: every source sends
// `per_source` of them, every destination receives `per_destination`, and they take `copies`
// routes in all. Exact if the members differ only by a symmetry: their ports carry no other
// traffic meanwhile, or the same, and no two members share a link of the core. A pool of A GPUs
// that sends to each GPU of a pool of F is {F, A, A * F}, on a fabric that does not block.
// Use of links is recorded on the route of the representative.
struct Group {
  std::uint32_t per_source = 1;
  std::uint32_t per_destination = 1;
  std::uint64_t copies = 1;
};

struct Transfer {
  RouteId route = 0;
  TransportId transport = 0;
  std::uint64_t bytes = 0;  // payload of one member
  std::uint64_t tag = 0;    // the owner's; comes back with the delivery
  des::SimTime delay;       // before the first byte leaves, beyond the transport's overhead
  Group group;
};

}  // namespace ridge::net
