#include "chrome_trace.hpp"

#include "ridge/base/ordered_json.hpp"
#include "task_words.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::answer {
namespace {

enum Track : std::uint64_t { kKernels = 0, kCollectives = 1, kSending = 2 };
// Of a process. No two threads have the same number, nor one of them none: viewers take threads of
// the same number for one, and 0 for no thread at all.
std::uint64_t thread(std::uint64_t process, Track track) {
  constexpr std::uint64_t kTracks = 4;
  return kTracks * process + track;
}

// Of Chrome's own palette, one for each micro-batch; Perfetto colors by name, which begins with it.
const char* color_of(std::uint32_t micro_batch) {
  constexpr std::array<const char*, 6> kNames = {
      "thread_state_running", "thread_state_iowait", "good", "bad", "terrible", "cq_build_running"};
  return kNames[micro_batch % kNames.size()];
}

// Whole nanoseconds, as viewers keep them: a slice that ends a fraction of one after its neighbor
// began would overlap it there, and be dropped.
using Nanoseconds = std::int64_t;
// Of them, the microseconds that the format wants.
std::string micros(Nanoseconds time) {
  return fmt::format("{}.{:03}", time / 1000, time % 1000);
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
    // The load is told from the start of the measurement on.
    if (!report_.result.load_trace.empty()) begin_ = report_.result.load_trace.front().at;
    end_ = begin_;
    for (const auto& record : report_.result.trace) {
      begin_ = std::min(begin_, record.begin);
      end_ = std::max(end_, record.end);
    }
    for (const auto& record : report_.result.trace) slice(record);
    count_messages();
    count_collectives();
    count_load();
    // A trailing comma is no JSON.
    out_.erase(out_.find_last_not_of(",\n") + 1);
    out_ += "\n]}\n";
    return std::move(out_);
  }

 private:
  std::string summary() const {
    const auto& r = report_.result;
    return OrderedJson{{"scenario", report_.name},
                       {"title", report_.title},
                       {"kernel_times", report_.provenance},
                       {"mean_tpot_ms", r.mean_tpot.value() * 1e3},
                       {"tokens_per_s_per_gpu", report_.tokens_per_second_per_gpu()},
                       {"measured_s", r.elapsed.seconds().value()},
                       {"complete", !r.trace_full}}
        .dump();
  }

  Nanoseconds since_begin(des::SimTime when) const {
    constexpr std::int64_t kPicoseconds = 1000;
    return (when - begin_).picoseconds() / kPicoseconds;
  }

  void event(std::string_view fields) {
    fmt::format_to(std::back_inserter(out_), "{{{}}},\n", fields);
  }

  // Instances of the pools before this one, in a replica.
  std::uint64_t instances_before(std::size_t pool) const {
    std::uint64_t sum = 0;
    for (std::size_t p = 0; p < pool; ++p) {
      sum += static_cast<std::uint64_t>(deployment_.pools[p].instances);
    }
    return sum;
  }

  std::uint64_t process(std::uint32_t replica, std::uint32_t pool, std::uint32_t instance) const {
    return replica * instances_before(deployment_.pools.size()) + instances_before(pool) + 1 +
           instance;
  }
  // Behind those of all instances: counters of them all.
  std::uint64_t whole_deployment() const {
    return process(static_cast<std::uint32_t>(deployment_.replicas), 0, 0);
  }

  std::string sending() const {
    return fmt::format("{}, sending", decode::name_of(deployment_.message_path));
  }

  void name_tracks() {
    event(fmt::format(
        R"json("ph":"M","name":"process_name","pid":{},"args":{{"name":"whole deployment"}})json",
        whole_deployment()));
    event(fmt::format(
        R"json("ph":"M","name":"process_sort_index","pid":{},"args":{{"sort_index":-1}})json",
        whole_deployment()));
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
          for (const auto& [track, name] : {std::pair{kKernels, std::string("kernels")},
                                            std::pair{kCollectives, std::string("collectives")},
                                            std::pair{kSending, sending()}}) {
            event(fmt::format(
                R"json("ph":"M","name":"thread_name","pid":{},"tid":{},"args":{{"name":"{}"}})json",
                id, thread(id, track), name));
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
    const Nanoseconds start = since_begin(record.begin);
    const Nanoseconds end = since_begin(record.end);
    const std::string bytes = [&] {
      if (const auto mean = mean_bytes(work)) return fmt::format(",\"mean_bytes\":{:.0f}", *mean);
      return std::string();
    }();
    event(fmt::format(
        R"json("ph":"X","name":"micro-batch {}: {}{}","cat":"{}","cname":"{}","pid":{},"tid":{},"ts":{},"dur":{},"args":{{"layer":{},"micro_batch":{},"mean_tokens":{:.2f}{}}})json",
        record.micro_batch, name_of(kind), piece_words(work), name_of(kind),
        color_of(record.micro_batch), pid, thread(pid, track), micros(start), micros(end - start),
        task.layer, record.micro_batch, tokens_, bytes));
    // Inside the stages of one instance of each pool: of all, they would be most of the file.
    if (record.replica == 0 && at.instance == 0) nest_operators(work, pid, start, end);
    // One flow per micro-batch: each slice continues it.
    const std::uint64_t flow = record.replica * 1024ULL + record.micro_batch + 1;
    event(fmt::format(
        R"json("ph":"{}","name":"micro-batch {}","cat":"micro-batch","id":{},"pid":{},"tid":{},"ts":{})json",
        flows_seen_.insert(flow).second ? "s" : "t", record.micro_batch, flow, pid,
        thread(pid, track), micros(start)));
  }

  // The operators of a stage in launch order, each in its share of the time: the stage takes them
  // at its own batch, they are timed at the mean one.
  void nest_operators(const decode::Work& work, std::uint64_t pid, Nanoseconds start,
                      Nanoseconds end) {
    std::vector<OperatorTime> operators;
    const auto take = [&](decode::Role role, const auto& of) {
      const auto& whole = operators_[{role, of.block}];
      for (std::size_t i = 0; i < whole.size(); ++i) {
        if (decode::launches(of.piece, whole, i)) operators.push_back(whole[i]);
      }
    };
    if (const auto* attention = std::get_if<decode::AttentionWork>(&work)) {
      take(decode::Role::attention, *attention);
    } else if (const auto* ffn = std::get_if<decode::FfnWork>(&work)) {
      take(decode::Role::ffn, *ffn);
    }
    double alone = 0.0;
    for (const OperatorTime& op : operators) alone += op.timing.time.value();
    double until = 0.0;
    Nanoseconds at = start;
    for (const OperatorTime& op : operators) {
      until += op.timing.time.value();
      const Nanoseconds next =
          start + static_cast<Nanoseconds>(until / alone * static_cast<double>(end - start) + 0.5);
      if (next == at) continue;  // it takes no time
      event(fmt::format(
          R"json("ph":"X","name":"{}","cat":"operator","pid":{},"tid":{},"ts":{},"dur":{},"args":{{"mean_us":{:.4g},"waits_for":"{}","kernel":"{}"}})json",
          op.name, pid, thread(pid, kKernels), micros(at), micros(next - at),
          op.timing.time.value() * 1e6, hw::name_of(op.timing.bound),
          op.kernel.empty() && op.timing.error == 0.0 ? "roofline" : op.kernel));
      at = next;
    }
  }

  // That a collective or an exchange moves at the mean batch; unknown where the draw of experts
  // decides.
  std::optional<double> mean_bytes(const decode::Work& work) const {
    const auto instances = static_cast<double>(deployment_.pool(decode::Role::attention).instances);
    const auto payload = [&](const auto& moved) -> std::optional<double> {
      if (moved.routed) return std::nullopt;
      const bool of_all = moved.requests_of == decode::kAllInstances;
      return moved.bytes_per_token * (of_all ? requests_ : requests_ / instances);
    };
    if (const auto* collective = std::get_if<decode::Collective>(&work)) {
      return payload(*collective);
    }
    if (const auto* peers = std::get_if<decode::PeerExchange>(&work)) return payload(*peers);
    if (const auto* exchange = std::get_if<decode::Exchange>(&work)) {
      return exchange->bytes_per_copy * exchange->top_k * requests_ * exchange->queries;
    }
    return std::nullopt;
  }

  // Without a name of its own for the value, which viewers would put behind the counter's.
  void counter(std::string_view name, std::uint64_t pid, des::SimTime when, double value) {
    event(fmt::format(R"json("ph":"C","name":"{}","pid":{},"ts":{},"args":{{"":{:.6g}}})json", name,
                      pid, micros(since_begin(when)), value));
  }

  // What changes at a moment, added up, as a counter from the start of the trace to its end.
  template <typename Number>
  using Changes = std::map<des::SimTime, Number>;
  template <typename Number>
  void count(std::string_view name, std::uint64_t pid, const Changes<Number>& changes) {
    Number value{};
    bool begun = false;
    for (const auto& [when, change] : changes) {
      if (when > end_) break;
      if (when > begin_ && !begun) counter(name, pid, begin_, static_cast<double>(value));
      begun = begun || when >= begin_;
      value += change;
      if (begun) counter(name, pid, when, static_cast<double>(value));
    }
  }

  // On their way from each instance, and how fast they leave it on average while they are.
  void count_messages() {
    struct Sender {
      Changes<int> messages;
      Changes<std::int64_t> bytes_per_second;  // whole, so that they add up to nothing
    };
    std::map<std::uint64_t, Sender> senders;
    for (const auto& record : report_.result.trace) {
      const decode::Task& task = graph_.tasks()[record.task];
      if (task.on_resource) continue;
      const auto& message = std::get<decode::Message>(graph_.works()[task.work]);
      Sender& of = senders[process(record.replica, message.from.pool, message.from.instance)];
      ++of.messages[record.begin];
      --of.messages[record.end];
      const auto rate = static_cast<std::int64_t>(record.payload.value() /
                                                  (record.end - record.begin).seconds().value());
      of.bytes_per_second[record.begin] += rate;
      of.bytes_per_second[record.end] -= rate;
    }
    for (const auto& [pid, of] : senders) {
      count("messages on their way", pid, of.messages);
      count(sending() + " (B/s)", pid, of.bytes_per_second);
    }
  }

  // Whether an instance's collectives and exchanges keep its links.
  void count_collectives() {
    std::map<std::uint64_t, Changes<int>> links;
    for (const auto& record : report_.result.trace) {
      const decode::Task& task = graph_.tasks()[record.task];
      const decode::Work& work = graph_.works()[task.work];
      if (!task.on_resource || computes(task_kind(work))) continue;
      const decode::Place at = place_of(work);
      auto& of = links[process(record.replica, at.pool, at.instance)];
      ++of[record.begin];
      --of[record.end];
    }
    for (const auto& [pid, of] : links) count("links in use by collectives", pid, of);
  }

  // Of the whole deployment.
  void count_load() {
    const std::uint64_t pid = whole_deployment();
    for (const decode::LoadRecord& load : report_.result.load_trace) {
      if (load.at > end_) break;
      constexpr double kPercent = 100.0;
      counter("requests in decode", pid, load.at, static_cast<double>(load.in_decode));
      counter("KV set aside (%)", pid, load.at, kPercent * load.kv_reserved);
      counter("KV filled (%)", pid, load.at, kPercent * load.kv_filled);
    }
    Changes<int> waiting;
    for (const auto& request : report_.result.requests) {
      if (request.refused) continue;
      ++waiting[request.arrival];
      if (request.admitted) --waiting[*request.admitted];
    }
    count("requests waiting", pid, waiting);
  }

  // Messages of one sender overlap (one is still arriving while the next leaves), which slices of a
  // thread must not: asynchronous events may.
  void message(const decode::TraceRecord& record, const decode::Task& task,
               const decode::Message& message) {
    ++messages_;
    const std::uint64_t pid = process(record.replica, message.from.pool, message.from.instance);
    for (const auto& [phase, when] : {std::pair{'b', record.begin}, std::pair{'e', record.end}}) {
      event(fmt::format(
          R"json("ph":"{}","name":"micro-batch {} to {} {}","cat":"message","id":{},"pid":{},"tid":{},"ts":{},"args":{{"layer":{},"micro_batch":{},"mean_tokens":{:.2f},"bytes":{:.0f}}})json",
          phase, record.micro_batch, deployment_.pools[message.to.pool].name, message.to.instance,
          messages_, pid, thread(pid, kSending), micros(since_begin(when)), task.layer,
          record.micro_batch, tokens_, record.payload.value()));
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
  des::SimTime begin_;  // of the trace
  des::SimTime end_;
  std::set<std::uint64_t> flows_seen_;
};

}  // namespace

std::string chrome_trace(const decode::StepGraph& graph, const decode::SimulationInput& input,
                         const SimulationReport& report) {
  return Writer(graph, input, report).text();
}

}  // namespace ridge::answer
