#include "ridge/net/cluster_spec.hpp"

#include "ridge/base/error.hpp"
#include "traffic.hpp"

#include <algorithm>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge::net {
namespace {

using testing::HasSubstr;

long count(const Topology& topology, VertexKind kind) {
  long found = 0;
  for (VertexId v = 0; v < topology.vertices(); ++v) found += topology.kind(v) == kind ? 1 : 0;
  return found;
}

// The summed capacity of links between devices of two kinds, in one direction.
double capacity(const Topology& topology, VertexKind from, VertexKind to) {
  double sum = 0.0;
  for (const Link& link : topology.links()) {
    if (topology.kind(link.from) == from && topology.kind(link.to) == to) {
      sum += link.capacity.value();
    }
  }
  return sum;
}

TEST(ClusterSpec, RailsGiveEachNicIndexALeafOfItsOwn) {
  const Topology topology = build_topology(rails(4, 8, 2));
  EXPECT_EQ(topology.gpus(), 32U);
  EXPECT_EQ(count(topology, VertexKind::scale_up_switch), 4);
  EXPECT_EQ(count(topology, VertexKind::nic), 32);
  EXPECT_EQ(count(topology, VertexKind::leaf), 8);
  EXPECT_EQ(count(topology, VertexKind::spine), 2);
}

TEST(ClusterSpec, RacksGiveEachRackALeaf) {
  ClusterSpec spec = rails(4, 8, 2);
  spec.fabric.arrangement = Arrangement::racks;
  spec.fabric.nodes_per_leaf = 2;
  EXPECT_EQ(count(build_topology(spec), VertexKind::leaf), 2);
}

TEST(ClusterSpec, EveryPortGoesToALeafOfItsOwnWithItsPartOfTheNic) {
  ClusterSpec spec = rails(2, 4, 0);
  spec.groups[0].ports_per_nic = 2;
  const Topology topology = build_topology(spec);
  EXPECT_EQ(count(topology, VertexKind::leaf), 8);
  const auto port = std::find_if(topology.links().begin(), topology.links().end(), [&](auto& link) {
    return topology.kind(link.from) == VertexKind::nic &&
           topology.kind(link.to) == VertexKind::leaf;
  });
  EXPECT_EQ(port->capacity, gigabytes_per_second(25));
}

TEST(ClusterSpec, OversubscriptionIsTheRatioOfBandwidthDownToBandwidthUp) {
  for (const double ratio : {1.0, 2.0, 7.0}) {
    ClusterSpec spec = rails(6, 4, 3);
    spec.fabric.oversubscription = ratio;
    const Topology topology = build_topology(spec);
    const double down = capacity(topology, VertexKind::leaf, VertexKind::nic);
    EXPECT_DOUBLE_EQ(down, 6 * 4 * 50e9);
    EXPECT_NEAR(capacity(topology, VertexKind::leaf, VertexKind::spine), down / ratio, 1.0);
    EXPECT_NEAR(capacity(topology, VertexKind::spine, VertexKind::leaf), down / ratio, 1.0);
  }
}

TEST(ClusterSpec, GpusShareNicsAndNicsShareGpusEvenly) {
  ClusterSpec spec = rails(1, 8, 0);
  spec.groups[0].nics_per_node = 4;
  Topology few = build_topology(spec);
  EXPECT_EQ(count(few, VertexKind::nic), 4);
  EXPECT_DOUBLE_EQ(capacity(few, VertexKind::gpu, VertexKind::nic), 8 * 63e9);
  spec.groups[0].nics_per_node = 16;
  Topology many = build_topology(spec);
  EXPECT_EQ(count(many, VertexKind::nic), 16);
  EXPECT_DOUBLE_EQ(capacity(many, VertexKind::gpu, VertexKind::nic), 16 * 63e9);
}

TEST(ClusterSpec, GroupsOfDifferentNodesShareTheFabricAndNumberTheirGpusInOrder) {
  ClusterSpec spec = rails(2, 8, 1);
  spec.groups[0].name = "attention";
  NodeGroup ffn = spec.groups[0];
  ffn.name = "ffn";
  ffn.nodes = 1;
  ffn.gpus_per_node = ffn.nics_per_node = 4;
  spec.groups.push_back(ffn);
  const Topology topology = build_topology(spec);
  EXPECT_EQ(topology.gpus(), 20U);
  EXPECT_EQ(topology.name(topology.gpu(0)), "attention0/gpu0");
  EXPECT_EQ(topology.name(topology.gpu(15)), "attention1/gpu7");
  EXPECT_EQ(topology.name(topology.gpu(16)), "ffn2/gpu0");
  EXPECT_EQ(count(topology, VertexKind::leaf), 8);
}

TEST(ClusterSpec, EveryProblemIsReportedWithItsField) {
  ClusterSpec spec = rails(0, 8, -1);
  spec.groups[0].nics_per_node = 3;
  spec.groups[0].nic_bandwidth = BytesPerSecond{};
  spec.groups[0].host_latency = Seconds{std::numeric_limits<double>::quiet_NaN()};
  spec.fabric.oversubscription = 0.5;
  try {
    (void)build_topology(spec);
    FAIL() << "built";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("/groups/0/nodes: expected at least 1, got 0"));
    EXPECT_THAT(error.what(), HasSubstr("/groups/0/nics_per_node: 3 NICs cannot be shared"));
    EXPECT_THAT(error.what(), HasSubstr("/groups/0/nic_bandwidth"));
    EXPECT_THAT(error.what(), HasSubstr("/groups/0/host_latency"));
    EXPECT_THAT(error.what(), HasSubstr("/fabric/spines"));
    EXPECT_THAT(error.what(), HasSubstr("/fabric/oversubscription: expected at least 1, got 0.5"));
  }
  EXPECT_EQ(problems(spec).size(), 6U);
  EXPECT_TRUE(problems(rails(1, 8, 0)).empty());
  EXPECT_EQ(problems({}).size(), 1U);
}

}  // namespace
}  // namespace ridge::net
