#include "bench/measurement.hpp"

#include "bench/json_writer.hpp"

#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>

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
  write_clocks(json, "before", header.clocks_before);
  write_clocks(json, "after", header.clocks_after);
  json.end_object();
  json.key("timing").begin_object();
  json.key("method").value("CUDA graph replay between events, time per launch");
  json.key("statistic").value("median, p10 and p90 over replays");
  json.end_object();
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
      if (tab != std::string::npos) {
        entries_.push_back({line.substr(0, tab), line.substr(tab + 1)});
      }
    }
  }
  // Written anew, so that a cut-off last line does not glue itself to the next entry.
  std::ofstream file(path_, std::ios::binary | std::ios::trunc);
  file << identity << '\n';
  for (const Entry& entry : entries_) {
    file << entry.key << '\t' << entry.json << '\n';
  }
  if (!file.flush()) {
    throw std::runtime_error("cannot write " + path_);
  }
}

const std::string* Journal::find(const std::string& key) const {
  for (const Entry& entry : entries_) {
    if (entry.key == key) {
      return &entry.json;
    }
  }
  return nullptr;
}

void Journal::add(const std::string& key, const std::string& json) {
  entries_.push_back({key, json});
  std::ofstream file(path_, std::ios::binary | std::ios::app);
  file << key << '\t' << json << '\n';
  if (!file.flush()) {
    throw std::runtime_error("cannot write " + path_);
  }
}

void Journal::remove() {
  std::remove(path_.c_str());
}

}  // namespace ridge::kernels::bench
