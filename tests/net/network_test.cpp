#include "ridge/net/network.hpp"

#include "ridge/base/error.hpp"
#include "traffic.hpp"

#include <limits>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace ridge::net {
namespace {

using des::SimTime;

Sent send(Network& network, GpuId from, GpuId to, std::uint64_t bytes, std::uint64_t tag,
          SimTime at = {}) {
  Sent sent;
  sent.at = at;
  sent.transfer.route = network.route(from, to);
  sent.transfer.bytes = bytes;
  sent.transfer.tag = tag;
  return sent;
}

SimTime us(double value) {
  return SimTime::from(microseconds(value));
}

class BothModes : public testing::TestWithParam<Sharing> {};
INSTANTIATE_TEST_SUITE_P(Network, BothModes, testing::Values(Sharing::at_ports, Sharing::max_min),
                         [](const auto& mode) {
                           return mode.param == Sharing::at_ports ? "AtPorts" : "MaxMin";
                         });

RC_GTEST_PROP(Network, AnIdleNetworkGivesTheSameAnswerInBothModes, (std::uint64_t seed)) {
  Random random(seed);
  const Topology topology = build_topology(random_cluster(random));
  const Transport transport{microseconds(10.0 * random.uniform()), 0.3 + 0.7 * random.uniform(),
                            "random"};
  SimTime answers[2];
  const auto from = static_cast<GpuId>(random.below(topology.gpus()));
  const auto to =
      static_cast<GpuId>((from + 1 + random.below(topology.gpus() - 1)) % topology.gpus());
  const std::uint64_t bytes = random.below(std::uint64_t{1} << random.below(36));
  const SimTime at = us(100.0 * random.uniform());
  const SimTime delay = us(random.uniform());
  for (const Sharing sharing : {Sharing::at_ports, Sharing::max_min}) {
    Network network(topology, sharing);
    network.add_transport(transport);
    Sent sent = send(network, from, to, bytes, 0, at);
    sent.transfer.delay = delay;
    const auto& route = network.router()[sent.transfer.route];
    const double rate = std::min({route.source_rate, route.core_rate, route.destination_rate});
    const auto arrival = run(network, std::span(&sent, 1)).at(0);
    RC_ASSERT(arrival ==
              at + SimTime::from(transport.overhead) + delay + route.latency +
                  SimTime::from(Seconds{static_cast<double>(bytes) / transport.efficiency / rate}));
    answers[static_cast<int>(sharing)] = arrival;
  }
  RC_ASSERT(answers[0] == answers[1]);
}

TEST_P(BothModes, ASingleMessageTakesOverheadLatencyAndBytesOverBandwidth) {
  const Topology topology = build_topology(rails(2, 8, 1));
  Network network(topology, GetParam());
  network.add_transport({microseconds(3), 0.8, "test"});
  const std::vector<Sent> traffic = {send(network, 0, 8, 4'000'000, 0)};
  // 3 us, twice half a microsecond to the NIC, two hops, and 4 MB at 40 of 50 GB/s.
  EXPECT_EQ(run(network, traffic).at(0), us(3 + 1 + 2 + 100));
}

TEST_P(BothModes, TheTwoDirectionsDoNotDisturbEachOther) {
  const Topology topology = build_topology(rails(2, 1, 0));
  Network network(topology, GetParam());
  network.add_transport({});
  const std::vector<Sent> traffic = {send(network, 0, 1, 5'000'000, 0),
                                     send(network, 1, 0, 5'000'000, 1)};
  const auto arrivals = run(network, traffic);
  EXPECT_EQ(arrivals.at(0), us(3 + 100));
  EXPECT_EQ(arrivals.at(1), us(3 + 100));
}

TEST_P(BothModes, AnIncastTakesAsLongAsItsBytesTakeThroughOnePort) {
  const Topology topology = build_topology(rails(9, 1, 0));
  Network network(topology, GetParam());
  network.add_transport({});
  std::vector<Sent> traffic;
  for (GpuId from = 1; from < 9; ++from) traffic.push_back(send(network, from, 0, 500'000, from));
  SimTime last;
  for (const auto& [tag, arrival] : run(network, traffic)) last = std::max(last, arrival);
  EXPECT_EQ(last, us(3 + 8 * 10));
  const auto use = network.use(last);
  const LinkId port = network.router()[traffic[0].transfer.route].destination_port_link;
  EXPECT_DOUBLE_EQ(use[port].wire_bytes, 4'000'000);
  EXPECT_NEAR(use[port].utilization, 80.0 / 83.0, 1e-9);
}

TEST_P(BothModes, EveryByteArrivesAndIsCountedOnEveryLinkOfItsRoute) {
  Random random(5);
  const Topology topology = build_topology(rails(4, 4, 2));
  Network network(topology, GetParam());
  network.add_transport({microseconds(1), 0.5, "test"});
  const auto traffic = random_traffic(network, random, 500);
  const auto arrivals = run(network, traffic);
  EXPECT_EQ(arrivals.size(), traffic.size());
  std::uint64_t sent = 0;
  std::vector<double> expected(topology.links().size(), 0.0);
  SimTime last;
  for (const Sent& s : traffic) {
    sent += s.transfer.bytes;
    last = std::max(last, arrivals.at(s.transfer.tag));
    for (const LinkId link : network.router().links(s.transfer.route)) {
      expected[link] += static_cast<double>(s.transfer.bytes) / 0.5;
    }
  }
  EXPECT_EQ(network.bytes(), sent);
  EXPECT_EQ(network.transfers(), traffic.size());
  const auto use = network.use(last);
  for (LinkId link = 0; link < use.size(); ++link) {
    EXPECT_DOUBLE_EQ(use[link].wire_bytes, expected[link]);
    EXPECT_LE(use[link].utilization, 1.0 + 1e-9);
  }
}

TEST_P(BothModes, RestartForgetsWhatWasCarriedBefore) {
  const Topology topology = build_topology(rails(2, 1, 0));
  Network network(topology, GetParam());
  network.add_transport({});
  const std::vector<Sent> warm_up = {send(network, 0, 1, 5'000'000, 0)};
  const SimTime end = run(network, warm_up).at(0);
  network.restart(end);
  const LinkId port = network.router()[warm_up[0].transfer.route].source_port_link;
  EXPECT_EQ(network.use(end + us(1))[port].wire_bytes, 0.0);
  const std::vector<Sent> measured = {send(network, 0, 1, 1'000'000, 1, end)};
  run(network, measured);
  EXPECT_DOUBLE_EQ(network.use(end + us(40))[port].wire_bytes, 1e6);
  EXPECT_NEAR(network.use(end + us(40))[port].utilization, 0.5, 1e-9);
}

TEST_P(BothModes, TheSameTrafficGivesTheSameArrivals) {
  const Topology topology = build_topology(rails(4, 4, 3));
  std::map<std::uint64_t, SimTime> arrivals[2];
  for (auto& result : arrivals) {
    Random random(11);
    Network network(topology, GetParam());
    network.add_transport({});
    result = run(network, random_traffic(network, random, 300));
  }
  EXPECT_EQ(arrivals[0], arrivals[1]);
}

TEST_P(BothModes, AMessageOfNoBytesTakesOverheadAndLatency) {
  const Topology topology = build_topology(rails(2, 1, 0));
  Network network(topology, GetParam());
  network.add_transport({microseconds(2), 1.0, "test"});
  const std::vector<Sent> traffic = {send(network, 0, 1, 0, 0), send(network, 0, 1, 0, 1)};
  const auto arrivals = run(network, traffic);
  EXPECT_EQ(arrivals.at(0), us(5));
  EXPECT_EQ(arrivals.at(1), us(5));
}

TEST(NetworkMaxMin, EqualFlowsShareALinkAndTheLastOneLeftSpeedsUp) {
  const Topology topology = build_topology(rails(3, 1, 0));
  Network network(topology, Sharing::max_min);
  network.add_transport({});
  const std::vector<Sent> traffic = {send(network, 0, 2, 1'000'000, 0),
                                     send(network, 1, 2, 2'000'000, 1)};
  const auto arrivals = run(network, traffic);
  // 25 GB/s each for 40 us, then 50 GB/s for the second megabyte of the longer one.
  EXPECT_EQ(arrivals.at(0), us(3 + 40));
  EXPECT_EQ(arrivals.at(1), us(3 + 60));
}

TEST(NetworkMaxMin, ALateComerSlowsTheFirstDown) {
  const Topology topology = build_topology(rails(3, 1, 0));
  Network network(topology, Sharing::max_min);
  network.add_transport({});
  const std::vector<Sent> traffic = {send(network, 0, 2, 2'000'000, 0),
                                     send(network, 1, 2, 500'000, 1, us(20))};
  const auto arrivals = run(network, traffic);
  // 1 MB alone in 20 us; half of the rest while the late one drains its 500 kB in 20 us; the
  // remaining 500 kB alone in 10 us.
  EXPECT_EQ(arrivals.at(0), us(3 + 50));
  EXPECT_EQ(arrivals.at(1), us(3 + 40));
}

TEST(NetworkMaxMin, SymmetricFlowsArriveInTheSameInstant) {
  const Topology topology = build_topology(rails(8, 1, 0));
  Network network(topology, Sharing::max_min);
  network.add_transport({});
  std::vector<Sent> traffic;
  for (GpuId from = 0; from < 8; ++from) {
    for (GpuId to = 0; to < 8; ++to) {
      if (from != to) traffic.push_back(send(network, from, to, 1'234'567, 8 * from + to));
    }
  }
  const auto arrivals = run(network, traffic);
  for (const auto& [tag, arrival] : arrivals) EXPECT_EQ(arrival, arrivals.begin()->second);
}

TEST(NetworkMaxMin, AnOversubscribedSpineIsFeltThere) {
  ClusterSpec spec = rails(2, 4, 1);
  spec.fabric.arrangement = Arrangement::racks;
  spec.fabric.nodes_per_leaf = 1;
  spec.fabric.oversubscription = 4.0;
  const Topology topology = build_topology(spec);
  Network network(topology, Sharing::max_min);
  network.add_transport({});
  std::vector<Sent> traffic;
  for (GpuId gpu = 0; gpu < 4; ++gpu) traffic.push_back(send(network, gpu, gpu + 4, 500'000, gpu));
  // Four NICs of 50 GB/s share an uplink of 50 GB/s.
  for (const auto& [tag, arrival] : run(network, traffic)) EXPECT_EQ(arrival, us(1 + 4 + 40));
}

TEST(NetworkMaxMin, ADegradedLinkSlowsOnlyWhatCrossesIt) {
  Topology topology = build_topology(rails(4, 1, 0));
  Router router(topology);
  topology.scale_capacity(router[router.route(0, 1, 0)].source_port_link, 0.25);
  Network network(topology, Sharing::max_min);
  network.add_transport({});
  const std::vector<Sent> traffic = {send(network, 0, 1, 500'000, 0),
                                     send(network, 2, 3, 500'000, 1)};
  const auto arrivals = run(network, traffic);
  EXPECT_EQ(arrivals.at(0), us(3 + 40));
  EXPECT_EQ(arrivals.at(1), us(3 + 10));
}

TEST(NetworkMaxMin, OvertakenWakesDoNotMultiply) {
  const Topology topology = build_topology(rails(4, 4, 2));
  Random random(3);
  Network network(topology, Sharing::max_min);
  network.add_transport({});
  const auto traffic = random_traffic(network, random, 1000);
  std::uint64_t wakes = 0;
  run(network, traffic, &wakes);
  // One for each instant in which transfers start, one for each in which one ends, and those
  // that a start has overtaken.
  EXPECT_LE(wakes, 3 * traffic.size());
}

TEST(NetworkAtPorts, MessagesOfOneSourceLeaveOneAfterAnother) {
  const Topology topology = build_topology(rails(3, 1, 0));
  Network network(topology, Sharing::at_ports);
  network.add_transport({});
  const std::vector<Sent> traffic = {send(network, 0, 1, 500'000, 0),
                                     send(network, 0, 2, 500'000, 1)};
  const auto arrivals = run(network, traffic);
  EXPECT_EQ(arrivals.at(0), us(3 + 10));
  EXPECT_EQ(arrivals.at(1), us(3 + 20));
}

TEST(NetworkAtPorts, WhatStillWaitsForItsPortHasNotBeenCarried) {
  const Topology topology = build_topology(rails(2, 1, 0));
  Network network(topology, Sharing::at_ports);
  network.add_transport({});
  const std::vector<Sent> traffic = {send(network, 0, 1, 5'000'000, 0)};
  run(network, traffic);
  const LinkId port = network.router()[traffic[0].transfer.route].source_port_link;
  EXPECT_NEAR(network.use(us(50))[port].wire_bytes, 2.5e6, 1.0);
  EXPECT_NEAR(network.use(us(50))[port].utilization, 1.0, 1e-6);
}

TEST(Network, ATransportThatCannotBeIsRefused) {
  const Topology topology = build_topology(rails(2, 1, 0));
  Network network(topology, Sharing::at_ports);
  EXPECT_THROW(network.add_transport({Seconds{}, 0.0, "test"}), UserError);
  EXPECT_THROW(network.add_transport({Seconds{}, 1.1, "test"}), UserError);
  EXPECT_THROW(network.add_transport({Seconds{-1e-6}, 1.0, "test"}), UserError);
  EXPECT_THROW(network.add_transport({Seconds{std::numeric_limits<double>::quiet_NaN()}, 1.0, ""}),
               UserError);
  EXPECT_THROW(network.add_transport({Seconds{}, std::numeric_limits<double>::quiet_NaN(), ""}),
               UserError);
}

}  // namespace
}  // namespace ridge::net
