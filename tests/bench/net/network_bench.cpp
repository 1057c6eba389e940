// What a transfer costs in each mode of sharing, and what it costs to find its route.

#include "ridge/base/random.hpp"
#include "ridge/des/engine.hpp"
#include "ridge/net/cluster_spec.hpp"
#include "ridge/net/network.hpp"

#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

namespace ridge::net {
namespace {

using des::Priority;
using des::SimTime;

// 8 GPUs and 8 NICs to a node, 32 nodes to a set of rail leaves, 16 spines.
ClusterSpec cluster(int gpus) {
  NodeGroup group;
  group.name = "node";
  group.nodes = gpus / 8;
  group.gpus_per_node = group.nics_per_node = 8;
  group.scale_up_bandwidth = BytesPerSecond{160e9};
  group.nic_bandwidth = BytesPerSecond{50e9};
  group.host_bandwidth = BytesPerSecond{63e9};
  ClusterSpec spec;
  spec.groups = {group};
  spec.fabric.nodes_per_leaf = 32;
  spec.fabric.spines = 16;
  spec.fabric.hop_latency = Seconds{1e-6};
  return spec;
}

enum class Kind : std::uint64_t { wake, deliver };
struct Event {
  Kind kind;
  std::uint64_t tag;
};
struct EngineSink {
  des::Engine<Event>& engine;
  void deliver(SimTime when, std::uint64_t tag) const {
    engine.at(when, Priority::deliver, {Kind::deliver, tag});
  }
  void wake(SimTime when) const { engine.at(when, Priority::settle, {Kind::wake, 0}); }
};

// Every GPU keeps one message under way to a changing partner: a delivery starts the next. All
// messages are equal, so that instants hold many events. One iteration is one delivery.
void closed_loop(benchmark::State& state, Sharing sharing) {
  const auto gpus = static_cast<GpuId>(state.range(0));
  const Topology topology = build_topology(cluster(static_cast<int>(gpus)));
  Network network(topology, sharing);
  network.add_transport({Seconds{3e-6}, 0.9, "benchmark"});
  std::vector<std::vector<RouteId>> routes(gpus);
  for (GpuId gpu = 0; gpu < gpus; ++gpu) {
    for (GpuId step = 1; step <= 16; ++step) {
      routes[gpu].push_back(network.route(gpu, (gpu + step * 8 - 8 + step % 8 + 1) % gpus));
    }
  }
  des::Engine<Event> engine;
  const EngineSink sink{engine};
  const auto send = [&](std::uint64_t tag) {
    Transfer transfer;
    transfer.route = routes[tag % gpus][tag / gpus % 16];
    transfer.bytes = 1'000'000;
    transfer.tag = tag;
    network.start(engine.now(), transfer, sink);
  };
  for (GpuId gpu = 0; gpu < gpus; ++gpu) send(gpu);
  des::RunLimits limits;
  limits.max_events = 10'000;
  const std::uint64_t events_before = engine.events();
  const std::uint64_t transfers_before = network.transfers();
  for (auto _ : state) {
    engine.run(
        [&](const Event& event) {
          switch (event.kind) {
            case Kind::wake:
              network.wake(engine.now(), sink);
              break;
            case Kind::deliver:
              send(event.tag + gpus);
              break;
          }
        },
        limits);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(network.transfers() - transfers_before));
  state.counters["events_per_s"] = benchmark::Counter(
      static_cast<double>(engine.events() - events_before), benchmark::Counter::kIsRate);
}
BENCHMARK_CAPTURE(closed_loop, at_ports, Sharing::at_ports)->Arg(32)->Arg(256)->Arg(1024);
BENCHMARK_CAPTURE(closed_loop, max_min, Sharing::max_min)->Arg(32)->Arg(256)->Arg(1024);

struct NoSink {
  SimTime last;
  void deliver(SimTime when, std::uint64_t) { last = when; }
  void wake(SimTime) {}
};

void start_at_ports(benchmark::State& state) {
  const Topology topology = build_topology(cluster(64));
  Network network(topology, Sharing::at_ports);
  network.add_transport({Seconds{3e-6}, 0.9, "benchmark"});
  std::vector<Transfer> transfers(1024);
  Random random(1);
  for (Transfer& transfer : transfers) {
    const auto from = static_cast<GpuId>(random.below(64));
    transfer.route = network.route(from, static_cast<GpuId>((from + 1 + random.below(63)) % 64));
    transfer.bytes = random.below(1'000'000);
  }
  NoSink sink;
  std::size_t next = 0;
  SimTime now;
  for (auto _ : state) {
    network.start(now, transfers[next++ % transfers.size()], sink);
    now += SimTime::from_nanoseconds(100);
    benchmark::DoNotOptimize(sink.last);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(start_at_ports);

void known_route(benchmark::State& state) {
  const Topology topology = build_topology(cluster(1024));
  Router router(topology);
  std::uint64_t flow = 0;
  for (; flow < 1024; ++flow) router.route(3, 1000, flow);
  for (auto _ : state) benchmark::DoNotOptimize(router.route(3, 1000, ++flow));
}
BENCHMARK(known_route);

void all_pairs_routed(benchmark::State& state) {
  const Topology topology = build_topology(cluster(static_cast<int>(state.range(0))));
  for (auto _ : state) {
    Router router(topology);
    for (GpuId from = 0; from < topology.gpus(); ++from) {
      for (GpuId to = 0; to < topology.gpus(); ++to) {
        if (from != to) router.route(from, to, 0);
      }
    }
    benchmark::DoNotOptimize(router.routes());
  }
}
BENCHMARK(all_pairs_routed)->Arg(64)->Arg(1024)->Unit(benchmark::kMillisecond);

void cluster_built(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(build_topology(cluster(1024)).links().size());
}
BENCHMARK(cluster_built)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ridge::net
