#include "ridge/net/router.hpp"

#include "graph.hpp"
#include "ridge/base/error.hpp"

#include <algorithm>
#include <bit>
#include <compare>
#include <functional>
#include <limits>

#include <boost/graph/dijkstra_shortest_paths.hpp>
#include <boost/graph/reverse_graph.hpp>
#include <boost/property_map/function_property_map.hpp>
#include <fmt/format.h>

namespace ridge::net {
namespace {

constexpr RouteId kUnresolved = std::numeric_limits<RouteId>::max();

struct Distance {
  std::uint64_t cost = 0;
  std::int64_t latency_ps = 0;
  friend auto operator<=>(const Distance&, const Distance&) = default;
};
constexpr Distance kUnreachable{std::numeric_limits<std::uint64_t>::max(), 0};

Distance sum(const Distance& a, const Distance& b) {
  if (a == kUnreachable || b == kUnreachable) return kUnreachable;
  return {a.cost + b.cost, a.latency_ps + b.latency_ps};
}

Distance length(const Link& link) {
  return {link.cost, link.latency.picoseconds()};
}

// SplitMix64's finaliser: every input bit moves every output bit.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

}  // namespace

Router::Router(const Topology& topology, std::uint32_t ways)
    : topology_(topology), ways_(ways), pairs_(topology.gpus()), towards_(topology.gpus()) {
  RIDGE_INVARIANT(std::has_single_bit(ways), "the number of ECMP ways is a power of two");
}

RouteId Router::route(GpuId from, GpuId to, std::uint64_t flow) {
  Pair& entry = pair(from, to);
  if (entry.ways == 1) return route_of_way_[entry.first_way];
  const auto way = static_cast<std::uint32_t>(mix(flow) & (entry.ways - 1));
  RouteId& route = route_of_way_[entry.first_way + way];
  if (route == kUnresolved) {
    bool unique = false;
    route = walk(from, to, way, unique);
  }
  return route;
}

Router::Pair& Router::pair(GpuId from, GpuId to) {
  RIDGE_INVARIANT(from < topology_.gpus() && to < topology_.gpus(), "no such GPU");
  auto& row = pairs_[from];
  if (row.empty()) row.resize(topology_.gpus());
  Pair& entry = row[to];
  if (entry.ways == 0) {
    bool unique = false;
    const RouteId route = walk(from, to, 0, unique);
    entry = {static_cast<std::uint32_t>(route_of_way_.size()), unique ? 1 : ways_};
    route_of_way_.resize(route_of_way_.size() + entry.ways, kUnresolved);
    route_of_way_[entry.first_way] = route;
  }
  return entry;
}

const Router::LinkSet& Router::shortest_paths_to(GpuId to) {
  LinkSet& set = towards_[to];
  if (!set.empty()) return set;

  const auto& graph = topology_.graph().value;
  const VertexId target = topology_.gpu(to);
  const auto forwards = [&](VertexId vertex) {
    return vertex == target || topology_.kind(vertex) != VertexKind::gpu;
  };
  const auto reversed = boost::make_reverse_graph(graph);
  using Edge = boost::graph_traits<decltype(reversed)>::edge_descriptor;
  const auto index = boost::get(boost::edge_index, reversed);
  const auto weight = boost::make_function_property_map<Edge>([&](const Edge& edge) {
    const Link& link = topology_.link(index[edge]);
    return forwards(link.to) ? length(link) : kUnreachable;
  });
  std::vector<Distance> distance(topology_.vertices(), kUnreachable);
  boost::dijkstra_shortest_paths(
      reversed, static_cast<std::size_t>(target),
      boost::weight_map(weight)
          .distance_map(distance.data())
          .distance_compare(std::less<>{})
          .distance_combine([](const Distance& a, const Distance& b) { return sum(a, b); })
          .distance_inf(kUnreachable)
          .distance_zero(Distance{}));

  set.resize(topology_.links().size());
  for (LinkId id = 0; id < set.size(); ++id) {
    const Link& link = topology_.link(id);
    set[id] = forwards(link.to) && distance[link.to] != kUnreachable &&
              distance[link.from] == sum(length(link), distance[link.to]);
  }
  return set;
}

RouteId Router::walk(GpuId from, GpuId to, std::uint32_t way, bool& unique) {
  const auto& graph = topology_.graph().value;
  const auto index = boost::get(boost::edge_index, graph);
  const LinkSet& set = shortest_paths_to(to);
  const VertexId target = topology_.gpu(to);
  // The two ends are part of the hash, as in a switch: flow 0 of each pair need not collide.
  const std::uint64_t seed = mix((std::uint64_t{from} << 32U | to) ^ mix(way));

  unique = true;
  std::vector<LinkId> path;
  std::vector<LinkId> choices;
  for (VertexId here = topology_.gpu(from); here != target; here = topology_.link(path.back()).to) {
    choices.clear();
    const auto [first, last] = boost::out_edges(here, graph);
    for (auto edge = first; edge != last; ++edge) {
      if (set[index[*edge]]) choices.push_back(index[*edge]);
    }
    if (choices.empty()) break;
    unique = unique && choices.size() == 1;
    path.push_back(choices[mix(seed ^ here) % choices.size()]);
  }
  if (path.empty() || topology_.link(path.back()).to != target) {
    throw UserError(fmt::format("there is no path from {} to {}: {}",
                                topology_.name(topology_.gpu(from)),
                                topology_.name(topology_.gpu(to)),
                                from == to ? "a GPU does not send to itself"
                                           : "no switch joins them (rails without spines?)"));
  }
  return store(path);
}

RouteId Router::store(std::span<const LinkId> path) {
  Route route;
  route.first_link = static_cast<std::uint32_t>(links_.size());
  route.links = static_cast<std::uint16_t>(path.size());
  const auto is_port = [&](LinkId id) { return topology_.link(id).port; };
  const auto first = std::find_if(path.begin(), path.end(), is_port);
  const auto last = std::find_if(path.rbegin(), path.rend(), is_port);
  RIDGE_INVARIANT(first != path.end() && *first != *last,
                  "a path leaves by one port and enters by another");
  route.source_port = static_cast<std::uint16_t>(first - path.begin());
  route.destination_port = static_cast<std::uint16_t>(path.rend() - last - 1);
  route.source_port_link = *first;
  route.destination_port_link = *last;
  route.source_rate = route.core_rate = route.destination_rate =
      std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < path.size(); ++i) {
    const Link& link = topology_.link(path[i]);
    route.latency += link.latency;
    double& rate = i <= route.source_port        ? route.source_rate
                   : i >= route.destination_port ? route.destination_rate
                                                 : route.core_rate;
    rate = std::min(rate, link.capacity.value());
  }
  links_.insert(links_.end(), path.begin(), path.end());
  routes_.push_back(route);
  return static_cast<RouteId>(routes_.size() - 1);
}

}  // namespace ridge::net
