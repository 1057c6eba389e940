// What the tests of this layer share: small clusters, and an event loop to run transfers in.
#pragma once

#include "ridge/base/random.hpp"
#include "ridge/des/sim_time.hpp"
#include "ridge/net/cluster_spec.hpp"
#include "ridge/net/network.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

namespace ridge::net {

constexpr BytesPerSecond gigabytes_per_second(double value) {
  return BytesPerSecond{value * 1e9};
}
constexpr Seconds microseconds(double value) {
  return Seconds{value * 1e-6};
}

// `nodes` nodes of `gpus` GPUs, a NIC for each: 160 GB/s inside, 50 GB/s and 1 us per hop
// outside.
ClusterSpec rails(int nodes, int gpus, int spines);

// A cluster of random shape and speeds.
ClusterSpec random_cluster(Random& random);

struct Sent {
  des::SimTime at;
  Transfer transfer;
};

// Runs the transfers to their end and returns when each arrived, by tag. Counts the times that
// the network was woken, if asked to.
std::map<std::uint64_t, des::SimTime> run(Network& network, std::span<const Sent> traffic,
                                          std::uint64_t* wakes = nullptr);

// Transfers between random GPUs, tags 0 to count-1, in order of time.
std::vector<Sent> random_traffic(Network& network, Random& random, std::uint32_t count);

}  // namespace ridge::net
