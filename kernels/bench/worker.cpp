#include "bench/worker.hpp"

#include "bench/child.hpp"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include <unistd.h>

namespace ridge::kernels::bench {
namespace {

/// Text that may be part of a line: messages come from anywhere.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\t' || c == '\r') {
      c = ' ';
    }
  }
  return text;
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t tab = line.find('\t', begin);
    words.push_back(line.substr(begin, tab - begin));
    if (tab == std::string::npos) {
      return words;
    }
    begin = tab + 1;
  }
}

void send(const std::string& text) {
  std::fflush(stdout);
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t count =
        write(Child::kReportDescriptor, text.data() + written, text.size() - written);
    if (count <= 0) {
      _exit(1);  // Nobody listens any more.
    }
    written += static_cast<std::size_t>(count);
  }
}

std::string facts_text(const DeviceFacts& facts) {
  std::ostringstream text;
  text << facts.sm_count << '\t' << facts.l2_bytes << '\t' << facts.memory_bytes << '\t'
       << facts.free_bytes << '\t' << facts.capability;
  return text.str();
}

DeviceFacts facts_from(const std::string& text) {
  std::istringstream from(text);
  DeviceFacts facts;
  if (!(from >> facts.sm_count >> facts.l2_bytes >> facts.memory_bytes >> facts.free_bytes >>
        facts.capability)) {
    throw std::runtime_error("a worker's facts are not facts: " + text);
  }
  return facts;
}

constexpr std::string_view kExtents[] = {"quick", "full", "new"};  ///< By Extent.
constexpr const char* kKinds[] = {"begin", "checked", "measured", "failed", "broken"};

}  // namespace

std::string machine_text(const Machine& machine) {
  if (machine.obstacle) {
    return "obstacle\t" + one_line(*machine.obstacle) + "\n";
  }
  const Header& header = machine.header;
  const DeviceDescription& device = header.device;
  std::ostringstream text;
  text << "facts\t" << facts_text(machine.facts) << '\n'
       << "device\t" << one_line(device.name) << '\t' << one_line(device.uuid) << '\t'
       << device.compute_capability_major << '\t' << device.compute_capability_minor << '\t'
       << device.sm_count << '\t' << device.l2_bytes << '\t' << device.memory_bytes << '\t'
       << device.max_sm_clock_MHz << '\t' << device.max_memory_clock_MHz << '\t'
       << device.memory_bus_bits << '\n'
       << "software\t" << one_line(header.driver_version) << '\t'
       << one_line(header.cuda_runtime_version) << '\t' << one_line(header.cublaslt_version) << '\t'
       << one_line(header.compiler) << '\n';
  return text.str();
}

Machine machine_from(const std::vector<std::string>& lines) {
  Machine machine;
  bool device_told = false;
  bool facts_told = false;
  bool software_told = false;
  for (const std::string& line : lines) {
    const std::vector<std::string> words = words_of(line);
    if (words[0] == "obstacle" && words.size() == 2) {
      machine.obstacle = words[1];
      return machine;
    }
    if (words[0] == "facts" && words.size() == 6) {
      machine.facts = facts_from(line.substr(6));
      facts_told = true;
    } else if (words[0] == "device" && words.size() == 11) {
      machine.header.device = {.name = words[1],
                               .uuid = words[2],
                               .compute_capability_major = std::stoi(words[3]),
                               .compute_capability_minor = std::stoi(words[4]),
                               .sm_count = std::stoi(words[5]),
                               .l2_bytes = std::stoull(words[6]),
                               .memory_bytes = std::stoull(words[7]),
                               .max_sm_clock_MHz = std::stoi(words[8]),
                               .max_memory_clock_MHz = std::stoi(words[9]),
                               .memory_bus_bits = std::stoi(words[10])};
      device_told = true;
    } else if (words[0] == "software" && words.size() == 5) {
      machine.header.driver_version = words[1];
      machine.header.cuda_runtime_version = words[2];
      machine.header.cublaslt_version = words[3];
      machine.header.compiler = words[4];
      software_told = true;
    }
  }
  if (!facts_told || !device_told || !software_told) {
    throw std::runtime_error("the device could not be described");
  }
  return machine;
}

std::string order_text(const Family& family, Extent extent, const DeviceFacts& facts,
                       const std::vector<const Item*>& items) {
  std::string text = "facts\t" + facts_text(facts) + "\n";
  text += "extent\t" + std::string(kExtents[static_cast<int>(extent)]) + "\n";
  text += "family\t" + std::string(family.name) + "\n";
  for (const Item* item : items) {
    text += (item->kind == Item::Kind::kCase ? "case\t" : "point\t") + item->key + "\n";
  }
  return text;
}

std::string report_text(const Report& report) {
  std::string text = kKinds[static_cast<int>(report.kind)];
  text += '\t' + std::to_string(report.item);
  if (report.kind == Report::Kind::kChecked) {
    char numbers[96];
    std::snprintf(numbers, sizeof(numbers), "\t%d\t%.9g\t%.9g\t", report.check.passed ? 1 : 0,
                  report.check.relative_error, report.check.tolerance);
    text += numbers + one_line(report.check.message);
  } else if (report.kind == Report::Kind::kMeasured) {
    text += '\t' + timing_text(report.timing);
  } else {
    text += '\t' + one_line(report.message);
  }
  return text + '\n';
}

Report report_from(const std::string& line) {
  const std::runtime_error wrong("not a worker's report: " + line);
  const std::vector<std::string> words = words_of(line);
  Report report;
  std::size_t kind = 0;
  while (kind < std::size(kKinds) && words[0] != kKinds[kind]) {
    ++kind;
  }
  if (kind == std::size(kKinds) || words.size() < 3) {
    throw wrong;
  }
  report.kind = static_cast<Report::Kind>(kind);
  report.item = std::stoull(words[1]);
  if (report.kind == Report::Kind::kChecked) {
    if (words.size() != 6) {
      throw wrong;
    }
    report.check.passed = words[2] == "1";
    report.check.relative_error = std::stod(words[3]);
    report.check.tolerance = std::stod(words[4]);
    report.check.message = words[5];
  } else if (report.kind == Report::Kind::kMeasured) {
    const std::optional<Timing> timing =
        timing_from(line.substr(words[0].size() + words[1].size() + 2));
    if (!timing) {
      throw wrong;
    }
    report.timing = *timing;
  } else {
    report.message = words[2];
  }
  return report;
}

int describe_machine(const Platform& platform) {
  Machine machine;
  machine.obstacle = platform.why_no_device();
  if (!machine.obstacle) {
    machine.facts = platform.query_facts();
    machine.header = platform.describe();
  }
  send(machine_text(machine));
  return 0;
}

int work(const Platform& platform) {
  DeviceFacts facts;
  Extent extent = Extent::kQuick;
  const Family* family = nullptr;
  std::vector<std::pair<Item::Kind, std::string>> order;
  std::string line;
  while (std::getline(std::cin, line)) {
    const std::size_t tab = line.find('\t');
    const std::string word = line.substr(0, tab);
    const std::string rest = tab == std::string::npos ? "" : line.substr(tab + 1);
    if (word == "facts") {
      facts = facts_from(rest);
    } else if (word == "extent") {
      const auto* const named = std::find(std::begin(kExtents), std::end(kExtents), rest);
      if (named == std::end(kExtents)) {
        throw std::runtime_error("a worker was given no extent that there is: " + rest);
      }
      extent = static_cast<Extent>(named - std::begin(kExtents));
    } else if (word == "family") {
      for (const Family& candidate : platform.families) {
        family = candidate.name == rest ? &candidate : family;
      }
    } else {
      order.emplace_back(word == "case" ? Item::Kind::kCase : Item::Kind::kPoint, rest);
    }
  }
  if (family == nullptr) {
    throw std::runtime_error("a worker was given no family that there is");
  }
  // The same host code on the same facts makes the same items in both processes.
  std::map<std::string, Item> points;
  std::map<std::string, Item> cases;
  Options all;
  all.extent = extent;
  for (Item& item : point_items(*family, all, facts)) {
    points.emplace(item.key, std::move(item));
  }
  for (Item& item : case_items(*family, Extent::kFull, all, facts)) {
    cases.emplace(item.key, std::move(item));
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto& [kind, key] = order[i];
    Report report;
    report.item = i;
    send(report_text(report));
    try {
      if (kind == Item::Kind::kCase) {
        report.check = family->check(cases.at(key).test, facts);
        report.kind = Report::Kind::kChecked;
      } else {
        const std::unique_ptr<Workload> workload = family->prepare(points.at(key).point, facts);
        report.timing = platform.measure(*workload, extent);
        report.kind = Report::Kind::kMeasured;
      }
    } catch (const std::exception& error) {
      report.kind = Report::Kind::kFailed;
      report.message = error.what();
    }
    if (report.kind == Report::Kind::kFailed && !platform.usable()) {
      report.kind = Report::Kind::kBroken;
      send(report_text(report));
      std::fflush(stdout);
      _exit(0);  // Destructors would only ask the broken device for more.
    }
    send(report_text(report));
  }
  return 0;
}

}  // namespace ridge::kernels::bench
