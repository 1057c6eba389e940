#include "ridge/base/error.hpp"
#include "ridge/base/json.hpp"
#include "ridge/hwmodels/calibrated/measurement.hpp"
#include "routing_load.hpp"
#include "series_builder.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ridge::hw::calibrated {

namespace {

constexpr std::string_view kFormatName = "ridge-measurement";
constexpr std::int64_t kFormatVersion = 1;

struct Point {
  std::string family;
  std::string kernel;
  double bytes_read = 0;
  double bytes_written = 0;
  double median_us = 0;
  std::uint32_t index = 0;
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

void read_attention(const Point& point, Fields& f, SeriesBuilder& out) {
  const Format format = f.format("kv_dtype");
  const double head_dim = f.positive_number("head_dim");
  DecodeAttentionForm::Shape shape{.sequences = f.positive_number("batch"),
                                   .context = f.positive_number("context_tokens"),
                                   .query_rows = f.positive_number("query_heads"),
                                   .kv_heads = f.positive_number("kv_heads"),
                                   .qk_dim = head_dim,
                                   .v_dim = head_dim,
                                   .bytes_per_value = bytes_of(format)};
  if (!f.ok()) return;
  shape.values_per_token = 2.0 * shape.kv_heads * head_dim;
  out.add({.family = Family::decode_attention,
           .format = format,
           .head_dim = static_cast<std::int64_t>(head_dim),
           .kernel = point.kernel},
          shape, point.median_us, fmt::format("{}/{}", shape.query_rows, shape.kv_heads),
          fmt::format("{}", shape.sequences), point.index);
}

void read_latent_attention(const Point& point, Fields& f, SeriesBuilder& out) {
  const Format format = f.format("kv_dtype");
  const double latent = f.positive_number("kv_rank");
  const double key = latent + f.positive_number("rope_dim");
  const DecodeAttentionForm::Shape shape{.sequences = f.positive_number("batch"),
                                         .context = f.positive_number("context_tokens"),
                                         .query_rows = f.positive_number("query_heads"),
                                         .kv_heads = 1.0,
                                         .qk_dim = key,
                                         .v_dim = latent,
                                         .values_per_token = key,
                                         .bytes_per_value = bytes_of(format)};
  if (!f.ok()) return;
  out.add({.family = Family::latent_attention,
           .format = format,
           .head_dim = static_cast<std::int64_t>(key),
           .kernel = point.kernel},
          shape, point.median_us, fmt::format("{}", shape.query_rows),
          fmt::format("{}", shape.sequences), point.index);
}

void read_dense_gemm(const Point& point, Fields& f, SeriesBuilder& out) {
  const Format format = f.format("dtype");
  const GemmForm::Shape shape{.m = f.positive_number("m"),
                              .n = f.positive_number("n"),
                              .k = f.positive_number("k"),
                              .batch = 1.0,
                              .input_bytes = bytes_of(format),
                              .weight_bytes = weight_bytes_of(format)};
  if (!f.ok()) return;
  out.add({.family = Family::gemm, .format = format, .kernel = point.kernel}, shape,
          point.median_us, fmt::format("{}x{}", shape.n, shape.k), fmt::format("{}", shape.m),
          point.index);
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
                 .experts = held + shared,
                 .active_experts = load.active_experts + shared,
                 .input_bytes = 1.0,
                 .weight_bytes = 1.0,
                 .profile = load.profile};
  point.group =
      fmt::format("{}x{} {} of {} + {}", point.hidden, point.intermediate, top_k, experts, shared);
  point.batch = fmt::format("{} {}", held, tokens);
  return point;
}

void read_moe_layer(const Point& point, Fields& f, SeriesBuilder& out) {
  std::optional<MoePoint> moe = moe_point(f);
  if (!moe) return;
  moe->shape.n = 2.0 * moe->intermediate;
  moe->shape.k = moe->hidden;
  moe->shape.n2 = moe->hidden;
  moe->shape.k2 = moe->intermediate;
  out.add({.family = Family::moe_layer, .format = Format::fp8_block, .kernel = point.kernel},
          moe->shape, point.median_us, moe->group, moe->batch, point.index);
}

void read_grouped_gemm(const Point& point, Fields& f, SeriesBuilder& out) {
  const std::string projection = f.word("projection");
  std::optional<MoePoint> moe = moe_point(f);
  if (!moe) return;
  const bool up = projection == "gate_up";
  if (!up && projection != "down") return f.error("projection", "gate_up or down");
  moe->shape.n = up ? 2.0 * moe->intermediate : moe->hidden;
  moe->shape.k = up ? moe->hidden : moe->intermediate;
  out.add({.family = Family::grouped_gemm, .format = Format::fp8_block, .kernel = point.kernel},
          moe->shape, point.median_us, moe->group + ' ' + projection, moe->batch, point.index);
}

void read_stream(const Point& point, Fields& /*f*/, SeriesBuilder& out) {
  const double bytes = point.bytes_read + point.bytes_written;
  out.add({.family = Family::elementwise, .kernel = point.kernel},
          ElementwiseForm::Shape{.MB = 1e-6 * bytes}, point.median_us, fmt::format("{}", bytes), "",
          point.index);
}

struct Reader {
  std::string_view family;
  void (*read)(const Point&, Fields&, SeriesBuilder&);
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
  SeriesBuilder out(into, name);
  {
    JsonObject object(root);
    object.ignore("format");
    // How it was measured; the curves do not depend on it.
    for (const std::string_view key : {"$schema", "tool", "command", "date_utc", "software",
                                       "clocks", "timing", "checks", "not_measured"}) {
      object.ignore(key);
    }
    std::int64_t version = 0;
    if (object.required("format_version", version) && version != kFormatVersion) {
      root.child("format_version").expected(fmt::format("{}", kFormatVersion));
    }
    if (const auto device = object.required("device")) {
      std::string device_name;
      if (device->is_object() && device->json().contains("name") &&
          device->child("name").read(device_name)) {
        out.device(device_name, 0);
      } else {
        device->error("expected an object with a \"name\"");
      }
    }
    if (const auto points = object.required("points")) {
      std::uint32_t index = 0;
      for (const JsonNode& node : points->elements()) {
        Point point;
        point.index = index++;
        JsonObject fields(node);
        for (const std::string_view key :
             {"flop", "p10_us", "p90_us", "samples", "sm_MHz", "memory_MHz"}) {
          fields.ignore(key);
        }
        bool good = fields.required("family", point.family);
        good = fields.required("kernel", point.kernel) && good;
        good = fields.required("bytes_read", point.bytes_read, at_least(0)) && good;
        good = fields.required("bytes_written", point.bytes_written, at_least(0)) && good;
        good = fields.required("median_us", point.median_us, positive()) && good;
        const auto shape = fields.required("shape");
        if (!good || !shape) continue;
        const auto reader = std::find_if(kReaders.begin(), kReaders.end(),
                                         [&](const Reader& r) { return r.family == point.family; });
        if (reader == kReaders.end()) {
          ++into.skipped[fmt::format("the benchmark's family \"{}\"", point.family)];
          continue;
        }
        Fields shape_fields(*shape);
        reader->read(point, shape_fields, out);
        if (shape_fields.aside())
          ++into.skipped[fmt::format("the benchmark's family \"{}\"", point.family)];
      }
    }
  }
  diagnostics.throw_if_errors();
}

}  // namespace ridge::hw::calibrated
