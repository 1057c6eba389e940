#include "ridge/base/csv.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/lowercase.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/hwmodels/calibrated/kernel_facts.hpp"
#include "ridge/hwmodels/calibrated/measurement.hpp"
#include "routing_load.hpp"
#include "series_builder.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::hw::calibrated {

namespace {

constexpr std::size_t kMaxProblems = 20;  // told of one file

// One row of a file, cells by column name.
class Row {
 public:
  Row(const std::string& file, const std::vector<std::string>& columns, Diagnostics& diagnostics)
      : file_(file), columns_(columns), diagnostics_(diagnostics) {}

  // The cells must outlive the row's use.
  void assign(std::uint32_t line, std::vector<std::string_view> cells) {
    line_ = line;
    cells_ = std::move(cells);
    good_ = true;
  }

  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] std::uint32_t line() const { return line_; }
  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] bool has(std::string_view column) const {
    return std::find(columns_.begin(), columns_.end(), column) != columns_.end();
  }

  [[nodiscard]] std::string_view text(std::string_view column) const {
    const auto at = std::find(columns_.begin(), columns_.end(), column);
    RIDGE_INVARIANT(at != columns_.end(), "a column is asked for only where it is required");
    return cells_[static_cast<std::size_t>(at - columns_.begin())];
  }
  // A positive number; 1 and a problem where there is none.
  double positive(std::string_view column) { return number(column, false); }
  double at_least_zero(std::string_view column) { return number(column, true); }
  // A whole number of something, above 0 unless `least` is 0; a problem where there is none.
  std::int64_t count(std::string_view column, std::int64_t least) {
    constexpr double kMost = 1e9;
    const double value = number(column, least == 0);
    if (value == std::floor(value) && value <= kMost) return static_cast<std::int64_t>(value);
    problem(column,
            fmt::format("expected a whole number up to {:g}, got \"{}\"", kMost, text(column)));
    return least;
  }

  void problem(std::string_view column, std::string_view message) {
    good_ = false;
    if (diagnostics_.errors().size() < kMaxProblems) {
      diagnostics_.error(file_, fmt::format("line {}", line_),
                         fmt::format("{}: {}", column, message));
    }
  }

 private:
  double number(std::string_view column, bool zero_allowed) {
    const std::string_view cell = text(column);
    double value = 0.0;
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    const bool whole = error == std::errc{} && end == cell.data() + cell.size();
    if (whole && std::isfinite(value) && (value > 0.0 || (zero_allowed && value == 0.0))) {
      return value;
    }
    problem(column, fmt::format("expected a {} number, got \"{}\"",
                                zero_allowed ? "non-negative" : "positive", cell));
    return 1.0;
  }

  const std::string& file_;
  const std::vector<std::string>& columns_;
  Diagnostics& diagnostics_;
  std::uint32_t line_ = 0;
  std::vector<std::string_view> cells_;
  bool good_ = true;
};

// Nothing for a format that no curve is made of.
std::optional<Format> format_called(std::string_view cell) {
  if (cell == "bfloat16") return Format::bf16;
  if (cell == "fp8_e4m3") return Format::fp8;
  for (const auto& [name, format] : format_names()) {
    if (format != Format::any && cell == name) return format;
  }
  return std::nullopt;
}

// Of a cache: what attention kernels of it are fitted for.
std::optional<Format> cache_format(Row& row, SeriesBuilder& out) {
  const std::string_view cell = row.text("kv_dtype");
  const std::optional<Format> format = format_called(cell);
  if (format == Format::bf16 || format == Format::fp8) return format;
  out.set_aside(fmt::format("attention over a cache in \"{}\"", cell));
  return std::nullopt;
}

// The number format that a file without such a column has in its name: "gemm_fp8_block.csv".
std::optional<Format> format_of_name(std::string_view file) {
  const std::string_view name = file.substr(file.find_last_of('/') + 1);
  if (name.find("fp8_block") != std::string_view::npos) return Format::fp8_block;
  if (name.find("fp8") != std::string_view::npos) return Format::fp8;
  if (name.find("bf16") != std::string_view::npos ||
      name.find("bfloat16") != std::string_view::npos) {
    return Format::bf16;
  }
  return std::nullopt;
}

std::string kernel_of(Row& row) {
  return row.has("kernel") ? std::string(row.text("kernel")) : std::string();
}

void read_decode_attention(Row& row, SeriesBuilder& out) {
  const auto known = cache_format(row, out);
  if (!known) return;
  const Format format = *known;
  const double head_dim = row.positive("head_dim");
  DecodeAttentionForm::Shape shape{.sequences = row.positive("batch"),
                                   .context = row.positive("kv_len"),
                                   .query_rows = row.positive("heads"),
                                   .kv_heads = row.positive("kv_heads"),
                                   .qk_dim = head_dim,
                                   .v_dim = head_dim};
  shape.values_per_token = 2.0 * shape.kv_heads * head_dim;
  shape.bytes_per_value = bytes_of(format);
  const double us = row.positive("latency_us");
  if (shape.query_rows < shape.kv_heads) {
    row.problem("heads", fmt::format("{} query heads are fewer than {} KV heads", shape.query_rows,
                                     shape.kv_heads));
  }
  if (!row.good()) return;
  out.add({.family = Family::decode_attention,
           .format = format,
           .head_dim = static_cast<std::int64_t>(head_dim),
           .kernel = kernel_of(row)},
          shape, us, fmt::format("{}/{}", shape.query_rows, shape.kv_heads),
          fmt::format("{}", shape.sequences), row.line());
}

void read_latent_attention(Row& row, SeriesBuilder& out) {
  // The latent and rotary key of arXiv 2405.04434, which every public measurement has.
  const double latent = row.has("kv_rank") ? row.positive("kv_rank") : 512.0;
  const double rotary = row.has("rope_dim") ? row.positive("rope_dim") : 64.0;
  const auto known = cache_format(row, out);
  if (!known) return;
  const Format format = *known;
  const DecodeAttentionForm::Shape shape{.sequences = row.positive("batch"),
                                         .context = row.positive("kv_len"),
                                         .query_rows = row.positive("heads"),
                                         .kv_heads = 1.0,
                                         .qk_dim = latent + rotary,
                                         .v_dim = latent,
                                         .values_per_token = latent + rotary,
                                         .bytes_per_value = bytes_of(format)};
  const double us = row.positive("latency_us");
  if (!row.good()) return;
  out.add({.family = Family::latent_attention,
           .format = format,
           .head_dim = static_cast<std::int64_t>(shape.qk_dim),
           .kernel = kernel_of(row)},
          shape, us, fmt::format("{}", shape.query_rows), fmt::format("{}", shape.sequences),
          row.line());
}

void read_gemm(Row& row, SeriesBuilder& out) {
  Format format = Format::bf16;
  if (row.has("dtype")) {
    const auto known = format_called(row.text("dtype"));
    if (!known) return out.set_aside(fmt::format("products in \"{}\"", row.text("dtype")));
    format = *known;
  } else if (const auto named = format_of_name(row.file())) {
    format = *named;
  } else {
    row.problem("dtype", "there is no such column, and the file's name says no format either");
  }
  const GemmForm::Shape shape{.m = row.positive("m"),
                              .n = row.positive("n"),
                              .k = row.positive("k"),
                              .batch = 1.0,
                              .input_bytes = bytes_of(format),
                              .weight_bytes = weight_bytes_of(format)};
  const double us = row.positive("latency_us");
  if (!row.good()) return;
  out.add({.family = Family::gemm, .format = format, .kernel = kernel_of(row)}, shape, us,
          fmt::format("{}x{}", shape.n, shape.k), fmt::format("{}", shape.m), row.line());
}

void read_moe_layer(Row& row, SeriesBuilder& out) {
  static thread_local std::map<
      std::tuple<double, double, double, double, std::string, bool, ExpertGroups>, BusiestRank>
      known;
  const auto known_format = format_called(row.text("dtype"));
  if (!known_format) {
    return out.set_aside(fmt::format("layers of experts in \"{}\"", row.text("dtype")));
  }
  const Format format = *known_format;
  const double tokens = row.positive("tokens");
  const double hidden = row.positive("hidden");
  const double top_k = row.positive("top_k");
  const double experts = row.positive("experts");
  const double ep = row.positive("ep");
  const double whole_intermediate = row.positive("intermediate");
  const double intermediate = whole_intermediate / row.positive("tp");
  const double us = row.positive("latency_us");
  const std::string kernel = kernel_of(row);
  const MeasuredExperts layer{.kernel = kernel,
                              .hidden = hidden,
                              .experts = experts,
                              .top_k = top_k,
                              .intermediate = whole_intermediate};
  const ExpertGroups groups = groups_of_experts(layer, out.chip());
  const auto said = [&row](const char* column, auto&& known_of_it) {
    const std::string_view cell = row.has(column) ? row.text(column) : "";
    if (cell.empty()) return known_of_it();
    if (cell != "0" && cell != "1") {
      row.problem(column, fmt::format("expected 0 or 1, got \"{}\"", cell));
    }
    return cell == "1";
  };
  const bool gated = said("gated", [&] { return experts_have_gate(layer, out.chip()); });
  const bool folded = said("folded", [&] { return experts_are_folded(layer, out.chip()); });
  const std::optional<ExpertChoice> routing = expert_choice_of(row.text("routing"));
  if (!routing) {
    row.problem("routing", fmt::format("expected balanced, uniform or power_law_<exponent>, got "
                                       "\"{}\"",
                                       row.text("routing")));
  }
  if (row.good() && (ep > experts || top_k > experts)) {
    row.problem("experts",
                fmt::format("{} experts, but ep is {} and top_k is {}", experts, ep, top_k));
  }
  if (!row.good()) return;
  auto [load, fresh] = known.try_emplace(
      {tokens, top_k, experts, ep, std::string(row.text("routing")), folded, groups});
  if (fresh) load->second = busiest_rank(tokens, top_k, experts, ep, *routing, folded, groups);
  const GroupedGemmForm::Shape shape{.rows = load->second.rows,
                                     .routed_rows = load->second.tokens * top_k,
                                     .tokens = load->second.tokens,
                                     .experts = std::floor(experts / ep),
                                     .active_experts = load->second.active_experts,
                                     .n = (gated ? 2.0 : 1.0) * intermediate,
                                     .k = hidden,
                                     .n2 = hidden,
                                     .k2 = intermediate,
                                     .intermediate = intermediate,
                                     .input_bytes = bytes_of(format),
                                     .weight_bytes = weight_bytes_of(format),
                                     .profile = load->second.profile};
  out.add({.family = Family::moe_layer, .format = format, .kernel = kernel}, shape, us,
          fmt::format("{}x{} {} of {}", hidden, row.text("intermediate"), top_k, experts),
          fmt::format("{} {} {}", row.text("tp"), ep, tokens), row.line(),
          fmt::format("{} {} {}", row.text("tp"), ep, row.text("routing")));
}

void read_grouped_gemm(Row& row, SeriesBuilder& out) {
  Format format = Format::bf16;
  if (const auto named = format_of_name(row.file())) {
    format = *named;
  } else {
    row.problem("dtype", "there is no such column, and the file's name says no format either");
  }
  const double held = row.positive("local_experts");
  const double hidden = row.positive("hidden");
  const double intermediate = row.positive("intermediate");
  GroupedGemmForm::Shape shape{.rows = held * row.positive("tokens_per_expert"),
                               .experts = held,
                               .active_experts = held,
                               .n = 2.0 * intermediate,
                               .k = hidden,
                               .input_bytes = bytes_of(format),
                               .weight_bytes = bytes_of(format),
                               .profile = {}};
  shape.routed_rows = shape.tokens = shape.rows;  // sorted already: each row by itself
  const double gate_up = row.positive("gate_up_us");
  const double down = row.positive("down_us");
  if (!row.good()) return;
  const CurveKey key{.family = Family::grouped_gemm, .format = format, .kernel = kernel_of(row)};
  const auto add = [&](double us) {
    out.add(key, shape, us, fmt::format("{} of {}x{}", held, shape.n, shape.k),
            fmt::format("{}", shape.rows), row.line());
  };
  add(gate_up);
  shape.n = hidden;
  shape.k = intermediate;
  add(down);
}

void add_collective(Row& row, SeriesBuilder& out, Family family, double gpus, double bytes) {
  const double share = (family == Family::all_reduce ? 2.0 : 1.0) * (gpus - 1.0) / gpus;
  const CollectiveForm::Shape shape{.ranks = gpus, .wire_MB = 1e-6 * share * bytes};
  const double us = row.positive("latency_us");
  if (row.good() && gpus < 2.0) row.problem("gpus", "a collective has at least 2");
  if (!row.good()) return;
  out.add({.family = family, .kernel = kernel_of(row)}, shape, us,
          fmt::format("{} {}", shape.ranks, shape.wire_MB), "", row.line());
}

void read_collective(Row& row, SeriesBuilder& out) {
  constexpr std::array<Named<Family>, 5> kNames = {{{"all_reduce", Family::all_reduce},
                                                    {"all_gather", Family::all_gather},
                                                    {"reduce_scatter", Family::reduce_scatter},
                                                    {"alltoall", Family::all_to_all},
                                                    {"all_to_all", Family::all_to_all}}};
  const std::string_view name = row.text("collective");
  const auto found =
      std::find_if(kNames.begin(), kNames.end(), [&](const auto& n) { return n.name == name; });
  if (found == kNames.end()) {
    row.problem("collective", fmt::format("expected all_reduce, all_gather, reduce_scatter or "
                                          "alltoall, got \"{}\"",
                                          name));
    return;
  }
  constexpr double kElementBytes = 2.0;
  add_collective(row, out, found->value, row.positive("gpus"),
                 kElementBytes * row.positive("elements_2_bytes_each"));
}

// Engines' own all-reduces. What decode replays is a graph; a launch from the host is left aside.
void read_all_reduce(Row& row, SeriesBuilder& out) {
  if (row.text("kernel").ends_with("_eager")) {
    return out.set_aside("all-reduces launched without a CUDA graph");
  }
  add_collective(row, out, Family::all_reduce, row.positive("gpus"), row.positive("bytes"));
}

void read_expert_exchange(Row& row, SeriesBuilder& out) {
  constexpr double kRanks = 8.0;
  const double hidden = row.positive("hidden");
  const double nodes = row.positive("nodes_of_8");
  ExpertExchangeForm::Shape shape{.servers = std::max(nodes, 1.0),
                                  .ranks_per_server = kRanks * std::min(nodes, 1.0),
                                  .tokens = row.positive("tokens_per_gpu"),
                                  .top_k = row.positive("top_k"),
                                  .experts = row.positive("experts")};
  shape.ranks_reached = ExpertExchangeForm::ranks_reached_at_random(kRanks * nodes, shape.top_k);
  const double dispatch = row.positive("dispatch_us");
  const double combine = row.positive("combine_us");
  if (!row.good()) return;
  const std::string group = fmt::format("{} {} {} {}", nodes, hidden, shape.top_k, shape.experts);
  const std::string batch = fmt::format("{}", shape.tokens);
  const std::string kernel = kernel_of(row);
  // Dispatch sends FP8 with one FP32 scale per 128 values, combine BF16.
  shape.bytes_per_token = hidden * (1.0 + 4.0 / 128.0);
  out.add({.family = Family::expert_dispatch, .kernel = kernel}, shape, dispatch, group, batch,
          row.line());
  shape.bytes_per_token = hidden * 2.0;
  out.add({.family = Family::expert_combine, .kernel = kernel}, shape, combine, group, batch,
          row.line());
}

// Dispatch and combine by library. Within one NVLink domain all ranks are of one server.
void read_all_to_all(Row& row, SeriesBuilder& out) {
  const std::string_view phase = row.text("phase");
  const std::string kernel = kernel_of(row);
  if (phase != "dispatch" && phase != "combine") {
    return out.set_aside(fmt::format("the phase \"{}\" of an exchange with experts", phase));
  }
  if (kernel.ends_with("_ht")) {
    return out.set_aside("exchanges with experts by kernels for prefill");
  }
  // Where a row does not say: dispatch FP8, combine BF16, as low-latency kernels do by default.
  const std::string_view dtype = row.text("dtype");
  const bool dispatch = phase == "dispatch";
  // Of a combine the column says what the experts computed in: rows of "fp8" and "nvfp4" take as
  // long as those of "bfloat16" (docs/calibration.md). One that sends few bits itself is "fp4".
  const bool back_in_full = !dispatch && (dtype == "fp8" || dtype == "nvfp4");
  const std::string_view travels = back_in_full ? "bfloat16" : dtype;
  double bytes = dispatch ? 1.0 + 4.0 / 128.0 : 2.0;
  if (travels == "bfloat16") {
    bytes = 2.0;
  } else if (travels == "fp8") {
    bytes = 1.0 + 4.0 / 128.0;
  } else if (travels == "nvfp4" || travels == "fp4") {
    bytes = bytes_of(Format::nvfp4);
  } else if (!travels.empty()) {
    return out.set_aside(fmt::format("exchanges with experts in \"{}\"", dtype));
  }
  const double gpus = row.positive("gpus");
  const bool one_domain = kernel.find("NVLink") != std::string::npos;
  const double servers = one_domain ? 1.0 : row.positive("nodes");
  const double hidden = row.positive("hidden");
  ExpertExchangeForm::Shape shape{.servers = servers,
                                  .ranks_per_server = gpus / servers,
                                  .tokens = row.positive("tokens_per_gpu"),
                                  .top_k = row.positive("top_k"),
                                  .experts = row.positive("experts"),
                                  .bytes_per_token = hidden * bytes};
  // These were measured with balanced routing.
  shape.ranks_reached = one_domain ? std::min(gpus, shape.top_k)
                                   : ExpertExchangeForm::ranks_reached_at_random(gpus, shape.top_k);
  const double us = row.positive("latency_us");
  if (!row.good()) return;
  out.add({.family = dispatch ? Family::expert_dispatch : Family::expert_combine, .kernel = kernel},
          shape, us,
          fmt::format("{} {} {} {} {}", gpus, hidden, shape.top_k, shape.experts, travels),
          fmt::format("{}", shape.tokens), row.line());
}

void add_attention(const CurveKey& key, const DecodeAttentionForm::Shape& shape, Row& row,
                   SeriesBuilder& out) {
  const double us = row.positive("latency_us");
  if (!row.good()) return;
  if (made_for_prompts(key.kernel)) {
    return out.set_aside(
        fmt::format("\"{}\" by {}, a kernel for prompts", row.text("part"), key.kernel));
  }
  out.add(key, shape, us, fmt::format("{}", shape.query_rows), fmt::format("{}", shape.sequences),
          row.line());
}

void add_index_scores(Row& row, SeriesBuilder& out, double keys) {
  const auto format = cache_format(row, out);
  if (!format) return;
  const double dim = row.positive("index_dim");
  add_attention({.family = Family::index_scores,
                 .format = *format,
                 .head_dim = static_cast<std::int64_t>(dim),
                 .kernel = kernel_of(row)},
                {.sequences = row.positive("batch"),
                 .context = keys,
                 .query_rows = row.positive("index_heads"),
                 .kv_heads = 1.0,
                 .qk_dim = dim,
                 .v_dim = 0.0,
                 .values_per_token = dim,
                 .bytes_per_value = bytes_of(*format)},
                row, out);
}

// FP32 scores read, indices of 4 bytes written, as models::TopK counts them. Scores that are all
// equal are the worst case of a kernel, not what a model asks of it.
void add_top_k(Row& row, SeriesBuilder& out, double candidates) {
  if (row.text("scores") == "flat") return out.set_aside("top-k of scores that are all equal");
  const double rows = row.positive("batch");
  const double bytes = 4.0 * rows * (candidates + std::min(candidates, row.positive("top_k")));
  const double us = row.positive("latency_us");
  if (!row.good()) return;
  out.add({.family = Family::top_k, .kernel = kernel_of(row)},
          ElementwiseForm::Shape{.MB = 1e-6 * bytes}, us, fmt::format("{} {}", rows, candidates),
          "", row.line());
}

// Which of these a part is.
std::optional<MeasuredModule::Kind> module_of(std::string_view part,
                                              std::initializer_list<MeasuredModule::Kind> kinds) {
  for (const MeasuredModule::Kind kind : kinds) {
    if (part == name_of(kind)) return kind;
  }
  return std::nullopt;
}

// A whole module, whose dimensions stand in these columns.
void add_module(
    Row& row, SeriesBuilder& out, MeasuredModule::Kind kind,
    std::initializer_list<std::pair<std::string_view, std::int64_t MeasuredModule::Dimensions::*>>
        columns) {
  MeasuredModule module{.kind = kind, .kernel = kernel_of(row)};
  for (const std::string_view column : {"model", "gemm_dtype", "kv_dtype"}) {
    if (!row.has(column) || row.text(column).empty()) {
      return out.set_aside(
          fmt::format("whole modules of {} without \"{}\"", module.kernel, column));
    }
  }
  module.model = row.text("model");
  const auto products = format_called(row.text("gemm_dtype"));
  if (!products) {
    return out.set_aside(
        fmt::format("whole modules with products in \"{}\"", row.text("gemm_dtype")));
  }
  module.products = *products;
  const auto cache = cache_format(row, out);
  if (!cache) return;
  module.cache = *cache;
  module.dimensions.heads = row.count("heads", 1);
  for (const auto& [column, dimension] : columns) {
    module.dimensions.*dimension = row.count(column, 0);
  }
  module.batch = row.positive("batch");
  module.kv_len = row.positive("kv_len");
  module.us = row.positive("latency_us");
  if (!row.good()) return;
  out.module(std::move(module), row.line());
}

// DeepSeek sparse attention: its parts, and whole modules.
void read_sparse_attention(Row& row, SeriesBuilder& out) {
  using D = MeasuredModule::Dimensions;
  using Kind = MeasuredModule::Kind;
  const std::string_view part = row.text("part");
  if (const auto module = module_of(part, {Kind::sparse_latent, Kind::sparse_latent_reusing})) {
    return add_module(
        row, out, *module,
        {{"index_heads", &D::index_heads}, {"index_dim", &D::index_dim}, {"top_k", &D::top_k}});
  }
  if (part == "index_logits") return add_index_scores(row, out, row.positive("kv_len"));
  if (part == "top_k") return add_top_k(row, out, row.positive("kv_len"));
  if (part != "attention") {
    return out.set_aside(fmt::format("sparse attention's part \"{}\"", part));
  }
  const auto format = cache_format(row, out);
  if (!format) return;
  constexpr double kLatent = 512.0;
  constexpr double kRotary = 64.0;
  add_attention({.family = Family::sparse_latent_attention,
                 .format = *format,
                 .head_dim = static_cast<std::int64_t>(kLatent + kRotary),
                 .kernel = kernel_of(row)},
                {.sequences = row.positive("batch"),
                 .context = std::min(row.positive("kv_len"), row.positive("top_k")),
                 .query_rows = row.positive("heads"),
                 .kv_heads = 1.0,
                 .qk_dim = kLatent + kRotary,
                 .v_dim = kLatent,
                 .values_per_token = kLatent + kRotary,
                 .bytes_per_value = bytes_of(*format)},
                row, out);
}

void read_compressed_attention(Row& row, SeriesBuilder& out) {
  using D = MeasuredModule::Dimensions;
  using Kind = MeasuredModule::Kind;
  const std::string_view part = row.text("part");
  if (row.text("cache_shared") == "1") {
    return out.set_aside("compressed attention over one cache that all sequences share");
  }
  if (const auto module = module_of(part, {Kind::compressed_sparse, Kind::compressed})) {
    return add_module(row, out, *module,
                      {{"index_heads", &D::index_heads},
                       {"index_dim", &D::index_dim},
                       {"top_k", &D::top_k},
                       {"ratio", &D::ratio},
                       {"window", &D::window}});
  }
  const double keys = std::floor(row.positive("kv_len") / row.positive("ratio"));
  if (part == "index_logits") return add_index_scores(row, out, std::max(keys, 1.0));
  if (part == "top_k") return add_top_k(row, out, std::max(keys, 1.0));
  if (part != "hca_attention") {
    return out.set_aside(fmt::format("compressed attention's part \"{}\"", part));
  }
  const auto format = cache_format(row, out);
  if (!format) return;
  constexpr double kHead = 512.0;  // one KV head, whose key is its value
  add_attention({.family = Family::compressed_attention,
                 .format = *format,
                 .head_dim = static_cast<std::int64_t>(kHead),
                 .kernel = kernel_of(row)},
                {.sequences = row.positive("batch"),
                 .context = std::min(row.positive("kv_len"), row.positive("window")) + keys,
                 .query_rows = row.positive("heads"),
                 .kv_heads = 1.0,
                 .qk_dim = kHead,
                 .v_dim = kHead,
                 .values_per_token = kHead,
                 .bytes_per_value = bytes_of(*format)},
                row, out);
}

// The recurrence: the state of every sequence read and written once.
void read_linear_attention(Row& row, SeriesBuilder& out) {
  const std::string_view kind = row.text("kind");
  const std::string_view op = row.text("op");
  if (op != "state" || (kind != "gdn" && kind != "kda")) {
    return out.set_aside(fmt::format("linear attention's operator \"{}\" of {}", op, kind));
  }
  if (row.positive("tokens_per_sequence") != 1.0) {
    return out.set_aside("linear attention over several tokens of a sequence");
  }
  const double bytes = row.text("state_dtype") == "bfloat16" ? 2.0 : 4.0;
  const double state =
      row.positive("v_heads") * row.positive("k_dim") * row.positive("v_dim") * bytes;
  const double MB = 2e-6 * row.positive("batch") * state;
  const double us = row.positive("latency_us");
  if (!row.good()) return;
  out.add({.family = kind == "gdn" ? Family::gated_delta_state : Family::kimi_delta_state,
           .kernel = kernel_of(row)},
          ElementwiseForm::Shape{.MB = MB}, us, fmt::format("{}", state), fmt::format("{}", MB),
          row.line());
}

void read_block_sparse_attention(Row& row, SeriesBuilder& out) {
  using D = MeasuredModule::Dimensions;
  add_module(row, out, MeasuredModule::Kind::block_sparse,
             {{"kv_heads", &D::kv_heads},
              {"head_dim", &D::head_dim},
              {"index_heads", &D::index_heads},
              {"index_dim", &D::index_dim},
              {"block", &D::block},
              {"top_blocks", &D::top_k}});
}

// Kernels made of operators that are timed one by one.
void read_whole(Row& row, SeriesBuilder& out) {
  out.set_aside(fmt::format("whole modules of {}", row.text("kernel")));
}

// Kernels of four residual streams: what they do beside reading and writing is not what
// element-wise operators do.
void read_residual_streams(Row& row, SeriesBuilder& out) {
  out.set_aside(fmt::format("the operator \"{}\" of residual streams", row.text("op")));
}

void read_elementwise(Row& row, SeriesBuilder& out) {
  const double bytes = row.at_least_zero("bytes_read") + row.at_least_zero("bytes_written");
  const double us = row.positive("latency_us");
  if (row.good() && bytes <= 0.0) row.problem("bytes_read", "nothing is read or written");
  if (!row.good()) return;
  out.add({.family = Family::elementwise, .kernel = kernel_of(row)},
          ElementwiseForm::Shape{.MB = 1e-6 * bytes}, us, fmt::format("{}", bytes), "", row.line());
}

struct Kind {
  std::string_view what;
  std::vector<std::string> required;
  std::vector<std::string> optional;
  void (*read)(Row&, SeriesBuilder&);
};

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> kKinds = {
      {"decode attention",
       {"batch", "kv_len", "heads", "kv_heads", "head_dim", "kv_dtype", "latency_us"},
       {"kernel", "device"},
       read_decode_attention},
      {"MLA decode",
       {"kv_dtype", "heads", "batch", "kv_len", "latency_us"},
       {"kernel", "device", "kv_rank", "rope_dim"},
       read_latent_attention},
      {"GEMM", {"m", "n", "k", "latency_us"}, {"dtype", "kernel", "device"}, read_gemm},
      {"MoE layer",
       {"dtype", "tokens", "hidden", "intermediate", "top_k", "experts", "tp", "ep", "routing",
        "latency_us"},
       {"kernel", "gated", "folded", "device"},
       read_moe_layer},
      {"grouped GEMM",
       {"local_experts", "hidden", "intermediate", "tokens_per_expert", "gate_up_us", "down_us"},
       {"gpus", "experts", "top_k", "tokens_per_gpu", "kernel", "device"},
       read_grouped_gemm},
      {"collective",
       {"collective", "gpus", "elements_2_bytes_each", "latency_us"},
       {"kernel", "device"},
       read_collective},
      {"all-reduce",
       {"kernel", "gpus", "bytes", "dtype", "latency_us"},
       {"device"},
       read_all_reduce},
      {"exchange with experts",
       {"kernel", "phase", "dtype", "gpus", "nodes", "hidden", "top_k", "experts", "tokens_per_gpu",
        "latency_us"},
       {"device"},
       read_all_to_all},
      {"sparse attention",
       {"kernel", "part", "kv_dtype", "heads", "index_heads", "index_dim", "top_k", "batch",
        "kv_len", "scores", "latency_us"},
       {"model", "gemm_dtype", "device"},
       read_sparse_attention},
      {"compressed attention",
       {"kernel", "part", "ratio", "kv_dtype", "heads", "index_heads", "index_dim", "top_k",
        "window", "batch", "kv_len", "cache_shared", "scores", "latency_us"},
       {"model", "gemm_dtype", "device"},
       read_compressed_attention},
      {"block-sparse attention",
       {"kernel", "model", "kv_dtype", "gemm_dtype", "heads", "kv_heads", "head_dim", "index_heads",
        "index_dim", "block", "top_blocks", "batch", "kv_len", "latency_us"},
       {"device"},
       read_block_sparse_attention},
      {"linear attention",
       {"kernel", "kind", "op", "batch", "tokens_per_sequence", "v_heads", "k_dim", "v_dim",
        "state_dtype", "latency_us"},
       {"k_heads", "conv_width", "device"},
       read_linear_attention},
      {"fused exchange and layer of experts",
       {"kernel", "dtype", "tokens_per_gpu", "hidden", "intermediate", "top_k", "experts",
        "shared_experts_fused", "gpus", "routing", "tokens_from", "latency_us"},
       {"device"},
       read_whole},
      {"residual streams",
       {"kernel", "op", "calls", "tokens", "hidden", "copies", "sinkhorn_iterations", "bytes_read",
        "bytes_written", "latency_us"},
       {"device"},
       read_residual_streams},
      {"expert dispatch and combine",
       {"nodes_of_8", "hidden", "tokens_per_gpu", "top_k", "experts", "dispatch_us", "combine_us"},
       {"kernel", "device"},
       read_expert_exchange},
      {"element-wise",
       {"bytes_read", "bytes_written", "latency_us"},
       {"kernel", "device"},
       read_elementwise},
  };
  return kKinds;
}

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The kind whose columns these are. Throws with the nearest kind's missing and unknown columns.
const Kind& kind_of(const std::vector<std::string>& columns, const std::string& file) {
  const Kind* nearest = nullptr;
  std::vector<std::string> missing;
  std::vector<std::string> unknown;
  for (const Kind& kind : kinds()) {
    std::vector<std::string> lacks;
    std::vector<std::string> strange;
    for (const std::string& name : kind.required) {
      if (!holds(columns, name)) lacks.push_back(name);
    }
    for (const std::string& name : columns) {
      if (!holds(kind.required, name) && !holds(kind.optional, name)) strange.push_back(name);
    }
    if (lacks.empty() && strange.empty()) return kind;
    if (nearest == nullptr || lacks.size() + strange.size() < missing.size() + unknown.size()) {
      nearest = &kind;
      missing = lacks;
      unknown = strange;
    }
  }
  std::string message =
      fmt::format("{}: line 1: these are not the columns of any measurement; nearest to {}", file,
                  nearest->what);
  if (!missing.empty()) message += fmt::format(", missing {}", fmt::join(missing, ", "));
  if (!unknown.empty()) message += fmt::format(", unknown {}", fmt::join(unknown, ", "));
  throw UserError(message);
}

// A row of the tables that aiconfigurator and aisimulate collect, as one of the columns above:
// renamed, milliseconds to microseconds, the kernel behind its framework, and of decode attention
// the cache's length where they have what stood in it before and which step it is.
class CollectorsRow {
 public:
  [[nodiscard]] static bool has(const std::vector<std::string>& columns) {
    return holds(columns, "kernel_source") && holds(columns, "latency");
  }

  explicit CollectorsRow(std::vector<std::string> columns) : native_(std::move(columns)) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 19> kNames = {
        {{"device", "device"},
         {"gemm_dtype", "dtype"},
         {"m", "m"},
         {"n", "n"},
         {"k", "k"},
         {"moe_dtype", "dtype"},
         {"num_tokens", "tokens"},
         {"hidden_size", "hidden"},
         {"inter_size", "intermediate"},
         {"topk", "top_k"},
         {"num_experts", "experts"},
         {"moe_tp_size", "tp"},
         {"moe_ep_size", "ep"},
         {"distribution", "routing"},
         {"batch_size", "batch"},
         {"num_heads", "heads"},
         {"num_key_value_heads", "kv_heads"},
         {"head_dim", "head_dim"},
         {"kv_cache_dtype", "kv_dtype"}}};
    // Read below, or of no effect on what one launch takes.
    constexpr std::array<std::string_view, 12> kOther = {
        "framework", "version",     "op_name",    "kernel_source", "latency", "isl",
        "step",      "window_size", "beam_width", "attn_dtype",    "power",   "power_limit"};
    for (std::size_t i = 0; i < native_.size(); ++i) {
      const std::string& native = native_[i];
      if (std::find(kOther.begin(), kOther.end(), native) != kOther.end()) continue;
      const auto known = std::find_if(kNames.begin(), kNames.end(),
                                      [&](const auto& names) { return names.first == native; });
      taken_.push_back(i);
      columns_.emplace_back(known == kNames.end() ? std::string_view(native) : known->second);
    }
    columns_.emplace_back("kernel");
    columns_.emplace_back("latency_us");
    if (holds(native_, "isl") && holds(native_, "step")) columns_.emplace_back("kv_len");
  }

  [[nodiscard]] const std::vector<std::string>& columns() const { return columns_; }

  // What the row is of, if that is no decode operator: empty if it is one.
  template <typename Cells>
  [[nodiscard]] std::string aside(const Cells& cells) const {
    if (holds(native_, "op_name") && cells[at("op_name")].starts_with("context")) {
      return std::string(cells[at("op_name")]);
    }
    if (holds(native_, "window_size") && cells[at("window_size")] != "0") {
      return "attention over a window";
    }
    return {};
  }

  // The cells by columns(); they last until the next call.
  template <typename Cells>
  const std::vector<std::string_view>& translate(const Cells& cells) {
    kernel_ = cells[at("kernel_source")];
    if (holds(native_, "framework")) {
      kernel_ = lowercase(cells[at("framework")]) + ':' + kernel_;
    }
    // What is no number is left as it stands, for the reader to complain of.
    const auto number = [](std::string_view cell) -> std::optional<double> {
      double value = 0.0;
      const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
      if (error != std::errc{} || end != cell.data() + cell.size()) return std::nullopt;
      return value;
    };
    const std::string_view ms = cells[at("latency")];
    const auto latency = number(ms);
    latency_us_ = latency ? fmt::format("{}", 1e3 * *latency) : std::string(ms);
    cells_.clear();
    for (const std::size_t i : taken_) cells_.push_back(cells[i]);
    cells_.push_back(kernel_);
    cells_.push_back(latency_us_);
    if (columns_.back() == "kv_len") {
      const std::string_view before = cells[at("isl")];
      const std::string_view step = cells[at("step")];
      const auto tokens = number(before);
      const auto steps = number(step);
      kv_len_ = tokens && steps ? fmt::format("{}", *tokens + *steps)
                                : std::string(tokens ? step : before);
      cells_.push_back(kv_len_);
    }
    return cells_;
  }

 private:
  [[nodiscard]] std::size_t at(std::string_view name) const {
    return static_cast<std::size_t>(std::find(native_.begin(), native_.end(), name) -
                                    native_.begin());
  }

  std::vector<std::string> native_;
  std::vector<std::string> columns_;
  std::vector<std::size_t> taken_;
  std::vector<std::string_view> cells_;
  std::string kernel_;
  std::string latency_us_;
  std::string kv_len_;
};

}  // namespace

void read_measurement_csv(std::string_view text, const std::string& name, MeasurementSet& into) {
  SeriesBuilder out(into, name);
  Diagnostics diagnostics;
  std::vector<std::string> columns;
  std::optional<CollectorsRow> collectors;
  std::size_t width = 0;
  const Kind* kind = nullptr;
  Row row(name, columns, diagnostics);
  std::size_t measurements = 0;
  CsvReader reader(text, name);
  while (reader.next()) {
    const auto cells = reader.cells();
    const auto line = static_cast<std::uint32_t>(reader.line());
    if (kind == nullptr) {
      columns.assign(cells.begin(), cells.end());
      width = columns.size();
      if (CollectorsRow::has(columns)) columns = collectors.emplace(columns).columns();
      kind = &kind_of(columns, name);
      continue;
    }
    if (cells.size() != width) {
      throw UserError(
          fmt::format("{}: line {}: {} cells under {} columns", name, line, cells.size(), width));
    }
    ++measurements;
    if (collectors) {
      if (const std::string other = collectors->aside(cells); !other.empty()) {
        out.set_aside(other);
        continue;
      }
      row.assign(line, collectors->translate(cells));
    } else {
      row.assign(line, {cells.begin(), cells.end()});
    }
    if (row.has("device")) out.device(std::string(row.text("device")), line);
    kind->read(row, out);
  }
  if (kind == nullptr) throw UserError(fmt::format("{}: the file is empty", name));

  diagnostics.throw_if_errors();
  if (measurements == 0) throw UserError(fmt::format("{}: no measurements under the header", name));
}

}  // namespace ridge::hw::calibrated
