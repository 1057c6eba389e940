// A representative for a symmetric group must say what simulating every member says.

#include "traffic.hpp"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace ridge::net {
namespace {

using des::SimTime;

// A pool of `sources` single-GPU nodes sends `bytes` to every GPU of a pool of `destinations`,
// over one leaf that does not block; NICs of the two pools have speeds of their own.
ClusterSpec two_pools(int sources, int destinations, double source_GBps, double destination_GBps) {
  ClusterSpec spec = rails(sources, 1, 0);
  spec.groups[0].nic_bandwidth = gigabytes_per_second(source_GBps);
  spec.groups.push_back(spec.groups[0]);
  spec.groups[1].nodes = destinations;
  spec.groups[1].nic_bandwidth = gigabytes_per_second(destination_GBps);
  return spec;
}

SimTime last_arrival(Network& network, const std::vector<Sent>& traffic) {
  SimTime last;
  for (const auto& [tag, arrival] : run(network, traffic)) last = std::max(last, arrival);
  return last;
}

struct Answers {
  SimTime every_member;
  SimTime representative;
  std::uint64_t bytes_of_members = 0;
  std::uint64_t bytes_of_representative = 0;
  double port_bytes_of_members = 0.0;
  double port_bytes_of_representative = 0.0;
};

Answers all_to_all(Sharing sharing, const Topology& topology, std::uint32_t sources,
                   std::uint32_t destinations, std::uint64_t bytes) {
  Answers answers;
  Network explicitly(topology, sharing);
  explicitly.add_transport({microseconds(1), 0.9, "test"});
  std::vector<Sent> traffic;
  // Each source starts with another destination, as collectives do. Ports serve messages in the
  // order of sending, so a common order would make a convoy of them.
  for (std::uint32_t round = 0; round < destinations; ++round) {
    for (std::uint32_t from = 0; from < sources; ++from) {
      Sent sent;
      sent.transfer.route = explicitly.route(from, sources + (from + round) % destinations);
      sent.transfer.bytes = bytes;
      sent.transfer.tag = traffic.size();
      traffic.push_back(sent);
    }
  }
  answers.every_member = last_arrival(explicitly, traffic);
  answers.bytes_of_members = explicitly.bytes();

  Network grouped(topology, sharing);
  grouped.add_transport({microseconds(1), 0.9, "test"});
  Sent one;
  one.transfer.route = grouped.route(0, sources);
  one.transfer.bytes = bytes;
  one.transfer.group = {destinations, sources, std::uint64_t{sources} * destinations};
  answers.representative = last_arrival(grouped, {one});
  answers.bytes_of_representative = grouped.bytes();

  const LinkId port = grouped.router()[one.transfer.route].source_port_link;
  answers.port_bytes_of_members = explicitly.use(answers.every_member)[port].wire_bytes;
  answers.port_bytes_of_representative = grouped.use(answers.representative)[port].wire_bytes;
  return answers;
}

RC_GTEST_PROP(Group, IsExactForPoolsOfAnySizeUnderMaxMinSharing, (std::uint64_t seed)) {
  Random random(seed);
  const auto sources = 1 + static_cast<std::uint32_t>(random.below(6));
  const auto destinations = 1 + static_cast<std::uint32_t>(random.below(6));
  const Topology topology = build_topology(two_pools(
      static_cast<int>(sources), static_cast<int>(destinations),
      static_cast<double>(10 + random.below(90)), static_cast<double>(10 + random.below(90))));
  const auto answers =
      all_to_all(Sharing::max_min, topology, sources, destinations, 1 + random.below(1 << 22));
  RC_ASSERT(answers.every_member == answers.representative);
  RC_ASSERT(answers.bytes_of_members == answers.bytes_of_representative);
  RC_ASSERT(std::abs(answers.port_bytes_of_members - answers.port_bytes_of_representative) <=
            1e-9 * answers.port_bytes_of_members);
}

RC_GTEST_PROP(Group, IsExactForPoolsOfAnySizeAtPortsOfOneSpeed, (std::uint64_t seed)) {
  Random random(seed);
  const auto sources = 1 + static_cast<std::uint32_t>(random.below(6));
  const auto destinations = 1 + static_cast<std::uint32_t>(random.below(6));
  const Topology topology =
      build_topology(two_pools(static_cast<int>(sources), static_cast<int>(destinations), 50, 50));
  const auto answers =
      all_to_all(Sharing::at_ports, topology, sources, destinations, 1 + random.below(1 << 22));
  // Each member's time is rounded to a picosecond; the group's only once.
  const auto difference = (answers.every_member - answers.representative).picoseconds();
  RC_ASSERT(std::abs(difference) <= static_cast<std::int64_t>(sources + destinations));
  RC_ASSERT(answers.bytes_of_members == answers.bytes_of_representative);
}

TEST(Group, BothModesAgreeOnAGroupAloneOnTheNetwork) {
  for (const std::uint32_t sources : {1U, 2U, 5U}) {
    for (const std::uint32_t destinations : {1U, 3U, 4U}) {
      const Topology topology = build_topology(
          two_pools(static_cast<int>(sources), static_cast<int>(destinations), 50, 40));
      const auto bytes = std::uint64_t{1'234'567};
      EXPECT_EQ(
          all_to_all(Sharing::at_ports, topology, sources, destinations, bytes).representative,
          all_to_all(Sharing::max_min, topology, sources, destinations, bytes).representative);
    }
  }
}

}  // namespace
}  // namespace ridge::net
