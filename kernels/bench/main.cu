#include "bench/device_query.hpp"
#include "bench/measurement.hpp"
#include "bench/options.hpp"
#include "bench/registry.hpp"
#include "bench/timer.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace ridge::kernels::bench;

enum ExitStatus { kDone = 0, kFailed = 1, kUsage = 2, kNoDevice = 3 };

std::vector<const Family*> chosen_families(const Options& options) {
  std::vector<const Family*> chosen;
  for (const Family& family : families()) {
    if (options.families.empty() || std::count(options.families.begin(), options.families.end(),
                                               std::string(family.name)) != 0) {
      chosen.push_back(&family);
    }
  }
  for (const std::string& name : options.families) {
    if (std::none_of(families().begin(), families().end(),
                     [&](const Family& family) { return family.name == name; })) {
      throw UsageError("--family: there is no family '" + name + "'; --list names them");
    }
  }
  return chosen;
}

bool matches(const Options& options, const std::string& description) {
  return options.only.empty() || description.find(options.only) != std::string::npos;
}

int list(const Options& options, const DeviceFacts& facts) {
  for (const Family* family : chosen_families(options)) {
    std::printf("%-20s %4zu quick, %5zu full, %3zu cases  %s\n", std::string(family->name).c_str(),
                family->grid(Extent::kQuick, facts).size(),
                family->grid(Extent::kFull, facts).size(), family->cases(Extent::kFull).size(),
                std::string(family->summary).c_str());
  }
  return kDone;
}

int explain(const Options& options, const DeviceFacts& facts) {
  for (const Family* family : chosen_families(options)) {
    for (const Point& point : family->grid(options.extent, facts)) {
      const std::string key = point_key(family->name, point);
      if (matches(options, key)) {
        std::printf("%s\n%s\n", key.c_str(), family->explain(point, facts).c_str());
      }
    }
  }
  return kDone;
}

int check(const Options& options, const DeviceFacts& facts) {
  int failures = 0;
  int count = 0;
  for (const Family* family : chosen_families(options)) {
    for (const Case& test : family->cases(options.extent)) {
      const std::string description = std::string(family->name) + " " + test.kernel + ": " +
                                      test.name + " [" + test.shape.to_string() + "]";
      if (!matches(options, description)) {
        continue;
      }
      ++count;
      const CheckReport report = family->check(test, facts);
      std::printf("%s  %s  error %.2e of %.1e\n", report.passed ? "ok  " : "FAIL",
                  description.c_str(), report.relative_error, report.tolerance);
      if (!report.passed) {
        ++failures;
        std::printf("      %s\n", report.message.c_str());
      }
      std::fflush(stdout);
    }
  }
  std::printf("%d of %d comparisons with the references failed\n", failures, count);
  return failures == 0 ? kDone : kFailed;
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

/// What later lines of the progress table compare with: measured earlier in the same run.
class Ceilings {
 public:
  void note(const Family& family, const Point& point, const Timing& timing) {
    if (family.name == "memory_bandwidth" && point.kernel == "read") {
      read_TBps_ = std::max(read_TBps_, point.work.bytes_read / timing.median_us * 1e-6);
    }
    if (family.name == "dense_gemm") {
      double& best = matrix_TFLOPs_[point.shape.word("dtype")];
      best = std::max(best, point.work.flop / timing.median_us * 1e-6);
    }
    baselines_[std::string(family.name) + " " + point.shape.to_string()][point.kernel] =
        timing.median_us;
  }

  std::string compare(const Family& family, const Point& point, const Timing& timing) const {
    std::string text;
    char buffer[96];
    if (read_TBps_ > 0 && point.work.bytes_read > 0) {
      std::snprintf(buffer, sizeof(buffer), "  %3.0f%% of read bandwidth",
                    point.work.bytes_read / timing.median_us * 1e-6 / read_TBps_ * 100);
      text += buffer;
    }
    const auto peak = matrix_TFLOPs_.find("bf16");
    if (peak != matrix_TFLOPs_.end() && point.work.flop > 0) {
      std::snprintf(buffer, sizeof(buffer), "  %3.0f%% of the BF16 matrix rate",
                    point.work.flop / timing.median_us * 1e-6 / peak->second * 100);
      text += buffer;
    }
    const auto others = baselines_.find(std::string(family.name) + " " + point.shape.to_string());
    if (others != baselines_.end()) {
      for (const auto& [kernel, us] : others->second) {
        if (kernel != point.kernel) {
          std::snprintf(buffer, sizeof(buffer), "  %.2fx %s", us / timing.median_us,
                        kernel.c_str());
          text += buffer;
        }
      }
    }
    return text;
  }

 private:
  double read_TBps_ = 0;
  std::map<std::string, double> matrix_TFLOPs_;
  std::map<std::string, std::map<std::string, double>> baselines_;
};

int measure_all(const Options& options, const DeviceFacts& facts, const std::string& command) {
  Header header;
  header.command = command;
  header.date_utc = now_utc();
  header.device = describe_device();
  header.driver_version = driver_version();
  header.cuda_runtime_version = cuda_runtime_version();
  header.cublaslt_version = cublaslt_version();
  header.compiler = compiler_version();
  header.clocks_before = read_clocks();

  const std::string journal_path = options.output + ".partial";
  if (options.fresh) {
    std::remove(journal_path.c_str());
  }
  Journal journal(journal_path, "ridge-measurement " + std::to_string(kFormatVersion) + " " +
                                    header.device.uuid + " " + header.driver_version);
  if (journal.size() != 0) {
    std::printf("continuing an interrupted run: %zu points are there already\n", journal.size());
  }

  struct Entry {
    const Family* family;
    Point point;
    std::string key;
  };
  std::vector<Entry> entries;
  for (const Family* family : chosen_families(options)) {
    for (Point& point : family->grid(options.extent, facts)) {
      std::string key = point_key(family->name, point);
      if (matches(options, key)) {
        entries.push_back({family, std::move(point), std::move(key)});
      }
    }
  }
  const auto start = std::chrono::steady_clock::now();
  Ceilings ceilings;
  std::vector<std::string> points;
  int failures = 0;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& [family, point, key] = entries[i];
    if (const std::string* done = journal.find(key)) {
      points.push_back(*done);
      continue;
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("[%zu/%zu %4.0f s] %s: ", i + 1, entries.size(), seconds, key.c_str());
    std::fflush(stdout);
    try {
      const std::unique_ptr<Workload> workload = family->prepare(point, facts);
      const Timing timing = measure(*workload, options.extent);
      std::printf("%.1f us  %.2f TB/s  %.0f TFLOP/s%s\n", timing.median_us,
                  (point.work.bytes_read + point.work.bytes_written) / timing.median_us * 1e-6,
                  point.work.flop / timing.median_us * 1e-6,
                  ceilings.compare(*family, point, timing).c_str());
      ceilings.note(*family, point, timing);
      points.push_back(point_json(family->name, point, timing));
      journal.add(key, points.back());
    } catch (const std::exception& error) {
      // A point that cannot run (too little memory, a library that lacks a mode) is named and left
      // out; a device that has stopped working fails every point after it as well, and the status
      // says so.
      ++failures;
      std::printf("not measured: %s\n", error.what());
    }
  }
  header.clocks_after = read_clocks();
  std::ofstream file(options.output, std::ios::binary);
  file << measurement_json(header, points);
  if (!file.flush()) {
    std::fprintf(stderr, "ridge-bench: cannot write %s\n", options.output.c_str());
    return kFailed;
  }
  if (failures == 0) {
    journal.remove();
  }
  std::printf("%zu points written to %s, %d could not be measured\n", points.size(),
              options.output.c_str(), failures);
  return failures == 0 ? kDone : kFailed;
}

int run(const Options& options, const std::string& command) {
  if (options.action == Action::kHelp) {
    std::fputs(usage().c_str(), stdout);
    return kDone;
  }
  const std::optional<std::string> obstacle = why_no_device();
  if (options.action == Action::kList || options.action == Action::kExplain) {
    if (obstacle) {
      std::fprintf(stderr, "ridge-bench: %s; assuming 132 SMs, 50 MiB of L2 and 80 GB of memory\n",
                   obstacle->c_str());
    }
    const DeviceFacts facts = obstacle ? assumed_facts() : query_facts();
    return options.action == Action::kList ? list(options, facts) : explain(options, facts);
  }
  chosen_families(options);
  if (obstacle) {
    std::fprintf(
        stderr,
        "ridge-bench: %s. Nothing was checked or measured; --explain and --list work without a "
        "GPU.\n",
        obstacle->c_str());
    return kNoDevice;
  }
  const DeviceFacts facts = query_facts();
  if (options.action == Action::kCheck) {
    return check(options, facts);
  }
  if (!options.skip_check) {
    Options quick = options;
    quick.extent = Extent::kQuick;
    quick.only.clear();
    if (check(quick, facts) != kDone) {
      std::fprintf(stderr, "ridge-bench: a wrong kernel is not worth timing; see --check\n");
      return kFailed;
    }
  }
  return measure_all(options, facts, command);
}

}  // namespace

int main(int argc, char** argv) {
  std::string command = "ridge-bench";
  for (int i = 1; i < argc; ++i) {
    command += std::string(" ") + argv[i];
  }
  try {
    return run(parse_options({argv + 1, argv + argc}), command);
  } catch (const UsageError& error) {
    std::fprintf(stderr, "ridge-bench: %s\n", error.what());
    return kUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ridge-bench: %s\n", error.what());
    return kFailed;
  }
}
