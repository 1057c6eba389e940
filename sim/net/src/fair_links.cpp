#include "ridge/net/fair_links.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <utility>

namespace ridge::net {

using des::SimTime;

namespace {

// What goes into a NIC goes out by its other side. So the wider of the two links never fills before
// the other.
std::vector<char> binding_links(const Topology& topology) {
  std::vector<std::vector<LinkId>> out(topology.vertices());
  std::vector<std::vector<LinkId>> in(topology.vertices());
  for (LinkId id = 0; id < topology.links().size(); ++id) {
    out[topology.link(id).from].push_back(id);
    in[topology.link(id).to].push_back(id);
  }
  std::vector<char> binds(topology.links().size(), 1);
  for (LinkId first = 0; first < binds.size(); ++first) {
    const Link& into = topology.link(first);
    if (topology.kind(into.to) != VertexKind::nic) continue;
    const auto others = [&](const std::vector<LinkId>& links, VertexId end, auto&& end_of) {
      return std::count_if(links.begin(), links.end(),
                           [&](LinkId id) { return end_of(topology.link(id)) != end; });
    };
    for (const LinkId second : out[into.to]) {
      const Link& onward = topology.link(second);
      if (onward.to == into.from) continue;
      const bool only_way_out =
          others(out[into.to], into.from, [](const Link& link) { return link.to; }) == 1;
      const bool only_way_in =
          others(in[into.to], onward.to, [](const Link& link) { return link.from; }) == 1;
      if (only_way_out && into.capacity >= onward.capacity) {
        binds[first] = 0;
      } else if (only_way_in && onward.capacity > into.capacity) {
        binds[second] = 0;
      }
    }
  }
  return binds;
}

}  // namespace

FairLinks::FairLinks(const Topology& topology, const Router& router)
    : topology_(topology),
      router_(router),
      binds_(binding_links(topology)),
      flows_on_(topology.links().size()),
      carried_(topology.links().size(), 0.0),
      link_in_problem_(topology.links().size(), kNowhere) {}

void FairLinks::add(SimTime ready, const Flow& flow) {
  // Not activated here, even if it is ready now: more may start in this instant, and one
  // solution for all of them costs as much as one for each.
  waiting_.push(ready.picoseconds() * des::kTwoTo64 + order_++, flow);
}

SimTime FairLinks::next_event() const {
  SimTime next = SimTime::never();
  if (!drains_.empty()) next = slots_[drains_.front()].drains_at;
  if (!waiting_.empty()) {
    next = std::min(next,
                    SimTime::from_picoseconds(static_cast<std::int64_t>(waiting_.top().key >> 64)));
  }
  return next;
}

std::span<const FairLinks::Drained> FairLinks::advance(SimTime now) {
  RIDGE_INVARIANT(now <= next_event(), "the network was not woken when it asked to be");
  drained_.clear();
  // Once for most instants. Again if a flow is so short that it drains in the instant it starts.
  while (next_event() <= now) {
    while (!drains_.empty() && slots_[drains_.front()].drains_at <= now) {
      Active& active = slots_[drains_.front()];
      remove_first();
      active.place = kNowhere;
      touch(active.flow);
      const auto links = router_.links(active.flow.route);
      for (std::size_t i = 0; i < links.size(); ++i) {
        carried_[links[i]] += active.flow.wire_bytes * weight(active.flow, i);
      }
      drained_.push_back({active.flow, now});
    }
    while (!waiting_.empty() && waiting_.top().key >> 64 <= now.picoseconds()) {
      activate(waiting_.pop().payload, now);
    }
    settle(now);
  }
  return drained_;
}

std::uint32_t FairLinks::weight(const Flow& flow, std::size_t position) const {
  const Route& route = router_[flow.route];
  if (position <= route.source_port) return flow.per_source;
  return position >= route.destination_port ? flow.per_destination : 1;
}

double FairLinks::drained_by(const Active& active, SimTime now) const {
  const double since = active.rate * (now - active.since).seconds().value();
  return active.flow.wire_bytes - active.remaining + std::min(since, active.remaining);
}

void FairLinks::touch(const Flow& flow) {
  for (const LinkId link : router_.links(flow.route)) {
    if (binds_[link] != 0) touched_.push_back(link);
  }
}

void FairLinks::activate(const Flow& flow, SimTime now) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  Active& active = slots_[slot];
  active = Active{};
  active.flow = flow;
  active.remaining = flow.wire_bytes;
  active.since = now;
  active.drains_at = SimTime::never();
  active.order = order_++;
  for (const LinkId link : router_.links(flow.route)) {
    if (binds_[link] != 0) flows_on_[link].push_back(slot);
  }
  drains_.push_back(slot);
  place(static_cast<std::uint32_t>(drains_.size() - 1), slot);
  touch(flow);
}

void FairLinks::settle(SimTime now) {
  collect_component();
  if (!component_.empty()) apply_rates(now, max_min_.solve(problem_));
  for (const LinkId link : component_links_) link_in_problem_[link] = kNowhere;
  // Only now: until its links were visited they still named the drained flow.
  free_slots_.insert(free_slots_.end(), to_free_.begin(), to_free_.end());
  to_free_.clear();
}

// The flows that share a link with a touched one, directly or through others, as a problem of
// their own. Several components at once do no harm: they do not influence each other.
void FairLinks::collect_component() {
  component_.clear();
  component_links_.clear();
  problem_.clear();
  const auto visit = [&](LinkId link) {
    if (link_in_problem_[link] != kNowhere) return;
    link_in_problem_[link] = static_cast<std::uint32_t>(component_links_.size());
    component_links_.push_back(link);
    problem_.capacity.push_back(topology_.link(link).capacity.value());
  };
  for (const LinkId link : touched_) visit(link);
  touched_.clear();

  // The list grows while it is walked.
  for (std::size_t i = 0; i < component_links_.size(); ++i) {
    auto& flows = flows_on_[component_links_[i]];
    std::erase_if(flows, [&](std::uint32_t slot) {
      if (slots_[slot].place != kNowhere) return false;
      if (slots_[slot].component != kNowhere) return true;
      // The first of its links to drop it hands its slot back; the others are in this component.
      slots_[slot].component = 0;
      to_free_.push_back(slot);
      return true;
    });
    for (const std::uint32_t slot : flows) {
      Active& active = slots_[slot];
      if (active.component != kNowhere) continue;
      active.component = static_cast<std::uint32_t>(component_.size());
      component_.push_back(slot);
      for (const LinkId link : router_.links(active.flow.route)) {
        if (binds_[link] != 0) visit(link);
      }
    }
  }
  for (const std::uint32_t slot : component_) {
    Active& active = slots_[slot];
    active.component = kNowhere;
    const auto links = router_.links(active.flow.route);
    for (std::size_t i = 0; i < links.size(); ++i) {
      if (binds_[links[i]] == 0) continue;
      problem_.uses.push_back({link_in_problem_[links[i]], weight(active.flow, i)});
    }
    problem_.first_use.push_back(static_cast<std::uint32_t>(problem_.uses.size()));
  }
}

void FairLinks::apply_rates(SimTime now, std::span<const double> rates) {
  for (std::size_t i = 0; i < component_.size(); ++i) {
    Active& active = slots_[component_[i]];
    // An unchanged rate keeps its end to the picosecond.
    if (rates[i] == active.rate) continue;
    active.remaining = active.flow.wire_bytes - drained_by(active, now);
    active.since = now;
    active.rate = rates[i];
    active.drains_at = now + SimTime::from(Seconds{active.remaining / active.rate});
    move_up(active.place);
    move_down(active.place);
  }
}

std::vector<double> FairLinks::carried(SimTime now) const {
  std::vector<double> bytes = carried_;
  for (const std::uint32_t slot : drains_) {
    const Active& active = slots_[slot];
    const auto links = router_.links(active.flow.route);
    for (std::size_t i = 0; i < links.size(); ++i) {
      bytes[links[i]] += drained_by(active, now) * weight(active.flow, i);
    }
  }
  return bytes;
}

std::vector<double> FairLinks::load() const {
  std::vector<double> rates(flows_on_.size(), 0.0);
  for (const std::uint32_t slot : drains_) {
    const Active& active = slots_[slot];
    const auto links = router_.links(active.flow.route);
    for (std::size_t i = 0; i < links.size(); ++i) {
      rates[links[i]] += active.rate * weight(active.flow, i);
    }
  }
  return rates;
}

bool FairLinks::drains_before(std::uint32_t a, std::uint32_t b) const {
  const Active& first = slots_[a];
  const Active& second = slots_[b];
  if (first.drains_at != second.drains_at) return first.drains_at < second.drains_at;
  return first.order < second.order;
}

void FairLinks::place(std::uint32_t position, std::uint32_t slot) {
  drains_[position] = slot;
  slots_[slot].place = position;
}

void FairLinks::move_up(std::uint32_t position) {
  const std::uint32_t slot = drains_[position];
  for (; position > 0; position = (position - 1) / 2) {
    const std::uint32_t parent = drains_[(position - 1) / 2];
    if (!drains_before(slot, parent)) break;
    place(position, parent);
  }
  place(position, slot);
}

void FairLinks::move_down(std::uint32_t position) {
  const std::uint32_t slot = drains_[position];
  const auto size = static_cast<std::uint32_t>(drains_.size());
  for (std::uint32_t child = 2 * position + 1; child < size; child = 2 * position + 1) {
    if (child + 1 < size && drains_before(drains_[child + 1], drains_[child])) ++child;
    if (!drains_before(drains_[child], slot)) break;
    place(position, drains_[child]);
    position = child;
  }
  place(position, slot);
}

void FairLinks::remove_first() {
  const std::uint32_t last = drains_.back();
  drains_.pop_back();
  if (drains_.empty()) return;
  place(0, last);
  move_down(0);
}

}  // namespace ridge::net
