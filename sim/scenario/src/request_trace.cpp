#include "request_trace.hpp"

#include "ridge/base/file.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::scenario {
namespace {

constexpr std::size_t kMaxTraceBytes = std::size_t{1} << 30U;
constexpr std::int64_t kMaxTokens = 1'000'000'000;

[[noreturn]] void wrong_line(const std::string& file, std::size_t line, std::string_view expected,
                             std::string_view got) {
  constexpr std::size_t kShown = 80;
  throw UserError(fmt::format("{}: line {}: expected {}, got \"{}\"", file, line, expected,
                              got.substr(0, kShown)));
}

// "2023-11-16 18:15:46.6805900" as seconds since the epoch. Its zone does not matter: only
// differences are used.
std::optional<double> parse_timestamp(std::string_view text) {
  std::tm time{};
  int end = 0;
  const std::string copy(text);
  if (std::sscanf(copy.c_str(), "%d-%d-%d %d:%d:%d%n", &time.tm_year, &time.tm_mon, &time.tm_mday,
                  &time.tm_hour, &time.tm_min, &time.tm_sec, &end) != 6) {
    return std::nullopt;
  }
  const bool in_range = time.tm_mon >= 1 && time.tm_mon <= 12 && time.tm_mday >= 1 &&
                        time.tm_mday <= 31 && time.tm_hour >= 0 && time.tm_hour <= 23 &&
                        time.tm_min >= 0 && time.tm_min <= 59 && time.tm_sec >= 0 &&
                        time.tm_sec <= 60;
  if (!in_range) return std::nullopt;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  double fraction = 0.0;
  const std::string_view rest = std::string_view(copy).substr(static_cast<std::size_t>(end));
  if (!rest.empty()) {
    const auto [stop, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), fraction);
    if (failure != std::errc() || stop != rest.data() + rest.size()) return std::nullopt;
  }
  return static_cast<double>(timegm(&time)) + fraction;
}

std::optional<std::int64_t> parse_count(std::string_view text) {
  std::int64_t value = 0;
  const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || stop != text.data() + text.size() || value < 0 ||
      value > kMaxTokens) {
    return std::nullopt;
  }
  return value;
}

constexpr std::string_view kCsvHeader = "TIMESTAMP,ContextTokens,GeneratedTokens";

struct Line {
  double seconds;
  std::int64_t context;
  std::int64_t output;
};

Line parse_csv(const std::string& file, std::size_t number, std::string_view line) {
  const std::size_t first = line.find(',');
  const std::size_t second = line.find(',', first == line.npos ? first : first + 1);
  if (second == line.npos) wrong_line(file, number, "three columns", line);
  const auto time = parse_timestamp(line.substr(0, first));
  const auto context = parse_count(line.substr(first + 1, second - first - 1));
  const auto output = parse_count(line.substr(second + 1));
  if (!time || !context || !output) {
    wrong_line(file, number, "a date and time and two whole numbers of tokens", line);
  }
  return {*time, *context, *output};
}

Line parse_json(const std::string& file, std::size_t number, std::string_view line) {
  constexpr std::string_view kExpected =
      "an object with timestamp (ms), input_length and output_length";
  const auto value = nlohmann::json::parse(line, nullptr, false);
  if (!value.is_object()) wrong_line(file, number, kExpected, line);
  const auto count = [&](const char* key) {
    const auto member = value.find(key);
    if (member == value.end() || !member->is_number_integer() || *member < 0 ||
        *member > kMaxTokens) {
      wrong_line(file, number, kExpected, line);
    }
    return member->get<std::int64_t>();
  };
  const auto time = value.find("timestamp");
  if (time == value.end() || !time->is_number()) wrong_line(file, number, kExpected, line);
  return {time->get<double>() * 1e-3, count("input_length"), count("output_length")};
}

}  // namespace

void read_trace(JsonObject& workload, std::vector<decode::TraceRequest>& out) {
  std::string reference;
  double rate_scale = 1.0;
  std::int64_t max_requests = std::numeric_limits<std::int64_t>::max();
  const auto file_node = workload.required("file");
  workload.optional("rate_scale", rate_scale, positive(1e6));
  workload.optional("max_requests", max_requests, at_least(1));
  if (!file_node || !file_node->read(reference)) return;
  const std::filesystem::path path =
      std::filesystem::path(file_node->file()).parent_path() / reference;
  try {
    const std::string text = read_file(path, kMaxTraceBytes);
    const bool csv = text.starts_with(kCsvHeader);
    if (!csv && !text.starts_with("{")) {
      throw UserError(fmt::format("{}: expected a trace: CSV with the header {}, or JSON lines",
                                  path.string(), kCsvHeader));
    }
    double last = 0.0;
    double first = 0.0;
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      std::string_view line(text.data() + begin, end - begin);
      begin = end + 1;
      ++number;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.empty() || (csv && number == 1)) continue;
      if (static_cast<std::int64_t>(out.size()) == max_requests) break;
      const Line parsed =
          csv ? parse_csv(path.string(), number, line) : parse_json(path.string(), number, line);
      if (out.empty()) last = first = parsed.seconds;
      if (parsed.seconds < last) {
        wrong_line(path.string(), number, "arrivals in order of time", line);
      }
      last = parsed.seconds;
      // A request without output was only prefilled, and one without context cannot be decoded.
      if (parsed.output == 0 || parsed.context == 0) continue;
      out.push_back({.arrival = Seconds{(parsed.seconds - first) / rate_scale},
                     .context_tokens = parsed.context,
                     .output_tokens = parsed.output});
    }
    if (out.empty()) {
      throw UserError(fmt::format("{}: the trace holds no request", path.string()));
    }
  } catch (const UserError& e) {
    file_node->error(e.what());
  }
}

}  // namespace ridge::scenario
