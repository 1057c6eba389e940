#include "ridge/scenario/request_trace.hpp"

#include "ridge/base/csv.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/json.hpp"
#include "ridge/base/lowercase.hpp"
#include "ridge/scenario/requests.hpp"
#include "ridge/scenario/scenario.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <ctime>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::scenario {
namespace {

constexpr std::size_t kMaxTraceBytes = std::size_t{1} << 30U;

[[noreturn]] void wrong_line(const std::string& file, std::size_t line, std::string_view expected,
                             std::string_view got) {
  constexpr std::size_t kShown = 80;
  throw UserError(fmt::format("{}: line {}: expected {}, got \"{}\"", file, line, expected,
                              got.substr(0, kShown)));
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0.0;
  const auto [stop, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = failure == std::errc() && stop == text.data() + text.size();
  return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

// "Z", "+00:00", "-0700" in seconds east of Greenwich.
std::optional<double> parse_zone(std::string_view text) {
  if (text.empty() || text == "Z" || text == "z") return 0.0;
  const double sign = text.front() == '-' ? -1.0 : 1.0;
  if (text.front() != '+' && text.front() != '-') return std::nullopt;
  text.remove_prefix(1);
  std::string digits;
  for (const char c : text) {
    if (c != ':') digits += c;
  }
  if (digits.size() != 4 || !std::all_of(digits.begin(), digits.end(),
                                         [](unsigned char c) { return std::isdigit(c) != 0; })) {
    return std::nullopt;
  }
  const int clock = std::stoi(digits);
  return sign * ((clock / 100) * 3600.0 + (clock % 100) * 60.0);
}

// "2023-11-16 18:15:46.6805900", "2024-05-10T00:00:01Z" as seconds since the epoch.
std::optional<double> parse_timestamp(std::string_view text) {
  std::tm time{};
  int end = 0;
  char between = ' ';
  const std::string copy(text);
  if (std::sscanf(copy.c_str(), "%d-%d-%d%c%d:%d:%d%n", &time.tm_year, &time.tm_mon, &time.tm_mday,
                  &between, &time.tm_hour, &time.tm_min, &time.tm_sec, &end) != 7) {
    return std::nullopt;
  }
  const bool in_range = (between == ' ' || between == 'T') && time.tm_mon >= 1 &&
                        time.tm_mon <= 12 && time.tm_mday >= 1 && time.tm_mday <= 31 &&
                        time.tm_hour >= 0 && time.tm_hour <= 23 && time.tm_min >= 0 &&
                        time.tm_min <= 59 && time.tm_sec >= 0 && time.tm_sec <= 60;
  if (!in_range) return std::nullopt;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  std::string_view rest = std::string_view(copy).substr(static_cast<std::size_t>(end));
  double fraction = 0.0;
  if (rest.starts_with('.')) {
    std::size_t digits = 1;
    while (digits < rest.size() && std::isdigit(static_cast<unsigned char>(rest[digits])) != 0) {
      ++digits;
    }
    if (digits > 1) {
      const auto parsed = parse_number(rest.substr(0, digits));
      if (!parsed) return std::nullopt;
      fraction = *parsed;
    }
    rest.remove_prefix(digits);
  }
  const auto zone = parse_zone(rest);
  if (!zone) return std::nullopt;
  return static_cast<double>(timegm(&time)) + fraction - *zone;
}

std::optional<std::int64_t> parse_count(std::string_view text) {
  const auto value = parse_number(text);
  if (!value || *value < 0.0 || *value > kMaxTokens || *value != std::floor(*value)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(*value);
}

struct Line {
  std::size_t number;
  double time;  // seconds, or of plain numbers whatever the trace counts in
  std::int64_t context;
  std::int64_t output;
};

struct Lines {
  std::vector<Line> all;
  std::optional<TimestampUnit> unit;  // of plain numbers
};

// A CSV format by its columns, however they are ordered and whichever others stand between.
struct CsvFormat {
  std::string_view what;
  std::string_view time;
  std::string_view context;
  std::string_view output;
  bool dates;  // times are dates; else seconds
};
constexpr std::array kCsvFormats = {
    CsvFormat{"Azure", "timestamp", "contexttokens", "generatedtokens", true},
    CsvFormat{"BurstGPT", "timestamp", "request tokens", "response tokens", false},
    CsvFormat{"Vidur", "arrived_at", "num_prefill_tokens", "num_decode_tokens", false},
};

constexpr std::string_view kFormats =
    "CSV with the columns TIMESTAMP, ContextTokens and GeneratedTokens (Azure), Timestamp, Request "
    "tokens and Response tokens (BurstGPT) or arrived_at, num_prefill_tokens and num_decode_tokens "
    "(Vidur), or JSON lines with timestamp, input_length and output_length (Mooncake)";

Lines read_csv(const std::string& file, std::string_view text, std::size_t most) {
  CsvReader reader(text, file);
  if (!reader.next()) throw UserError(fmt::format("{}: expected a trace: {}", file, kFormats));
  std::vector<std::string> columns;
  for (const auto cell : reader.cells()) columns.push_back(lowercase(cell));
  const auto column = [&](std::string_view name) {
    return static_cast<std::size_t>(std::find(columns.begin(), columns.end(), name) -
                                    columns.begin());
  };
  const auto format =
      std::find_if(kCsvFormats.begin(), kCsvFormats.end(), [&](const CsvFormat& known) {
        return column(known.time) < columns.size() && column(known.context) < columns.size() &&
               column(known.output) < columns.size();
      });
  if (format == kCsvFormats.end()) {
    throw UserError(
        fmt::format("{}: line {}: expected a trace: {}", file, reader.line(), kFormats));
  }
  const std::size_t time = column(format->time);
  const std::size_t context = column(format->context);
  const std::size_t output = column(format->output);
  Lines out;
  if (!format->dates) out.unit = TimestampUnit::s;
  while (out.all.size() < most && reader.next()) {
    const auto cells = reader.cells();
    if (cells.size() != columns.size()) {
      wrong_line(file, reader.line(), fmt::format("{} columns", columns.size()), reader.row());
    }
    const auto at = format->dates ? parse_timestamp(cells[time]) : parse_number(cells[time]);
    const auto asked = parse_count(cells[context]);
    const auto given = parse_count(cells[output]);
    if (!at || !asked || !given) {
      wrong_line(file, reader.line(),
                 fmt::format("{} and two whole numbers of tokens",
                             format->dates ? "a date and time" : "a time in seconds"),
                 reader.row());
    }
    out.all.push_back({reader.line(), *at, *asked, *given});
  }
  return out;
}

Lines read_json_lines(const std::string& file, std::string_view text, std::size_t most) {
  constexpr std::string_view kExpected =
      "an object with timestamp (ms), input_length and output_length";
  Lines out{.all = {}, .unit = TimestampUnit::ms};
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size() && out.all.size() < most;) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
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
    out.all.push_back({number, time->get<double>(), count("input_length"), count("output_length")});
  }
  return out;
}

void check_order(const std::string& file, Lines& lines, bool sort) {
  const auto earlier = [](const Line& a, const Line& b) { return a.time < b.time; };
  if (sort) {
    std::stable_sort(lines.all.begin(), lines.all.end(), earlier);
    return;
  }
  const auto early = std::is_sorted_until(lines.all.begin(), lines.all.end(), earlier);
  if (early == lines.all.end()) return;
  throw UserError(fmt::format(
      "{}: line {}: expected arrivals in order of time, got one before that of line {}; "
      "\"sort_by_arrival\": true sorts them",
      file, early->number, std::prev(early)->number));
}

// Three requests or more that come a thousand a second, or faster, are rather one a second, and the
// file counts in seconds. Arrivals all at once say nothing.
void check_unit(const std::string& file, const Lines& lines) {
  if (lines.unit != TimestampUnit::ms || lines.all.size() < 3) return;
  const double span = lines.all.back().time - lines.all.front().time;
  const double gap = span / static_cast<double>(lines.all.size() - 1);
  if (!(gap > 0.0 && gap <= 1.0)) return;
  throw UserError(fmt::format(
      "{}: as milliseconds, its timestamps are {:.0f} requests a second, which looks like "
      "seconds: say which with \"timestamp_unit\": \"s\" or \"ms\"",
      file, 1000.0 / gap));
}

}  // namespace

RequestTrace read_trace(const std::string& path, const Trace& how) {
  const std::string text = unpacked(read_file(path, kMaxTraceBytes), path, kMaxTraceBytes);
  const auto most =
      static_cast<std::size_t>(how.max_requests.value_or(std::numeric_limits<std::int64_t>::max()));
  Lines lines =
      text.starts_with('{') ? read_json_lines(path, text, most) : read_csv(path, text, most);
  check_order(path, lines, how.sort);
  if (how.timestamp_unit) {
    if (!lines.unit) {
      throw UserError(fmt::format(
          "{}: its timestamps are dates: \"timestamp_unit\" is for plain numbers", path));
    }
    lines.unit = how.timestamp_unit;
  } else {
    check_unit(path, lines);
  }
  const double scale = (lines.unit == TimestampUnit::ms ? 1e-3 : 1.0) / how.rate_scale;
  RequestTrace out;
  std::size_t empty = 0;
  std::size_t prefill_only = 0;
  for (const Line& line : lines.all) {
    // Prefill makes the first token, and a request without context cannot be decoded.
    if (line.context == 0) {
      ++empty;
    } else if (line.output <= 1) {
      ++prefill_only;
    } else {
      out.requests.push_back({.arrival = Seconds{(line.time - lines.all.front().time) * scale},
                              .context_tokens = line.context,
                              .output_tokens = line.output - 1});
    }
  }
  std::vector<std::string> reasons;
  if (prefill_only > 0) {
    reasons.push_back(
        fmt::format("{} end with the token that prefill makes, or before it", prefill_only));
  }
  if (empty > 0) reasons.push_back(fmt::format("{} have no context", empty));
  if (!reasons.empty()) {
    out.notes.push_back(fmt::format("{}: {} of {} requests are left out: {}", path,
                                    prefill_only + empty, lines.all.size(),
                                    fmt::join(reasons, ", ")));
  }
  if (out.requests.empty()) {
    throw UserError(out.notes.empty() ? fmt::format("{}: the trace holds no request", path)
                                      : fmt::format("{}; none is left", out.notes.front()));
  }
  return out;
}

}  // namespace ridge::scenario
