#include "bench/measurement.hpp"

#include "bench/json_writer.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace ridge::kernels::bench {
namespace {

void write_clocks(JsonWriter& json, std::string_view name, const std::optional<Clocks>& clocks) {
  json.key(name);
  if (!clocks) {
    json.raw("null");
    return;
  }
  json.begin_object();
  json.key("sm_MHz").value(clocks->sm_MHz);
  json.key("memory_MHz").value(clocks->memory_MHz);
  json.end_object();
}

void write_failures(JsonWriter& json, std::string_view name, const std::vector<Failure>& failures) {
  json.key(name).begin_array();
  for (const Failure& failure : failures) {
    json.begin_object();
    json.key("what").value(failure.what);
    json.key("why").value(failure.why);
    json.end_object();
  }
  json.end_array();
}

}  // namespace

std::string point_json(std::string_view family, const Point& point, const Timing& timing) {
  JsonWriter json(0);
  json.begin_object();
  json.key("family").value(family);
  json.key("kernel").value(point.kernel);
  json.key("shape").begin_object();
  for (const Shape::Field& field : point.shape.fields()) {
    json.key(field.name);
    std::visit([&](const auto& value) { json.value(value); }, field.value);
  }
  json.end_object();
  json.key("bytes_read").value(point.work.bytes_read);
  json.key("bytes_written").value(point.work.bytes_written);
  json.key("flop").value(point.work.flop);
  json.key("median_us").value(timing.median_us);
  json.key("p10_us").value(timing.p10_us);
  json.key("p90_us").value(timing.p90_us);
  json.key("samples").value(timing.samples);
  if (timing.clocks.sm_MHz > 0) {
    json.key("sm_MHz").value(timing.clocks.sm_MHz);
    json.key("memory_MHz").value(timing.clocks.memory_MHz);
  }
  json.end_object();
  return json.text();
}

std::string measurement_json(const Header& header, const std::vector<std::string>& points) {
  JsonWriter json;
  json.begin_object();
  json.key("format").value("ridge-measurement");
  json.key("format_version").value(kFormatVersion);
  json.key("tool").value("ridge-bench");
  json.key("command").value(header.command);
  json.key("date_utc").value(header.date_utc);
  json.key("device").begin_object();
  const DeviceDescription& device = header.device;
  json.key("name").value(device.name);
  json.key("uuid").value(device.uuid);
  json.key("compute_capability")
      .value(std::to_string(device.compute_capability_major) + "." +
             std::to_string(device.compute_capability_minor));
  json.key("sm_count").value(device.sm_count);
  json.key("l2_bytes").value(device.l2_bytes);
  json.key("memory_bytes").value(device.memory_bytes);
  json.key("memory_bus_bits").value(device.memory_bus_bits);
  json.key("max_sm_clock_MHz").value(device.max_sm_clock_MHz);
  json.key("max_memory_clock_MHz").value(device.max_memory_clock_MHz);
  json.end_object();
  json.key("software").begin_object();
  json.key("driver").value(header.driver_version);
  json.key("cuda_runtime").value(header.cuda_runtime_version);
  json.key("cublaslt").value(header.cublaslt_version);
  json.key("compiler").value(header.compiler);
  json.end_object();
  json.key("clocks").begin_object();
  write_clocks(json, "first", header.clocks_first);
  write_clocks(json, "last", header.clocks_last);
  json.end_object();
  json.key("timing").begin_object();
  json.key("method").value("CUDA graph replay between events, time per launch");
  json.key("statistic").value("median, p10 and p90 over replays");
  json.end_object();
  json.key("checks").begin_object();
  json.key("comparisons").value(header.comparisons);
  write_failures(json, "wrong", header.wrong);
  json.end_object();
  write_failures(json, "not_measured", header.missing);
  json.key("points").begin_array();
  for (const std::string& point : points) {
    json.raw(point);
  }
  json.end_array();
  json.end_object();
  return json.text() + "\n";
}

std::string point_key(std::string_view family, const Point& point) {
  return std::string(family) + " " + point.kernel + " " + point.shape.to_string();
}

std::string set_aside(const std::string& path) {
  if (!std::filesystem::exists(path)) {
    return "";
  }
  for (int number = 1;; ++number) {
    const std::string name = path + "." + std::to_string(number);
    if (!std::filesystem::exists(name)) {
      std::filesystem::rename(path, name);
      return name;
    }
  }
}

void write_whole(const std::string& path, const std::string& text) {
  const std::string beside = path + ".writing";
  std::ofstream file(beside, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  std::error_code failure;
  if (file) {
    std::filesystem::rename(beside, path, failure);
  }
  if (!file || failure) {
    throw std::runtime_error("cannot write " + path);
  }
}

std::string timing_text(const Timing& timing) {
  char text[160];
  std::snprintf(text, sizeof(text), "%.17g\t%.17g\t%.17g\t%d\t%d\t%d", timing.median_us,
                timing.p10_us, timing.p90_us, timing.samples, timing.clocks.sm_MHz,
                timing.clocks.memory_MHz);
  return text;
}

std::optional<Timing> timing_from(std::string_view text) {
  Timing timing;
  int used = 0;
  const std::string line(text);
  const int fields = std::sscanf(line.c_str(), "%lf\t%lf\t%lf\t%d\t%d\t%d%n", &timing.median_us,
                                 &timing.p10_us, &timing.p90_us, &timing.samples,
                                 &timing.clocks.sm_MHz, &timing.clocks.memory_MHz, &used);
  if (fields != 6 || static_cast<std::size_t>(used) != line.size()) {
    return std::nullopt;
  }
  return timing;
}

Journal::Journal(std::string path, const std::string& identity) : path_(std::move(path)) {
  std::ostringstream content;
  if (std::ifstream file(path_, std::ios::binary); file) {
    content << file.rdbuf();
  }
  std::string text = content.str();
  text.resize(text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1);
  std::istringstream lines(text);
  std::string line;
  if (std::getline(lines, line) && line == identity) {
    while (std::getline(lines, line)) {
      const std::size_t tab = line.find('\t');
      if (tab == std::string::npos) {
        continue;
      }
      if (const std::optional<Timing> timing = timing_from(line.substr(tab + 1))) {
        entries_[line.substr(0, tab)] = *timing;
      }
    }
  } else {
    moved_to_ = set_aside(path_);
  }
  // Written anew, so that a cut-off last line does not glue itself to the next entry.
  std::string whole = identity + '\n';
  for (const auto& [key, timing] : entries_) {
    whole += key + '\t' + timing_text(timing) + '\n';
  }
  write_whole(path_, whole);
}

const Timing* Journal::find(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second;
}

void Journal::add(const std::string& key, const Timing& timing) {
  entries_[key] = timing;
  std::ofstream file(path_, std::ios::binary | std::ios::app);
  file << key << '\t' << timing_text(timing) << '\n';
  if (!file.flush()) {
    throw std::runtime_error("cannot write " + path_);
  }
}

void Journal::remove() {
  std::filesystem::remove(path_);
}

}  // namespace ridge::kernels::bench
