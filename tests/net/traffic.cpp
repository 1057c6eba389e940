#include "traffic.hpp"

#include "ridge/des/engine.hpp"

#include <algorithm>

namespace ridge::net {
namespace {

using des::Priority;
using des::SimTime;

enum class Kind : std::uint64_t { send, wake, deliver };
struct Event {
  Kind kind;
  std::uint64_t data;
};

struct EngineSink {
  des::Engine<Event>& engine;
  void deliver(SimTime when, std::uint64_t tag) const {
    engine.at(when, Priority::deliver, {Kind::deliver, tag});
  }
  void wake(SimTime when) const { engine.at(when, Priority::settle, {Kind::wake, 0}); }
};

int between(Random& random, int least, int most) {
  return least + static_cast<int>(random.below(static_cast<std::uint64_t>(most - least + 1)));
}

}  // namespace

ClusterSpec rails(int nodes, int gpus, int spines) {
  NodeGroup group;
  group.name = "node";
  group.nodes = nodes;
  group.gpus_per_node = gpus;
  group.scale_up_bandwidth = gigabytes_per_second(160);
  group.scale_up_latency = microseconds(2);
  group.nics_per_node = gpus;
  group.nic_bandwidth = gigabytes_per_second(50);
  group.host_bandwidth = gigabytes_per_second(63);
  group.host_latency = microseconds(0.5);
  ClusterSpec spec;
  spec.groups = {group};
  spec.fabric.spines = spines;
  spec.fabric.hop_latency = microseconds(1);
  return spec;
}

ClusterSpec random_cluster(Random& random) {
  ClusterSpec spec = rails(between(random, 1, 5), 1 << random.below(4), between(random, 1, 4));
  NodeGroup& group = spec.groups[0];
  group.nics_per_node = 1 << random.below(4);
  group.ports_per_nic = between(random, 1, 2);
  group.scale_up_bandwidth = gigabytes_per_second(between(random, 50, 900));
  group.nic_bandwidth = gigabytes_per_second(between(random, 5, 100));
  group.host_bandwidth = gigabytes_per_second(between(random, 20, 64));
  group.host_latency = microseconds(random.uniform());
  group.nodes = std::max(group.nodes, group.gpus_per_node == 1 ? 2 : 1);
  NodeGroup other = group;
  other.nic_bandwidth = gigabytes_per_second(between(random, 5, 100));
  other.scale_up_bandwidth = gigabytes_per_second(between(random, 50, 900));
  other.nodes = between(random, 1, 3);
  spec.groups.push_back(other);
  spec.fabric.arrangement = random.below(2) == 0 ? Arrangement::rails : Arrangement::racks;
  spec.fabric.nodes_per_leaf = between(random, 0, 3);
  spec.fabric.oversubscription = 1.0 + 3.0 * random.uniform();
  spec.fabric.hop_latency = microseconds(random.uniform());
  return spec;
}

std::map<std::uint64_t, SimTime> run(Network& network, std::span<const Sent> traffic,
                                     std::uint64_t* wakes) {
  des::Engine<Event> engine;
  for (std::size_t i = 0; i < traffic.size(); ++i) {
    engine.at(traffic[i].at, Priority::start, {Kind::send, i});
  }
  std::map<std::uint64_t, SimTime> arrivals;
  const EngineSink sink{engine};
  engine.run([&](const Event& event) {
    switch (event.kind) {
      case Kind::send:
        network.start(engine.now(), traffic[event.data].transfer, sink);
        break;
      case Kind::wake:
        if (wakes != nullptr) ++*wakes;
        network.wake(engine.now(), sink);
        break;
      case Kind::deliver:
        arrivals[event.data] = engine.now();
        break;
    }
  });
  return arrivals;
}

std::vector<Sent> random_traffic(Network& network, Random& random, std::uint32_t count) {
  const auto gpus = network.topology().gpus();
  std::vector<Sent> traffic(count);
  SimTime now;
  for (std::uint32_t i = 0; i < count; ++i) {
    // A third of them tie with the one before.
    if (random.below(3) != 0) now += SimTime::from(Seconds{5e-6 * random.exponential()});
    const auto from = static_cast<GpuId>(random.below(gpus));
    const auto to = static_cast<GpuId>((from + 1 + random.below(gpus - 1)) % gpus);
    traffic[i].at = now;
    traffic[i].transfer.route = network.route(from, to, random.below(64));
    traffic[i].transfer.bytes = random.below(4'000'000);
    traffic[i].transfer.tag = i;
  }
  return traffic;
}

}  // namespace ridge::net
