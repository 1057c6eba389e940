#include "ridge/base/error.hpp"
#include "ridge/base/json.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/hwmodels/calibrated/measurement.hpp"
#include "routing_load.hpp"
#include "series_builder.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::hw::calibrated {

// The file as kernels/bench and kernels/peers write it. Curves are made of the points alone; how it
// was measured is read so that a file that says it wrongly is noticed.
namespace measured {

struct Device {
  std::string name;
  std::string uuid;
  std::string compute_capability;
  std::int64_t sm_count = 0;
  std::int64_t l2_bytes = 0;
  std::int64_t memory_bytes = 0;
  std::optional<std::int64_t> memory_bus_bits;
  std::optional<std::int64_t> max_sm_clock_MHz;
  std::optional<std::int64_t> max_memory_clock_MHz;
};

struct Clocks {
  std::int64_t sm_MHz = 0;
  std::int64_t memory_MHz = 0;
};

struct RunClocks {
  std::optional<Clocks> first;
  std::optional<Clocks> last;
};

struct Failure {
  std::string what;
  std::string why;
};

struct Checks {
  std::int64_t comparisons = 0;
  std::vector<Failure> wrong;
};

struct HowTimed {
  std::string method;
  std::string statistic;
};

struct Point {
  std::string family;
  std::string kernel;
  std::optional<JsonNode> shape;
  double bytes_read = 0;
  double bytes_written = 0;
  double flop = 0;
  double median_us = 0;
  double p10_us = 0;
  double p90_us = 0;
  std::int64_t samples = 0;
  std::optional<std::int64_t> sm_MHz;
  std::optional<std::int64_t> memory_MHz;
};

struct File {
  std::string tool;
  std::string command;
  std::string date_utc;
  Device device;
  std::map<std::string, std::string> software;
  RunClocks clocks;
  HowTimed timing;
  std::optional<Checks> checks;
  std::vector<Failure> not_measured;
  std::vector<Point> points;
};

static const KeyTable& keys_of(const Device* /*of*/) {
  using D = Device;
  static const KeyTable table = key_table<D>(
      "device", "As the driver reports it.",
      {
          key<&D::name>("name", ""),
          key<&D::uuid>("uuid", "Empty where it is not told."),
          key<&D::compute_capability>("compute_capability", "Major and minor: \"9.0\"."),
          key<&D::sm_count>("sm_count", "Streaming multiprocessors.", at_least(1)),
          key<&D::l2_bytes>("l2_bytes", "", at_least(0)),
          key<&D::memory_bytes>("memory_bytes", "", at_least(1)),
          key<&D::memory_bus_bits>("memory_bus_bits", "", at_least(0)),
          key<&D::max_sm_clock_MHz>("max_sm_clock_MHz", "", at_least(0)),
          key<&D::max_memory_clock_MHz>("max_memory_clock_MHz", "", at_least(0)),
      });
  return table;
}

static const KeyTable& keys_of(const Clocks* /*of*/) {
  static const KeyTable table =
      key_table<Clocks>("clocks", "",
                        {
                            key<&Clocks::sm_MHz>("sm_MHz", "", at_least(0)),
                            key<&Clocks::memory_MHz>("memory_MHz", "", at_least(0)),
                        });
  return table;
}

static const KeyTable& keys_of(const RunClocks* /*of*/) {
  const auto told = [] {
    return keys::nullable(keys::type_of<Clocks>(""), keys::optional_store<Clocks>());
  };
  static const KeyTable table = key_table<RunClocks>(
      "run_clocks",
      "While the first and the last point were measured; those of every point are with it.",
      {
          key_as<&RunClocks::first>("first", "Null where the driver does not tell.", told())
              .needed(),
          key_as<&RunClocks::last>("last", "", told()).needed(),
      });
  return table;
}

static const KeyTable& keys_of(const Failure* /*of*/) {
  static const KeyTable table =
      key_table<Failure>("failure", "An item that came to nothing, and why.",
                         {
                             key<&Failure::what>("what", ""),
                             key<&Failure::why>("why", ""),
                         });
  return table;
}

static const KeyTable& keys_of(const Checks* /*of*/) {
  static const KeyTable table =
      key_table<Checks>("checks", "Comparisons of kernels with their references in this run.",
                        {
                            key<&Checks::comparisons>("comparisons", "", at_least(0)),
                            key<&Checks::wrong>("wrong", "Those that failed."),
                        });
  return table;
}

static const KeyTable& keys_of(const HowTimed* /*of*/) {
  static const KeyTable table = key_table<HowTimed>("timing", "How a time was taken, in words.",
                                                    {
                                                        key<&HowTimed::method>("method", ""),
                                                        key<&HowTimed::statistic>("statistic", ""),
                                                    });
  return table;
}

static const KeyTable& keys_of(const Point* /*of*/) {
  using P = Point;
  static const KeyTable table = key_table<P>(
      "point", "A kernel at one shape. Points that differ only in the kernel are the same work.",
      {
          key<&P::family>("family", "What is computed; fixes the fields of the shape."),
          key<&P::kernel>("kernel", "Which implementation: ridge, simple, cublaslt, torch_sdpa."),
          key_as<&P::shape>("shape", "Its family's fields.",
                            keys::node("an object of numbers and strings",
                                       R"({"type": "object", "additionalProperties":
                                           {"type": ["number", "string"]}})"))
              .needed(),
          key<&P::bytes_read>("bytes_read",
                              "Compulsory: each input once. What an implementation reads again, or "
                              "pads, is its own inefficiency and is not counted.",
                              at_least(0)),
          key<&P::bytes_written>("bytes_written", "Compulsory: each output once.", at_least(0)),
          key<&P::flop>("flop", "Of the work asked for, padding excluded; a multiply-add counts 2.",
                        at_least(0)),
          key<&P::median_us>("median_us",
                             "Of one launch: a graph of many launches is replayed between two "
                             "events; a sample is the replay's time over its launches, so it "
                             "contains the gap between kernels, as the layers of a step pay it.",
                             positive()),
          key<&P::p10_us>("p10_us", "", at_least(0)),
          key<&P::p90_us>("p90_us", "", at_least(0)),
          key<&P::samples>("samples", "Replays.", at_least(1)),
          key<&P::sm_MHz>("sm_MHz", "Read while the device worked on the point.", at_least(0)),
          key<&P::memory_MHz>("memory_MHz", "", at_least(0)),
      });
  return table;
}

constexpr std::string_view kFormatName = "ridge-measurement";
constexpr std::int64_t kFormatVersion = 1;

static const KeyTable& keys_of(const File* /*of*/) {
  static const KeyTable table =
      key_table<File>(
          "",
          "Times of kernels on one device, as ridge-bench and the peers' script write them and "
          "calibration reads them. Families and their shapes: docs/measurement-format.md.",
          {
              key_of_all<File>(
                  "format", "",
                  keys::constant(std::string(kFormatName), fmt::format("\"{}\"", kFormatName))),
              key_of_all<File>("format_version", "", keys::constant(kFormatVersion)),
              key<&File::tool>("tool", "The program that measured."),
              key<&File::command>("command", "As typed."),
              key<&File::date_utc>("date_utc", "Start of the run, ISO 8601."),
              key<&File::device>("device", ""),
              key<&File::software>("software",
                                   "Versions, by component: driver, cuda_runtime, cublaslt, "
                                   "compiler; torch and triton for peers."),
              key<&File::clocks>("clocks", ""),
              key<&File::timing>("timing", ""),
              key<&File::checks>("checks", ""),
              key<&File::not_measured>("not_measured",
                                       "Points that were asked for and are not there.")
                  .optional(),
              key<&File::points>("points", "The measurements."),
          })
          .file("measurement");
  return table;
}

}  // namespace measured

namespace {

using measured::kFormatName;
using measured::Point;

// A point and its place in the file.
struct Placed {
  const Point& point;
  std::uint32_t index;
};

// The fields of a shape. What a family does not need is left alone: the benchmark says more about a
// point than the curves ask.
class Fields {
 public:
  explicit Fields(const JsonNode& node) : node_(node) {}
  [[nodiscard]] bool ok() const { return ok_; }

  [[nodiscard]] bool has(const std::string& name) const { return node_.json().contains(name); }
  double positive_number(const std::string& name) {
    double value = 1.0;
    if (!find(name) || !node_.child(name).read(value, positive())) ok_ = false;
    return value;
  }
  double number_or(const std::string& name, double otherwise) {
    double value = otherwise;
    if (has(name) && !node_.child(name).read(value, at_least(0))) ok_ = false;
    return value;
  }
  std::string word(const std::string& name) {
    std::string value;
    if (!find(name) || !node_.child(name).read(value)) ok_ = false;
    return value;
  }
  Format format(const std::string& name) {
    const std::string value = word(name);
    if (value == "fp8_e4m3") return Format::fp8;
    for (const auto& [known, format] : format_names()) {
      if (format != Format::any && value == known) return format;
    }
    if (ok_) set_aside();  // of a format that no curve is made of
    return Format::bf16;
  }
  // Read without fault, but no curve is made of it.
  void set_aside() {
    ok_ = false;
    aside_ = true;
  }
  [[nodiscard]] bool aside() const { return aside_; }
  void error(const std::string& name, std::string_view expected) {
    node_.child(name).expected(expected);
    ok_ = false;
  }

 private:
  bool find(const std::string& name) {
    if (has(name)) return true;
    node_.error(fmt::format("missing field \"{}\"", name));
    return false;
  }

  JsonNode node_;
  bool ok_ = true;
  bool aside_ = false;
};

void read_attention(const Placed& at, Fields& f, SeriesBuilder& out) {
  const Format format = f.format("kv_dtype");
  const double head_dim = f.positive_number("head_dim");
  DecodeAttentionForm::Shape shape{.sequences = f.positive_number("batch"),
                                   .context = f.positive_number("context_tokens"),
                                   .query_rows = f.positive_number("query_heads"),
                                   .kv_heads = f.positive_number("kv_heads"),
                                   .qk_dim = head_dim,
                                   .v_dim = head_dim,
                                   .bytes_per_value = bytes_of(format)};
  if (f.ok() && f.has("page_tokens")) f.set_aside();  // other pages than those of the curves
  if (!f.ok()) return;
  shape.values_per_token = 2.0 * shape.kv_heads * head_dim;
  out.add({.family = Family::decode_attention,
           .format = format,
           .head_dim = static_cast<std::int64_t>(head_dim),
           .kernel = at.point.kernel},
          shape, at.point.median_us, fmt::format("{}/{}", shape.query_rows, shape.kv_heads),
          fmt::format("{}", shape.sequences), at.index);
}

void read_latent_attention(const Placed& at, Fields& f, SeriesBuilder& out) {
  const Format format = f.format("kv_dtype");
  const double latent = f.positive_number("kv_rank");
  const double key = latent + f.positive_number("rope_dim");
  // A token that also keeps scales, or its rotary part in another format, is told in bytes; the
  // model's operators count such a record in values of the cache's format too.
  const double token_bytes =
      f.has("token_bytes") ? f.positive_number("token_bytes") : key * bytes_of(format);
  const DecodeAttentionForm::Shape shape{.sequences = f.positive_number("batch"),
                                         .context = f.positive_number("context_tokens"),
                                         .query_rows = f.positive_number("query_heads"),
                                         .kv_heads = 1.0,
                                         .qk_dim = key,
                                         .v_dim = latent,
                                         .values_per_token = token_bytes / bytes_of(format),
                                         .bytes_per_value = bytes_of(format)};
  if (!f.ok()) return;
  out.add({.family = Family::latent_attention,
           .format = format,
           .head_dim = static_cast<std::int64_t>(key),
           .kernel = at.point.kernel},
          shape, at.point.median_us, fmt::format("{}", shape.query_rows),
          fmt::format("{}", shape.sequences), at.index);
}

void read_dense_gemm(const Placed& at, Fields& f, SeriesBuilder& out) {
  const Format format = f.format("dtype");
  const GemmForm::Shape shape{.m = f.positive_number("m"),
                              .n = f.positive_number("n"),
                              .k = f.positive_number("k"),
                              .batch = 1.0,
                              .input_bytes = bytes_of(format),
                              .weight_bytes = weight_bytes_of(format)};
  if (!f.ok()) return;
  out.add({.family = Family::gemm, .format = format, .kernel = at.point.kernel}, shape,
          at.point.median_us, fmt::format("{}x{}", shape.n, shape.k), fmt::format("{}", shape.m),
          at.index);
}

// What this rank's experts get: the routed rows, and every token once for each shared expert.
struct MoePoint {
  double hidden = 1;
  double intermediate = 1;
  GroupedGemmForm::Shape shape;
  std::string group;
  std::string batch;
};

std::optional<MoePoint> moe_point(Fields& f) {
  const double tokens = f.positive_number("tokens");
  const double experts = f.positive_number("experts");
  const double held = f.positive_number("local_experts");
  const double top_k = f.positive_number("top_k");
  const double shared = f.number_or("shared_experts", 0.0);
  MoePoint point{.hidden = f.positive_number("hidden"),
                 .intermediate = f.positive_number("intermediate")};
  const std::string words = f.word("routing");
  const std::optional<ExpertChoice> routing = expert_choice_of(words);
  if (f.ok() && !routing) f.set_aside();  // made to stress a kernel, not to resemble a model
  if (f.ok() && (held > experts || top_k > experts)) f.error("experts", "enough of them");
  if (!f.ok()) return std::nullopt;
  const BusiestRank load = busiest_rank(tokens, top_k, experts, experts / held, *routing);
  point.shape = {.rows = load.rows + shared * tokens,
                 .routed_rows = tokens * (top_k + shared),
                 .tokens = tokens,
                 .experts = held + shared,
                 .active_experts = load.active_experts + shared,
                 .intermediate = point.intermediate,
                 .input_bytes = 1.0,
                 .weight_bytes = 1.0,
                 .profile = load.profile};
  point.group =
      fmt::format("{}x{} {} of {} + {}", point.hidden, point.intermediate, top_k, experts, shared);
  point.batch = fmt::format("{} {}", held, tokens);
  return point;
}

void read_moe_layer(const Placed& at, Fields& f, SeriesBuilder& out) {
  std::optional<MoePoint> moe = moe_point(f);
  if (!moe) return;
  moe->shape.n = 2.0 * moe->intermediate;
  moe->shape.k = moe->hidden;
  moe->shape.n2 = moe->hidden;
  moe->shape.k2 = moe->intermediate;
  out.add({.family = Family::moe_layer, .format = Format::fp8_block, .kernel = at.point.kernel},
          moe->shape, at.point.median_us, moe->group, moe->batch, at.index);
}

void read_grouped_gemm(const Placed& at, Fields& f, SeriesBuilder& out) {
  const std::string projection = f.word("projection");
  std::optional<MoePoint> moe = moe_point(f);
  if (!moe) return;
  const bool up = projection == "gate_up";
  if (!up && projection != "down") return f.error("projection", "gate_up or down");
  moe->shape.n = up ? 2.0 * moe->intermediate : moe->hidden;
  moe->shape.k = up ? moe->hidden : moe->intermediate;
  out.add({.family = Family::grouped_gemm, .format = Format::fp8_block, .kernel = at.point.kernel},
          moe->shape, at.point.median_us, moe->group + ' ' + projection, moe->batch, at.index);
}

void read_stream(const Placed& at, Fields& /*f*/, SeriesBuilder& out) {
  const double bytes = at.point.bytes_read + at.point.bytes_written;
  out.add({.family = Family::elementwise, .kernel = at.point.kernel},
          ElementwiseForm::Shape{.MB = 1e-6 * bytes}, at.point.median_us, fmt::format("{}", bytes),
          "", at.index);
}

struct Reader {
  std::string_view family;
  void (*read)(const Placed&, Fields&, SeriesBuilder&);
};
constexpr std::array<Reader, 7> kReaders = {{
    {"decode_attention", read_attention},
    {"latent_attention", read_latent_attention},
    {"dense_gemm", read_dense_gemm},
    {"moe_layer", read_moe_layer},
    {"grouped_gemm", read_grouped_gemm},
    {"rms_norm_quantize", read_stream},
    {"rope", read_stream},
}};

// Throws UserError in one line where the file is of another kind, whose keys would each be wrong.
void check_format(const JsonNode& root) {
  const nlohmann::json& json = root.json();
  const bool named = json.is_object() && json.contains("format");
  if (named && json.at("format") == kFormatName) return;
  throw UserError(fmt::format(
      "{}: /format: expected \"{}\", as ridge-bench writes measurements, got {}; measurements of "
      "other tools are read as CSV",
      root.file(), kFormatName, named ? json.at("format").dump().substr(0, 60) : "none"));
}

}  // namespace

void read_measurement_json(std::string_view text, const std::string& name, MeasurementSet& into) {
  const JsonDocument document = JsonDocument::parse(text, name);
  Diagnostics diagnostics;
  const JsonContext context{.file = name, .diagnostics = &diagnostics};
  const JsonNode root(document.json(), context);
  check_format(root);
  measured::File file;
  read_keys(root, file);
  SeriesBuilder out(into, name);
  out.device(file.device.name, 0);
  for (std::size_t i = 0; i < file.points.size(); ++i) {
    const Point& point = file.points[i];
    // Of one that lacks these nothing more can be said.
    if (!point.shape || !point.shape->is_object() || !(point.median_us > 0.0)) continue;
    const auto reader = std::find_if(kReaders.begin(), kReaders.end(),
                                     [&](const Reader& r) { return r.family == point.family; });
    const auto skip = [&] {
      ++into.skipped[fmt::format("the benchmark's family \"{}\"", point.family)];
    };
    if (reader == kReaders.end()) {
      skip();
      continue;
    }
    Fields fields(*point.shape);
    reader->read({point, static_cast<std::uint32_t>(i)}, fields, out);
    if (fields.aside()) skip();
  }
  diagnostics.throw_if_errors();
}

const KeyTable& measurement_keys() {
  return keys_of(static_cast<const measured::File*>(nullptr));
}

}  // namespace ridge::hw::calibrated
