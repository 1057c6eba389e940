#include "ridge/net/topology.hpp"

#include "ridge/base/error.hpp"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::net {
namespace {

using testing::HasSubstr;

TEST(Topology, TheTwoDirectionsOfACableAreLinksOfTheirOwn) {
  Topology topology;
  const VertexId gpu = topology.add_vertex(VertexKind::gpu, "gpu0");
  const VertexId nic = topology.add_vertex(VertexKind::nic, "nic0");
  const LinkId out = topology.add_cable(gpu, nic, {BytesPerSecond{50e9}, {}});
  ASSERT_EQ(topology.links().size(), 2U);
  EXPECT_EQ(topology.link(out).from, gpu);
  EXPECT_EQ(topology.link(out).to, nic);
  EXPECT_EQ(topology.link(out + 1).from, nic);
  EXPECT_EQ(topology.link(out + 1).to, gpu);
  topology.scale_capacity(out, 0.5);
  EXPECT_EQ(topology.link(out).capacity, BytesPerSecond{25e9});
  EXPECT_EQ(topology.link(out + 1).capacity, BytesPerSecond{50e9});
}

TEST(Topology, ALinkThatJoinsNothingOrCarriesNothingIsRefused) {
  Topology topology;
  const VertexId a = topology.add_vertex(VertexKind::gpu, "a");
  const VertexId b = topology.add_vertex(VertexKind::gpu, "b");
  const BytesPerSecond fast{1e9};
  EXPECT_THROW(topology.add_link({a, a, fast, {}}), InvariantError);
  EXPECT_THROW(topology.add_link({a, 7, fast, {}}), InvariantError);
  EXPECT_THROW(topology.add_link({a, b, BytesPerSecond{}, {}}), InvariantError);
  EXPECT_THROW(topology.add_link({a, b, fast, des::SimTime::from_picoseconds(-1)}), InvariantError);
}

TEST(Topology, ExportsEveryDeviceAndDirectionToGraphviz) {
  Topology topology;
  const VertexId gpu = topology.add_vertex(VertexKind::gpu, "node0/gpu0");
  const VertexId nic = topology.add_vertex(VertexKind::nic, "node0/nic0");
  topology.add_cable(gpu, nic, {BytesPerSecond{63e9}, {}});
  std::ostringstream dot;
  topology.write_dot(dot);
  EXPECT_THAT(dot.str(), HasSubstr("digraph"));
  EXPECT_THAT(dot.str(), HasSubstr("node0/gpu0"));
  EXPECT_THAT(dot.str(), HasSubstr("node0/nic0"));
  EXPECT_THAT(dot.str(), HasSubstr("0->1"));
  EXPECT_THAT(dot.str(), HasSubstr("1->0"));
  EXPECT_THAT(dot.str(), HasSubstr("63 GB/s"));
}

}  // namespace
}  // namespace ridge::net
