#include "ridge/net/router.hpp"

#include "ridge/base/error.hpp"
#include "traffic.hpp"

#include <limits>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace ridge::net {
namespace {

using testing::HasSubstr;

std::vector<VertexKind> kinds(const Topology& topology, const Router& router, RouteId route) {
  std::vector<VertexKind> result;
  for (const LinkId link : router.links(route)) {
    result.push_back(topology.kind(topology.link(link).to));
  }
  return result;
}

TEST(Router, NodeLocalTrafficStaysOnTheScaleUpSwitchEvenIfTheGpusShareANic) {
  ClusterSpec spec = rails(2, 8, 1);
  spec.groups[0].nics_per_node = 1;
  const Topology topology = build_topology(spec);
  Router router(topology);
  EXPECT_THAT(kinds(topology, router, router.route(0, 7, 0)),
              testing::ElementsAre(VertexKind::scale_up_switch, VertexKind::gpu));
}

TEST(Router, OneRailIsOneLeafAwayAndAnotherRailIsAcrossASpine) {
  const Topology topology = build_topology(rails(2, 8, 4));
  Router router(topology);
  using enum VertexKind;
  EXPECT_THAT(kinds(topology, router, router.route(3, 11, 0)),
              testing::ElementsAre(nic, leaf, nic, gpu));
  EXPECT_THAT(kinds(topology, router, router.route(3, 12, 0)),
              testing::ElementsAre(nic, leaf, spine, leaf, nic, gpu));
}

TEST(Router, GpusDoNotForward) {
  const Topology topology = build_topology(rails(2, 8, 0));
  Router router(topology);
  EXPECT_NO_THROW(router.route(0, 8, 0));
  try {
    router.route(0, 9, 0);
    FAIL() << "found a way through a GPU";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no path from node0/gpu0 to node1/gpu1"));
  }
  EXPECT_THROW(router.route(3, 3, 0), UserError);
}

TEST(Router, AmongEquallyManyHopsTheNearerWayWins) {
  Topology topology;
  const VertexId a = topology.add_vertex(VertexKind::gpu, "a");
  const VertexId b = topology.add_vertex(VertexKind::gpu, "b");
  const VertexId far = topology.add_vertex(VertexKind::leaf, "far");
  const VertexId near = topology.add_vertex(VertexKind::leaf, "near");
  for (const VertexId leaf : {far, near}) {
    const auto latency = des::SimTime::from_nanoseconds(leaf == far ? 900 : 100);
    for (const VertexId gpu : {a, b}) {
      topology.add_cable(gpu, leaf, {BytesPerSecond{1e9}, latency, 1, true});
    }
  }
  Router router(topology);
  for (std::uint64_t flow = 0; flow < 32; ++flow) {
    const RouteId route = router.route(0, 1, flow);
    EXPECT_EQ(topology.link(router.links(route)[0]).to, near);
    EXPECT_EQ(router[route].latency, des::SimTime::from_nanoseconds(200));
  }
}

TEST(RouterEcmp, AFlowTakesTheSamePathInWhateverOrderFlowsAreRouted) {
  const Topology topology = build_topology(rails(4, 4, 8));
  Router one(topology);
  Router other(topology);
  const auto path = [](Router& router, GpuId from, GpuId to, std::uint64_t flow) {
    const auto links = router.links(router.route(from, to, flow));
    return std::vector<LinkId>(links.begin(), links.end());
  };
  std::map<std::pair<GpuId, std::uint64_t>, std::vector<LinkId>> seen;
  for (GpuId to = 5; to < 16; ++to) {
    for (std::uint64_t flow = 0; flow < 50; ++flow) seen[{to, flow}] = path(one, 0, to, flow);
  }
  for (GpuId to = 16; to-- > 5;) {
    for (std::uint64_t flow = 50; flow-- > 0;) {
      const auto expected = seen[{to, flow}];
      EXPECT_EQ(path(other, 0, to, flow), expected);
      EXPECT_EQ(path(one, 0, to, flow), expected);
    }
  }
}

TEST(RouterEcmp, ManyFlowsSpreadOverAllSpinesAboutEvenly) {
  const Topology topology = build_topology(rails(2, 8, 4));
  Router router(topology);
  std::map<VertexId, int> through;
  int flows = 0;
  for (GpuId from = 0; from < 8; ++from) {
    for (GpuId to = 8; to < 16; ++to) {
      if (to - from == 8) continue;  // same rail: no spine
      for (std::uint64_t flow = 0; flow < 16; ++flow, ++flows) {
        ++through[topology.link(router.links(router.route(from, to, flow))[2]).to];
      }
    }
  }
  ASSERT_EQ(through.size(), 4U);
  for (const auto& [spine, count] : through) EXPECT_NEAR(count, flows / 4, flows / 20);
}

TEST(RouterEcmp, TheFirstFlowsOfDifferentPairsDoNotAllTakeOneSpine) {
  const Topology topology = build_topology(rails(2, 8, 4));
  Router router(topology);
  std::set<VertexId> spines;
  for (GpuId to = 9; to < 16; ++to) {
    spines.insert(topology.link(router.links(router.route(0, to, 0))[2]).to);
  }
  EXPECT_GT(spines.size(), 1U);
}

RC_GTEST_PROP(Router, EveryRouteIsConnectedAndAsShortAsFloydAndWarshallSay, (std::uint64_t seed)) {
  Random random(seed);
  const Topology topology = build_topology(random_cluster(random));
  const std::size_t n = topology.vertices();
  constexpr auto kFar = std::numeric_limits<std::uint32_t>::max() / 4;
  std::vector<std::vector<std::uint32_t>> cost(n, std::vector<std::uint32_t>(n, kFar));
  for (const Link& link : topology.links()) {
    cost[link.from][link.to] = std::min(cost[link.from][link.to], link.cost);
  }
  for (std::size_t via = 0; via < n; ++via) {
    if (topology.kind(static_cast<VertexId>(via)) == VertexKind::gpu) continue;
    for (std::size_t from = 0; from < n; ++from) {
      for (std::size_t to = 0; to < n; ++to) {
        cost[from][to] = std::min(cost[from][to], cost[from][via] + cost[via][to]);
      }
    }
  }
  Router router(topology, 4);
  for (GpuId from = 0; from < topology.gpus(); ++from) {
    const auto to =
        static_cast<GpuId>((from + 1 + random.below(topology.gpus() - 1)) % topology.gpus());
    const RouteId id = router.route(from, to, random.next());
    VertexId here = topology.gpu(from);
    std::uint32_t length = 0;
    auto latency = des::SimTime{};
    double narrowest = std::numeric_limits<double>::infinity();
    for (const LinkId link : router.links(id)) {
      RC_ASSERT(topology.link(link).from == here);
      here = topology.link(link).to;
      length += topology.link(link).cost;
      latency += topology.link(link).latency;
      narrowest = std::min(narrowest, topology.link(link).capacity.value());
    }
    RC_ASSERT(here == topology.gpu(to));
    RC_ASSERT(length == cost[topology.gpu(from)][topology.gpu(to)]);
    RC_ASSERT(latency == router[id].latency);
    RC_ASSERT(narrowest == std::min({router[id].source_rate, router[id].core_rate,
                                     router[id].destination_rate}));
  }
}

}  // namespace
}  // namespace ridge::net
