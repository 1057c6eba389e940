// Which links a transfer takes.
#pragma once

#include "ridge/net/topology.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ridge::net {

using RouteId = std::uint32_t;

// A path, and what a transfer needs to know of it. Rates are in bytes per second; they are plain
// numbers because they are read for every transfer.
struct Route {
  std::uint32_t first_link = 0;
  std::uint16_t links = 0;
  // Positions in the path. The source side ends with the port out of the source; the destination
  // side begins with the port into the destination; the links between them are the core.
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  LinkId source_port_link = 0;
  LinkId destination_port_link = 0;
  des::SimTime latency;
  double source_rate = 0.0;  // the smallest capacity on that side; infinity if it has no link
  double core_rate = 0.0;
  double destination_rate = 0.0;
};

// Shortest paths by cost, then latency; GPUs do not forward. Among equal paths a hash of the flow
// decides (ECMP), so that one flow always takes one path and many flows spread. Routes are
// computed once and kept.
class Router {
 public:
  // `ways` is into how many hash buckets the flows between two GPUs fall, a power of two.
  explicit Router(const Topology& topology, std::uint32_t ways = 32);

  // Throws UserError if there is no path from `from` to `to`, or they are the same GPU.
  RouteId route(GpuId from, GpuId to, std::uint64_t flow);

  [[nodiscard]] std::size_t routes() const { return routes_.size(); }
  [[nodiscard]] const Route& operator[](RouteId route) const { return routes_[route]; }
  [[nodiscard]] std::span<const LinkId> links(RouteId route) const {
    return {links_.data() + routes_[route].first_link, routes_[route].links};
  }

 private:
  struct Pair {
    std::uint32_t first_way = 0;
    std::uint32_t ways = 0;
  };
  using LinkSet = std::vector<bool>;

  [[nodiscard]] Pair& pair(GpuId from, GpuId to);
  [[nodiscard]] const LinkSet& shortest_paths_to(GpuId to);
  // Follows the shortest paths, choosing by hash; false in `unique` if there was a choice.
  RouteId walk(GpuId from, GpuId to, std::uint32_t way, bool& unique);
  RouteId store(std::span<const LinkId> path);

  const Topology& topology_;
  std::uint32_t ways_;
  // By source and destination GPU; a row exists once its source has sent something.
  std::vector<std::vector<Pair>> pairs_;
  std::vector<RouteId> route_of_way_;
  // By destination GPU: the links that lie on some shortest path to it.
  std::vector<LinkSet> towards_;
  std::vector<Route> routes_;
  std::vector<LinkId> links_;
};

}  // namespace ridge::net
