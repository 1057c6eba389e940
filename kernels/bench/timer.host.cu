#include "bench/device_query.hpp"
#include "bench/timer.hpp"
#include "common/device.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace ridge::kernels::bench {
namespace {

struct StreamOwner {
  StreamOwner() { RIDGE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking)); }
  ~StreamOwner() { cudaStreamDestroy(stream); }
  cudaStream_t stream = nullptr;
};

struct Event {
  Event() { RIDGE_CUDA_CHECK(cudaEventCreate(&event)); }
  ~Event() { cudaEventDestroy(event); }
  cudaEvent_t event = nullptr;
};

class Graph {
 public:
  Graph(Workload& workload, int passes, cudaStream_t stream) {
    RIDGE_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int pass = 0; pass < passes; ++pass) {
      for (int set = 0; set < workload.sets(); ++set) {
        workload.launch(set, stream);
      }
    }
    cudaGraph_t graph = nullptr;
    RIDGE_CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
    const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    RIDGE_CUDA_CHECK(status);
  }
  ~Graph() { cudaGraphExecDestroy(executable_); }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void enqueue(cudaStream_t stream) const {
    RIDGE_CUDA_CHECK(cudaGraphLaunch(executable_, stream));
  }

  /// Microseconds of one replay.
  double replay(cudaStream_t stream, const Event& begin, const Event& end) const {
    RIDGE_CUDA_CHECK(cudaEventRecord(begin.event, stream));
    enqueue(stream);
    RIDGE_CUDA_CHECK(cudaEventRecord(end.event, stream));
    RIDGE_CUDA_CHECK(cudaEventSynchronize(end.event));
    float milliseconds = 0;
    RIDGE_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, begin.event, end.event));
    return milliseconds * 1e3;
  }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

/// Microseconds of one pass over the sets without a graph: what the host's enqueueing allows.
double enqueue(Workload& workload, cudaStream_t stream, const Event& begin, const Event& end) {
  RIDGE_CUDA_CHECK(cudaEventRecord(begin.event, stream));
  for (int set = 0; set < workload.sets(); ++set) {
    workload.launch(set, stream);
  }
  RIDGE_CUDA_CHECK(cudaEventRecord(end.event, stream));
  RIDGE_CUDA_CHECK(cudaEventSynchronize(end.event));
  float milliseconds = 0;
  RIDGE_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, begin.event, end.event));
  return milliseconds * 1e3;
}

}  // namespace

Timing measure(Workload& workload, Extent extent) {
  // A replay long enough that the events' own resolution and the graph's launch vanish in it; few
  // enough samples that the whole grid keeps its promise.
  constexpr double kReplayUs = 500;
  const double budget_us = extent == Extent::kQuick ? 40e3 : 100e3;
  constexpr int kFewest = 7;
  constexpr int kMost = 50;

  // What the workload uploaded or filled is on its way in other streams.
  RIDGE_CUDA_CHECK(cudaDeviceSynchronize());
  const StreamOwner owner;
  const Event begin;
  const Event end;
  for (int set = 0; set < std::min(workload.sets(), 2); ++set) {
    workload.launch(set, owner.stream);
  }
  RIDGE_CUDA_CHECK(cudaStreamSynchronize(owner.stream));

  if (!workload.in_graph()) {
    std::vector<double> sample_us;
    for (int i = 0; i < kFewest * 3; ++i) {
      sample_us.push_back(enqueue(workload, owner.stream, begin, end) / workload.sets());
    }
    return summarize(sample_us);
  }
  int passes = 1;
  double replay_us = 0;
  {
    const Graph once(workload, 1, owner.stream);
    once.replay(owner.stream, begin, end);
    replay_us = once.replay(owner.stream, begin, end);
    passes =
        static_cast<int>(std::clamp(std::ceil(kReplayUs / std::max(replay_us, 1.0)), 1.0, 256.0));
  }
  const Graph graph(workload, passes, owner.stream);
  graph.replay(owner.stream, begin, end);
  const int samples = static_cast<int>(
      std::clamp(budget_us / std::max(replay_us * passes, 1.0), double{kFewest}, double{kMost}));
  const double launches = static_cast<double>(passes) * workload.sets();
  std::vector<double> sample_us;
  for (int i = 0; i < samples; ++i) {
    sample_us.push_back(graph.replay(owner.stream, begin, end) / launches);
  }
  Timing timing = summarize(sample_us);
  // An idle device lowers its clocks: read while replays wait in the stream.
  constexpr double kBusyUs = 10e3;
  for (double us = 0; us < kBusyUs; us += std::max(replay_us * passes, 10.0)) {
    graph.enqueue(owner.stream);
  }
  timing.clocks = read_clocks().value_or(Clocks{});
  RIDGE_CUDA_CHECK(cudaStreamSynchronize(owner.stream));
  return timing;
}

}  // namespace ridge::kernels::bench
