#include "ridge/net/fair_links.hpp"

#include "ridge/net/max_min.hpp"
#include "traffic.hpp"

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace ridge::net {
namespace {

using des::SimTime;

struct FluidFlow {
  double ready = 0.0;
  double remaining = 0.0;
  double drained_at = 0.0;
  std::vector<LinkId> links;
};

// The same fluid in plain doubles: all flows solved anew at every change, nothing incremental.
void drain_by_brute_force(const Topology& topology, std::vector<FluidFlow>& flows) {
  double now = 0.0;
  for (std::size_t left = flows.size(); left > 0;) {
    SharingProblem problem;
    for (const Link& link : topology.links()) problem.capacity.push_back(link.capacity.value());
    std::vector<FluidFlow*> active;
    double next = std::numeric_limits<double>::infinity();
    for (FluidFlow& flow : flows) {
      if (flow.ready > now) {
        next = std::min(next, flow.ready);
      } else if (flow.remaining > 0.0) {
        for (const LinkId link : flow.links) problem.uses.push_back({link, 1});
        problem.first_use.push_back(static_cast<std::uint32_t>(problem.uses.size()));
        active.push_back(&flow);
      }
    }
    MaxMin solver;
    const auto rates = solver.solve(problem);
    for (std::size_t i = 0; i < active.size(); ++i) {
      next = std::min(next, now + active[i]->remaining / rates[i]);
    }
    for (std::size_t i = 0; i < active.size(); ++i) {
      active[i]->remaining -= rates[i] * (next - now);
      if (active[i]->remaining > 1e-3) continue;  // a thousandth of a byte
      active[i]->remaining = 0.0;
      active[i]->drained_at = next;
      --left;
    }
    now = next;
  }
}

RC_GTEST_PROP(FairLinks, SolvingOnlyWhatChangedGivesWhatSolvingEverythingGives,
              (std::uint64_t seed)) {
  Random random(seed);
  const Topology topology = build_topology(random_cluster(random));
  Network network(topology, Sharing::max_min);
  network.add_transport({});
  const auto traffic = random_traffic(network, random, 40);
  const auto arrivals = run(network, traffic);

  std::vector<FluidFlow> flows;
  for (const Sent& sent : traffic) {
    const auto links = network.router().links(sent.transfer.route);
    flows.push_back({sent.at.seconds().value(),
                     static_cast<double>(sent.transfer.bytes),
                     0.0,
                     {links.begin(), links.end()}});
    if (sent.transfer.bytes == 0) flows.back().remaining = 1e-2;
  }
  drain_by_brute_force(topology, flows);
  RC_ASSERT(arrivals.size() == flows.size());
  for (std::size_t i = 0; i < flows.size(); ++i) {
    const auto latency = network.router()[traffic[i].transfer.route].latency;
    const double drained = (arrivals.at(i) - latency).seconds().value();
    // A picosecond of rounding for each change of rate that a flow lives through, and the
    // thousandth of a byte above.
    RC_ASSERT(std::abs(drained - flows[i].drained_at) < 100e-12);
  }
}

RC_GTEST_PROP(FairLinks, NoLinkEverCarriesMoreThanItsCapacityAndNoByteIsLost,
              (std::uint64_t seed)) {
  Random random(seed);
  const Topology topology = build_topology(random_cluster(random));
  Network routes(topology, Sharing::max_min);
  const auto traffic = random_traffic(routes, random, 40);
  FairLinks links(topology, routes.router());
  std::vector<double> expected(topology.links().size(), 0.0);
  std::size_t sent = 0;
  std::size_t drained = 0;
  SimTime now;
  std::vector<double> before(topology.links().size(), 0.0);
  while (drained < traffic.size()) {
    const SimTime arrival = sent < traffic.size() ? traffic[sent].at : SimTime::never();
    const SimTime next = std::min(arrival, links.next_event());
    const auto carried = links.carried(next);
    for (LinkId l = 0; l < carried.size(); ++l) {
      // Ends are rounded to a picosecond, so the last bytes may come that much early.
      const double most =
          topology.link(l).capacity.value() * ((next - now).seconds().value() + 1e-12);
      RC_ASSERT(carried[l] - before[l] <= most * (1.0 + 1e-9));
    }
    before = carried;
    now = next;
    for (; sent < traffic.size() && traffic[sent].at == now; ++sent) {
      const auto& transfer = traffic[sent].transfer;
      links.add(now, {transfer.route, 1, 1, static_cast<double>(transfer.bytes), transfer.tag});
      for (const LinkId l : routes.router().links(transfer.route)) {
        expected[l] += static_cast<double>(transfer.bytes);
      }
    }
    drained += links.advance(now).size();
    const auto load = links.load();
    for (LinkId l = 0; l < load.size(); ++l) {
      RC_ASSERT(load[l] <= topology.link(l).capacity.value() * (1.0 + 1e-9));
    }
  }
  RC_ASSERT(links.flows() == 0U);
  const auto carried = links.carried(now);
  for (LinkId l = 0; l < carried.size(); ++l) RC_ASSERT(carried[l] == expected[l]);
}

}  // namespace
}  // namespace ridge::net
