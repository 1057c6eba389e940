#include "chrome_trace.hpp"

#include <algorithm>
#include <iterator>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

enum Track : int { kKernels = 0, kCollectives = 1, kSending = 2 };

struct Place {
  std::uint64_t process;
  Track track;
};

class Writer {
 public:
  Writer(const decode::StepGraph& graph, const decode::Deployment& deployment,
         const SimulationReport& report)
      : graph_(graph), deployment_(deployment), report_(report) {}

  std::string text() {
    out_ = "{\"displayTimeUnit\":\"ms\",\"otherData\":" + summary() + ",\"traceEvents\":[\n";
    name_tracks();
    begin_ = report_.result.trace.empty() ? des::SimTime() : report_.result.trace.front().begin;
    for (const auto& record : report_.result.trace) begin_ = std::min(begin_, record.begin);
    for (const auto& record : report_.result.trace) slice(record);
    // A trailing comma is no JSON.
    out_.erase(out_.find_last_not_of(",\n") + 1);
    out_ += "\n]}\n";
    return std::move(out_);
  }

 private:
  std::string summary() const {
    const auto& r = report_.result;
    return nlohmann::ordered_json{{"scenario", report_.name},
                                  {"title", report_.title},
                                  {"kernel_times", report_.provenance},
                                  {"mean_tpot_ms", r.mean_tpot.value() * 1e3},
                                  {"tokens_per_s_per_gpu", report_.tokens_per_second_per_gpu()},
                                  {"measured_s", r.elapsed.seconds().value()},
                                  {"complete", !r.trace_full}}
        .dump();
  }

  void event(std::string_view fields) {
    fmt::format_to(std::back_inserter(out_), "{{{}}},\n", fields);
  }

  std::uint64_t process(std::uint32_t replica, std::uint32_t pool, std::uint32_t instance) const {
    std::uint64_t id = 1 + instance;
    std::uint64_t per_replica = 0;
    for (std::size_t p = 0; p < deployment_.pools.size(); ++p) {
      if (p < pool) id += static_cast<std::uint64_t>(deployment_.pools[p].instances);
      per_replica += static_cast<std::uint64_t>(deployment_.pools[p].instances);
    }
    return replica * per_replica + id;
  }

  void name_tracks() {
    for (std::uint32_t replica = 0; replica < deployment_.replicas; ++replica) {
      for (std::uint32_t p = 0; p < deployment_.pools.size(); ++p) {
        const auto& pool = deployment_.pools[p];
        for (std::uint32_t i = 0; i < pool.instances; ++i) {
          const std::uint64_t id = process(replica, p, i);
          const std::string of_replica =
              deployment_.replicas > 1 ? fmt::format("replica {}, ", replica) : "";
          event(fmt::format(
              R"json("ph":"M","name":"process_name","pid":{},"args":{{"name":"{}{} {} ({} x {})"}})json",
              id, of_replica, pool.name, i, pool.gpus_per_instance, pool.kernels->chip().name));
          for (const auto& [track, name] :
               {std::pair{kKernels, "kernels"}, std::pair{kCollectives, "collectives"},
                std::pair{kSending, "NICs, sending"}}) {
            event(fmt::format(
                R"json("ph":"M","name":"thread_name","pid":{},"tid":{},"args":{{"name":"{}"}})json",
                id, static_cast<int>(track), name));
          }
        }
      }
    }
  }

  void slice(const decode::TraceRecord& record) {
    const decode::Task& task = graph_.tasks()[record.task];
    const decode::Work& work = graph_.works()[task.work];
    const decode::Place at = place_of(work);
    if (!task.on_resource) {
      message(record, task, std::get<decode::Message>(work));
      return;
    }
    const std::string_view stage = name_of(stage_of(work));
    const Track track = graph_.resources()[task.resource].compute ? kKernels : kCollectives;
    const std::uint64_t pid = process(record.replica, at.pool, at.instance);
    const double start = (record.begin - begin_).seconds().value() * 1e6;
    const double length = (record.end - record.begin).seconds().value() * 1e6;
    event(fmt::format(
        R"json("ph":"X","name":"{} layer {}","cat":"{}","pid":{},"tid":{},"ts":{:.6f},"dur":{:.6f},"args":{{"micro_batch":{}}})json",
        stage, task.layer, stage, pid, static_cast<int>(track), start, length, record.micro_batch));
    // One flow per micro-batch: each slice continues it.
    const std::uint64_t flow = record.replica * 1024ULL + record.micro_batch + 1;
    event(fmt::format(
        R"json("ph":"{}","name":"micro-batch {}","cat":"micro-batch","id":{},"pid":{},"tid":{},"ts":{:.6f})json",
        flows_seen_.insert(flow).second ? "s" : "t", record.micro_batch, flow, pid,
        static_cast<int>(track), start));
  }

  // Messages of one sender overlap (one is still arriving while the next leaves), which slices of a
  // thread must not: asynchronous events may.
  void message(const decode::TraceRecord& record, const decode::Task& task,
               const decode::Message& message) {
    ++messages_;
    for (const auto& [phase, when] : {std::pair{'b', record.begin}, std::pair{'e', record.end}}) {
      event(fmt::format(
          R"json("ph":"{}","name":"to {} {}","cat":"message","id":{},"pid":{},"tid":{},"ts":{:.6f},"args":{{"layer":{},"micro_batch":{}}})json",
          phase, deployment_.pools[message.to.pool].name, message.to.instance, messages_,
          process(record.replica, message.from.pool, message.from.instance),
          static_cast<int>(kSending), (when - begin_).seconds().value() * 1e6, task.layer,
          record.micro_batch));
    }
  }

  const decode::StepGraph& graph_;
  const decode::Deployment& deployment_;
  const SimulationReport& report_;
  std::uint64_t messages_ = 0;
  std::string out_;
  des::SimTime begin_;
  std::set<std::uint64_t> flows_seen_;
};

}  // namespace

std::string chrome_trace(const decode::StepGraph& graph, const decode::Deployment& deployment,
                         const SimulationReport& report) {
  return Writer(graph, deployment, report).text();
}

}  // namespace ridge::answer
