#include "ridge/decode/step_graph.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <unordered_map>

#include <boost/graph/adjacency_list.hpp>
#include <boost/graph/topological_sort.hpp>

namespace ridge::decode {

std::string_view name_of(Stage stage) {
  constexpr std::array<std::string_view, kStages> kNames = {"attention", "FFN", "network",
                                                            "in-node links", "LM head"};
  return kNames[static_cast<std::size_t>(stage)];
}

Place place_of(const Work& work) {
  return std::visit(
      [](const auto& kind) {
        if constexpr (requires { kind.from; }) {
          return kind.from;
        } else {
          return kind.at;
        }
      },
      work);
}

des::SimTime StepGraph::longest_path(std::span<const des::SimTime> durations) const {
  std::vector<des::SimTime> start(tasks_.size());
  des::SimTime longest;
  for (TaskId id = 0; id < tasks_.size(); ++id) {
    const des::SimTime end = start[id] + durations[tasks_[id].work];
    longest = std::max(longest, end);
    for (const TaskId next : successors(id)) start[next] = std::max(start[next], end);
  }
  return longest;
}

namespace {

// By what tells most works of a graph apart: they may be many.
std::size_t hash_of(const Work& work) {
  std::size_t hash = work.index();
  const auto mix = [&](std::size_t value) { hash = (hash ^ value) * 0x9e3779b97f4a7c15U; };
  std::visit(
      [&](const auto& kind) {
        mix(place_of(work).pool);
        mix(place_of(work).instance);
        if constexpr (requires { kind.to; }) mix(kind.to.instance);
        if constexpr (requires { kind.requests_of; }) mix(kind.requests_of);
        if constexpr (requires { kind.block; }) mix(kind.block);
        if constexpr (requires { kind.layer; }) mix(kind.layer);
        if constexpr (requires { kind.piece; }) mix(static_cast<std::size_t>(kind.piece));
      },
      work);
  return hash;
}

}  // namespace

struct StepGraphBuilder::Impl {
  using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, Task>;

  StepGraph parts;  // resources and works; tasks come from the graph
  Graph graph;
  std::unordered_multimap<std::size_t, WorkId> numbers;  // of works, by their hash

  TaskId add(const Task& task, std::span<const TaskId> after) {
    const auto vertex = boost::add_vertex(task, graph);
    for (const TaskId before : after) boost::add_edge(before, vertex, graph);
    return static_cast<TaskId>(vertex);
  }
};

StepGraphBuilder::StepGraphBuilder() : impl_(std::make_unique<Impl>()) {}
StepGraphBuilder::~StepGraphBuilder() = default;
StepGraphBuilder::StepGraphBuilder(StepGraphBuilder&&) noexcept = default;
StepGraphBuilder& StepGraphBuilder::operator=(StepGraphBuilder&&) noexcept = default;

ResourceId StepGraphBuilder::resource(const ResourceInfo& info) {
  impl_->parts.resources_.push_back(info);
  return static_cast<ResourceId>(impl_->parts.resources_.size() - 1);
}

WorkId StepGraphBuilder::work(const Work& work) {
  auto& works = impl_->parts.works_;
  const std::size_t hash = hash_of(work);
  const auto [first, last] = impl_->numbers.equal_range(hash);
  for (auto known = first; known != last; ++known) {
    if (works[known->second] == work) return known->second;
  }
  const auto number = static_cast<WorkId>(works.size());
  works.push_back(work);
  impl_->numbers.emplace(hash, number);
  return number;
}

TaskId StepGraphBuilder::task(WorkId work, ResourceId resource, std::uint32_t layer,
                              std::span<const TaskId> after, std::uint32_t stage) {
  return impl_->add({.work = work,
                     .resource = resource,
                     .layer = layer,
                     .stage = stage,
                     .on_resource = true},
                    after);
}

TaskId StepGraphBuilder::transfer(WorkId work, std::uint32_t layer, std::span<const TaskId> after) {
  return impl_->add({.work = work, .resource = 0, .layer = layer, .on_resource = false}, after);
}

StepGraph StepGraphBuilder::compile() const {
  const auto& graph = impl_->graph;
  std::vector<TaskId> reverse_order;
  try {
    boost::topological_sort(graph, std::back_inserter(reverse_order));
  } catch (const boost::not_a_dag&) {
    throw InvariantError("a step graph has a cycle");
  }
  StepGraph out = impl_->parts;
  const std::size_t count = reverse_order.size();
  // Vertices are added after what they depend on, so their own order is topological already;
  // keeping it keeps micro-batches in the order in which the strategy wrote them.
  out.tasks_.resize(count);
  out.dependencies_.assign(count, 0);
  out.first_successor_.assign(count + 1, 0);
  for (TaskId id = 0; id < count; ++id) {
    out.tasks_[id] = graph[id];
    std::vector<TaskId> next;
    for (auto [edge, end] = boost::out_edges(id, graph); edge != end; ++edge) {
      next.push_back(static_cast<TaskId>(boost::target(*edge, graph)));
      RIDGE_INVARIANT(next.back() > id, "a task depends on one that was added later");
    }
    for (const TaskId successor : next) ++out.dependencies_[successor];
    out.successors_.insert(out.successors_.end(), next.begin(), next.end());
    out.first_successor_[id + 1] = static_cast<std::uint32_t>(out.successors_.size());
    if (next.empty()) ++out.sinks_;
  }
  for (TaskId id = 0; id < count; ++id) {
    if (out.dependencies_[id] == 0) out.roots_.push_back(id);
  }
  return out;
}

}  // namespace ridge::decode
