#include "chrome_trace.hpp"

#include "task_words.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

enum Track : int { kKernels = 0, kCollectives = 1, kSending = 2 };

// Of Chrome's own palette, one for each micro-batch; Perfetto colors by name, which begins with it.
const char* color_of(std::uint32_t micro_batch) {
  constexpr std::array<const char*, 6> kNames = {
      "thread_state_running", "thread_state_iowait", "good", "bad", "terrible", "cq_build_running"};
  return kNames[micro_batch % kNames.size()];
}

class Writer {
 public:
  Writer(const decode::StepGraph& graph, const decode::SimulationInput& input,
         const SimulationReport& report)
      : graph_(graph),
        deployment_(input.deployment),
        report_(report),
        requests_(report.result.mean_requests /
                  static_cast<double>(deployment_.replicas * deployment_.micro_batches)),
        tokens_(requests_ * static_cast<double>(deployment_.queries_per_step())) {
    for (auto& op : operator_times(input, report.result)) {
      operators_[{op.role, op.block}].push_back(std::move(op));
    }
  }

  std::string text() {
    out_ = "{\"displayTimeUnit\":\"ms\",\"otherData\":" + summary() + ",\"traceEvents\":[\n";
    name_tracks();
    begin_ = report_.result.trace.empty() ? des::SimTime() : report_.result.trace.front().begin;
    for (const auto& record : report_.result.trace) begin_ = std::min(begin_, record.begin);
    for (const auto& record : report_.result.trace) slice(record);
    count_messages();
    count_requests();
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
    const TaskKind kind = task_kind(work);
    const Track track = graph_.resources()[task.resource].compute ? kKernels : kCollectives;
    const std::uint64_t pid = process(record.replica, at.pool, at.instance);
    const double start = (record.begin - begin_).seconds().value() * 1e6;
    const double length = (record.end - record.begin).seconds().value() * 1e6;
    const std::string bytes = [&] {
      const auto* collective = std::get_if<decode::Collective>(&work);
      if (collective == nullptr || collective->routed) return std::string();
      return fmt::format(",\"mean_bytes\":{:.0f}",
                         payload(collective->bytes_per_token, collective->requests_of));
    }();
    event(fmt::format(
        R"json("ph":"X","name":"micro-batch {}: {}","cat":"{}","cname":"{}","pid":{},"tid":{},"ts":{:.6f},"dur":{:.6f},"args":{{"layer":{},"micro_batch":{},"mean_tokens":{:.2f}{}}})json",
        record.micro_batch, name_of(kind), name_of(kind), color_of(record.micro_batch), pid,
        static_cast<int>(track), start, length, task.layer, record.micro_batch, tokens_, bytes));
    // Inside the stages of one instance of each pool: of all, they would be most of the file.
    if (record.replica == 0 && at.instance == 0) nest_operators(work, pid, start, length);
    // One flow per micro-batch: each slice continues it.
    const std::uint64_t flow = record.replica * 1024ULL + record.micro_batch + 1;
    event(fmt::format(
        R"json("ph":"{}","name":"micro-batch {}","cat":"micro-batch","id":{},"pid":{},"tid":{},"ts":{:.6f})json",
        flows_seen_.insert(flow).second ? "s" : "t", record.micro_batch, flow, pid,
        static_cast<int>(track), start));
  }

  // The operators of a stage in launch order, each in its share of the time: the stage takes them
  // at its own batch, they are timed at the mean one.
  void nest_operators(const decode::Work& work, std::uint64_t pid, double start, double length) {
    const std::vector<OperatorTime>* operators = nullptr;
    if (const auto* attention = std::get_if<decode::AttentionWork>(&work)) {
      operators = &operators_[{decode::Role::attention, attention->block}];
    } else if (const auto* ffn = std::get_if<decode::FfnWork>(&work)) {
      operators = &operators_[{decode::Role::ffn, ffn->block}];
    }
    if (operators == nullptr) return;
    double alone = 0.0;
    for (const OperatorTime& op : *operators) alone += op.timing.time.value();
    double at = start;
    for (const OperatorTime& op : *operators) {
      const double share = op.timing.time.value() / alone * length;
      event(fmt::format(
          R"json("ph":"X","name":"{}","cat":"operator","pid":{},"tid":{},"ts":{:.6f},"dur":{:.6f},"args":{{"mean_us":{:.4g},"waits_for":"{}","kernel":"{}"}})json",
          op.name, pid, static_cast<int>(kKernels), at, share, op.timing.time.value() * 1e6,
          hw::name_of(op.timing.bound),
          op.kernel.empty() && op.timing.error == 0.0 ? "roofline" : op.kernel));
      at += share;
    }
  }

  // Bytes at the mean batch.
  double payload(double bytes_per_token, std::uint32_t requests_of) const {
    const auto instances = static_cast<double>(deployment_.pool(decode::Role::attention).instances);
    const double of = requests_of == decode::kAllInstances ? requests_ : requests_ / instances;
    return bytes_per_token * of;
  }

  void counter(const char* name, std::uint64_t pid, des::SimTime when, std::int64_t value) {
    event(fmt::format(
        R"json("ph":"C","name":"{}","pid":{},"tid":0,"ts":{:.6f},"args":{{"value":{}}})json", name,
        pid, (when - begin_).seconds().value() * 1e6, value));
  }

  // What changes at a moment, added up, as a counter.
  void count(const char* name, std::uint64_t pid, const std::map<des::SimTime, int>& changes,
             des::SimTime end) {
    std::int64_t value = 0;
    bool begun = false;
    for (const auto& [when, change] : changes) {
      if (when > end) break;
      if (when > begin_ && !begun) counter(name, pid, begin_, value);
      begun = begun || when >= begin_;
      value += change;
      if (begun) counter(name, pid, when, value);
    }
  }

  // On their way from each instance.
  void count_messages() {
    std::map<std::uint64_t, std::map<des::SimTime, int>> changes;
    for (const auto& record : report_.result.trace) {
      const decode::Task& task = graph_.tasks()[record.task];
      if (task.on_resource) continue;
      const auto& message = std::get<decode::Message>(graph_.works()[task.work]);
      auto& of = changes[process(record.replica, message.from.pool, message.from.instance)];
      ++of[record.begin];
      --of[record.end];
    }
    for (const auto& [pid, of] : changes) count("messages on their way", pid, of, last());
  }

  // Of the whole deployment, as its first process.
  void count_requests() {
    std::map<des::SimTime, int> waiting;
    std::map<des::SimTime, int> in_decode;
    for (const auto& request : report_.result.requests) {
      if (request.refused) continue;
      ++waiting[request.arrival];
      if (!request.admitted) continue;
      --waiting[*request.admitted];
      ++in_decode[*request.admitted];
      if (request.finished) --in_decode[*request.finished];
    }
    count("requests waiting", 1, waiting, last());
    count("requests in decode", 1, in_decode, last());
  }

  des::SimTime last() const {
    des::SimTime end = begin_;
    for (const auto& record : report_.result.trace) end = std::max(end, record.end);
    return end;
  }

  // Messages of one sender overlap (one is still arriving while the next leaves), which slices of a
  // thread must not: asynchronous events may.
  void message(const decode::TraceRecord& record, const decode::Task& task,
               const decode::Message& message) {
    ++messages_;
    const std::string bytes =
        message.routed ? std::string()
                       : fmt::format(",\"mean_bytes\":{:.0f}",
                                     payload(message.bytes_per_token, message.requests_of));
    for (const auto& [phase, when] : {std::pair{'b', record.begin}, std::pair{'e', record.end}}) {
      event(fmt::format(
          R"json("ph":"{}","name":"micro-batch {} to {} {}","cat":"message","id":{},"pid":{},"tid":{},"ts":{:.6f},"args":{{"layer":{},"micro_batch":{},"mean_tokens":{:.2f}{}}})json",
          phase, record.micro_batch, deployment_.pools[message.to.pool].name, message.to.instance,
          messages_, process(record.replica, message.from.pool, message.from.instance),
          static_cast<int>(kSending), (when - begin_).seconds().value() * 1e6, task.layer,
          record.micro_batch, tokens_, bytes));
    }
  }

  const decode::StepGraph& graph_;
  const decode::Deployment& deployment_;
  const SimulationReport& report_;
  // Of a micro-batch in a step, on average.
  double requests_;
  double tokens_;
  std::map<std::pair<decode::Role, std::size_t>, std::vector<OperatorTime>> operators_;
  std::uint64_t messages_ = 0;
  std::string out_;
  des::SimTime begin_;
  std::set<std::uint64_t> flows_seen_;
};

}  // namespace

std::string chrome_trace(const decode::StepGraph& graph, const decode::SimulationInput& input,
                         const SimulationReport& report) {
  return Writer(graph, input, report).text();
}

}  // namespace ridge::answer
