#include "bench/supervise.hpp"

#include "bench/child.hpp"
#include "bench/comparison.hpp"
#include "bench/item.hpp"
#include "bench/measurement.hpp"
#include "bench/worker.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <vector>

namespace ridge::kernels::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Making a context, loading the kernels, and building the family's items.
constexpr double kStartLimitS = 120;
/// Giving back what a worker holds.
constexpr double kEndLimitS = 10;
/// Workers that one task may lose before its other items are given up: each may have cost an
/// item's time limit.
constexpr int kMostLostWorkers = 3;

Clock::time_point in(double seconds) {
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

/// FNV-1a of this program's file: what another build measured is not this one's.
std::string build_identity() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  std::uint64_t hash = 14695981039346656037ull;
  std::vector<char> buffer(1 << 16);
  while (file.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) ||
         file.gcount() > 0) {
    for (std::streamsize i = 0; i < file.gcount(); ++i) {
      hash = (hash ^ static_cast<unsigned char>(buffer[static_cast<std::size_t>(i)])) *
             1099511628211ull;
    }
  }
  return std::to_string(hash);
}

Machine ask_for_machine() {
  Child child({"--worker-describe"}, "");
  std::vector<std::string> lines;
  std::string line;
  const Clock::time_point deadline = in(kStartLimitS);
  for (;;) {
    const Child::Event event = child.read_line(line, deadline);
    if (event == Child::Event::kLine) {
      lines.push_back(line);
      continue;
    }
    if (event == Child::Event::kTimeout) {
      throw std::runtime_error("the device did not answer within 120 s");
    }
    break;
  }
  const std::string end = child.finish();
  if (lines.empty()) {
    throw std::runtime_error("the device could not be described: the worker " +
                             (end.empty() ? "said nothing" : end));
  }
  return machine_from(lines);
}

class Run {
 public:
  Run(const Platform& platform, const Options& options, Machine machine, Clock::time_point start)
      : options_(options),
        machine_(std::move(machine)),
        tasks_(plan_run(platform.families, options, machine_.facts)),
        comparison_(machine_.facts),
        start_(start) {
    if (options.time_limit_s > 0) {
      deadline_ = start + std::chrono::duration_cast<Clock::duration>(
                              std::chrono::duration<double>(options.time_limit_s));
    }
    for (const Task& task : tasks_) {
      count_ += task.items.size();
    }
    if (count_ == 0) {
      throw UsageError("nothing to do: no comparison or point that this device can run matches");
    }
  }

  ExitStatus measure(const std::string& command) {
    machine_.header.command = command;
    machine_.header.date_utc = now_utc();
    open_journal();
    for (const Task& task : tasks_) {
      if (!stopped_) {
        do_task(task);
      }
      write_output();
    }
    std::printf(
        "%zu points in %s; %zu not measured; %zu of %d comparisons with the references "
        "failed%s\n",
        measured_.size(), options_.output.c_str(), machine_.header.missing.size(),
        machine_.header.wrong.size(), machine_.header.comparisons,
        stopped_ ? "; stopped before the end, the same command goes on" : "");
    tell_failures();
    if (!stopped_ && machine_.header.missing.empty()) {
      journal_->remove();
    }
    return status();
  }

  ExitStatus check() {
    for (const Task& task : tasks_) {
      if (!stopped_) {
        do_task(task);
      }
    }
    tell_failures();
    std::printf("%zu of %d comparisons with the references failed%s\n",
                machine_.header.wrong.size(), machine_.header.comparisons,
                stopped_ ? "; stopped before the end" : "");
    return status();
  }

 private:
  ExitStatus status() const {
    if (stopped_) {
      return kStopped;
    }
    return machine_.header.wrong.empty() && machine_.header.missing.empty() ? kDone : kFailed;
  }

  void open_journal() {
    const std::string path = options_.output + ".partial";
    const DeviceDescription& device = machine_.header.device;
    if (options_.fresh) {
      note_moved(set_aside(path));
    }
    journal_ = std::make_unique<Journal>(
        path, "ridge-measurement " + std::to_string(kFormatVersion) + " " + device.uuid + " " +
                  machine_.header.driver_version + " build " + build_identity());
    note_moved(journal_->moved_to());
    if (journal_->size() == 0) {
      note_moved(set_aside(options_.output));
      return;
    }
    std::printf("continuing an interrupted run: %zu points are there already\n", journal_->size());
    for (const Task& task : tasks_) {
      for (const Item& item : task.items) {
        if (const Timing* timing = journal_->find(item.key)) {
          note_measured(task, item, *timing);
        }
      }
    }
  }

  void note_moved(const std::string& name) {
    if (!name.empty()) {
      std::printf("what was there of another run is now %s\n", name.c_str());
    }
  }

  void note_measured(const Task& task, const Item& item, const Timing& timing) {
    measured_[item.key] = timing;
    comparison_.note(task.family->name, item.point, timing);
    if (timing.clocks.sm_MHz > 0) {
      if (!machine_.header.clocks_first) {
        machine_.header.clocks_first = timing.clocks;
      }
      machine_.header.clocks_last = timing.clocks;
    }
  }

  void write_output() {
    std::vector<std::string> points;
    for (const Task& task : tasks_) {
      for (const Item& item : task.items) {
        if (const auto found = measured_.find(item.key); found != measured_.end()) {
          points.push_back(point_json(task.family->name, item.point, found->second));
        }
      }
    }
    Header header = machine_.header;
    if (stopped_) {
      for (const Task& task : tasks_) {
        for (const Item& item : task.items) {
          if (item.kind == Item::Kind::kPoint && done_.count(item.key) == 0 &&
              measured_.count(item.key) == 0) {
            header.missing.push_back({item.key, "the run was stopped before"});
          }
        }
      }
    }
    write_whole(options_.output, measurement_json(header, points));
  }

  void tell_failures() const {
    for (const Failure& failure : machine_.header.wrong) {
      std::printf("WRONG         %s: %s\n", failure.what.c_str(), failure.why.c_str());
    }
    // One cause may have cost hundreds of points: told once.
    std::map<std::string, std::vector<const Failure*>> by_cause;
    for (const Failure& failure : machine_.header.missing) {
      by_cause[failure.why].push_back(&failure);
    }
    for (const auto& [why, failures] : by_cause) {
      std::printf("not measured  %zu points: %s\n              %s%s\n", failures.size(),
                  why.c_str(), failures.front()->what.c_str(), failures.size() > 1 ? ", ..." : "");
    }
  }

  void note_failed(const Item& item, const std::string& why) {
    if (item.kind == Item::Kind::kCase) {
      ++machine_.header.comparisons;
      machine_.header.wrong.push_back({item.key, why});
      closed_gates_.insert(item.gate);
    } else {
      machine_.header.missing.push_back({item.key, why});
    }
    std::printf("%s: %s\n", item.kind == Item::Kind::kCase ? "FAIL" : "not measured", why.c_str());
  }

  void announce(const Item& item) {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    std::printf("[%zu/%zu %4.0f s] %s: ", ++reached_, count_, seconds, item.key.c_str());
    std::fflush(stdout);
  }

  void do_task(const Task& task) {
    const std::string family(task.family->name);
    std::vector<const Item*> left;
    for (const Item& item : task.items) {
      if (measured_.count(item.key) != 0) {
        ++reached_;
      } else if (item.kind == Item::Kind::kPoint && closed_gates_.count(item.gate) != 0) {
        announce(item);
        note_failed(item, "the kernel is wrong here, and a wrong kernel is not worth timing");
      } else {
        left.push_back(&item);
      }
    }
    for (int lost = 0; !left.empty() && !stopped_; ++lost) {
      if (lost == kMostLostWorkers) {
        for (const Item* item : left) {
          announce(*item);
          note_failed(*item, "given up after " + std::to_string(lost) + " lost workers");
        }
        return;
      }
      std::printf("-- %s: %s, %zu\n", family.c_str(), task.purpose.c_str(), left.size());
      left = do_items(task, left);
    }
  }

  /// Has a worker do the items, and returns those that it did not come to.
  std::vector<const Item*> do_items(const Task& task, const std::vector<const Item*>& items) {
    Child child({"--worker"}, order_text(*task.family, options_.extent, machine_.facts, items));
    std::size_t next = 0;  // The first item that is neither done nor failed.
    bool begun = false;
    Clock::time_point deadline = std::min(deadline_, in(kStartLimitS));
    std::string line;
    const auto rest = [&] {
      return std::vector<const Item*>(items.begin() + static_cast<std::ptrdiff_t>(next),
                                      items.end());
    };
    const auto lose = [&](const std::string& why) {
      // One that never got to its first item loses that one, or nothing would ever end.
      if (!begun) {
        announce(*items[next]);
      }
      done_.insert(items[next]->key);
      note_failed(*items[next], why);
      ++next;
    };
    while (next < items.size()) {
      switch (child.read_line(line, deadline)) {
        case Child::Event::kStop:
          stopped_ = true;
          std::printf("\nstopping, as asked\n");
          return rest();
        case Child::Event::kTimeout:
          if (deadline == deadline_) {  // By the clock it may be a fraction of a ms short of it.
            stopped_ = true;
            std::printf("\nstopping: the time limit has come\n");
            return rest();
          }
          lose("no answer within " +
               std::to_string(static_cast<int>(begun ? options_.item_limit_s : kStartLimitS)) +
               " s: the worker was killed");
          return rest();
        case Child::Event::kEnd: {
          const std::string how = child.finish();
          if (stop_requested()) {
            stopped_ = true;  // A signal to the whole group of processes.
            return rest();
          }
          lose("the worker " + (how.empty() ? "ended early" : how));
          return rest();
        }
        case Child::Event::kLine:
          break;
      }
      const Report report = report_from(line);
      if (report.item != next) {
        throw std::logic_error("a worker reports on item " + std::to_string(report.item) +
                               " while it is at " + std::to_string(next));
      }
      const Item& item = *items[next];
      switch (report.kind) {
        case Report::Kind::kBegin:
          begun = true;
          announce(item);
          deadline = std::min(deadline_, in(options_.item_limit_s));
          continue;
        case Report::Kind::kChecked:
          if (report.check.passed) {
            ++machine_.header.comparisons;
            std::printf("ok  error %.2e of %.1e\n", report.check.relative_error,
                        report.check.tolerance);
          } else {
            char numbers[64];
            std::snprintf(numbers, sizeof(numbers), "error %.2e of %.1e; ",
                          report.check.relative_error, report.check.tolerance);
            note_failed(item, numbers + report.check.message);
          }
          break;
        case Report::Kind::kMeasured:
          std::printf("%s\n",
                      comparison_.line(task.family->name, item.point, report.timing).c_str());
          note_measured(task, item, report.timing);
          journal_->add(item.key, report.timing);
          break;
        case Report::Kind::kFailed:
          note_failed(item, report.message);
          break;
        case Report::Kind::kBroken:
          done_.insert(item.key);
          note_failed(item, report.message);
          ++next;
          return rest();
      }
      done_.insert(item.key);
      ++next;
      begun = false;
      std::fflush(stdout);
    }
    // It has nothing left to do but to end.
    while (child.read_line(line, in(kEndLimitS)) == Child::Event::kLine) {
    }
    return {};
  }

  const Options& options_;
  Machine machine_;
  std::vector<Task> tasks_;
  Comparison comparison_;
  Clock::time_point start_;
  Clock::time_point deadline_ = Clock::time_point::max();
  std::unique_ptr<Journal> journal_;
  std::map<std::string, Timing> measured_;
  std::set<std::string> done_;
  std::set<std::string> closed_gates_;
  std::size_t count_ = 0;
  std::size_t reached_ = 0;
  bool stopped_ = false;
};

}  // namespace

ExitStatus supervise(const Platform& platform, const Options& options, const std::string& command) {
  const Clock::time_point start = Clock::now();
  chosen_families(platform.families, options);
  catch_stop_signals();
  Machine machine = ask_for_machine();
  if (machine.obstacle) {
    std::fprintf(stderr,
                 "ridge-bench: %s. Nothing was checked or measured; --explain and --list work "
                 "without a GPU.\n",
                 machine.obstacle->c_str());
    return kNoDevice;
  }
  Run run(platform, options, std::move(machine), start);
  return options.action == Action::kCheck ? run.check() : run.measure(command);
}

}  // namespace ridge::kernels::bench
