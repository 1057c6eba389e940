#include "ridge/base/csv.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/hwmodels/calibrated/measurement.hpp"
#include "routing_load.hpp"
#include "series_builder.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <optional>
#include <tuple>

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

Format read_format(Row& row, std::string_view column, std::string_view cell) {
  if (cell == "bf16" || cell == "bfloat16") return Format::bf16;
  if (cell == "fp8" || cell == "fp8_e4m3") return Format::fp8;
  if (cell == "fp8_block") return Format::fp8_block;
  row.problem(column, fmt::format("expected bf16, bfloat16, fp8 or fp8_block, got \"{}\"", cell));
  return Format::bf16;
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
  const Format format = read_format(row, "kv_dtype", row.text("kv_dtype"));
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
  const Format format = read_format(row, "kv_dtype", row.text("kv_dtype"));
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
    format = read_format(row, "dtype", row.text("dtype"));
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
                              .weight_bytes = bytes_of(format)};
  const double us = row.positive("latency_us");
  if (!row.good()) return;
  out.add({.family = Family::gemm, .format = format, .kernel = kernel_of(row)}, shape, us,
          fmt::format("{}x{}", shape.n, shape.k), fmt::format("{}", shape.m), row.line());
}

void read_moe_layer(Row& row, SeriesBuilder& out) {
  static thread_local std::map<std::tuple<double, double, double, double, std::string>, RankLoad>
      known;
  const Format format = read_format(row, "dtype", row.text("dtype"));
  const double tokens = row.positive("tokens");
  const double hidden = row.positive("hidden");
  const double top_k = row.positive("top_k");
  const double experts = row.positive("experts");
  const double ep = row.positive("ep");
  const double intermediate = row.positive("intermediate") / row.positive("tp");
  const double us = row.positive("latency_us");
  const std::optional<Routing> routing = routing_of(row.text("routing"));
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
  auto [load, fresh] =
      known.try_emplace({tokens, top_k, experts, ep, std::string(row.text("routing"))});
  if (fresh) load->second = rank_load(tokens, top_k, experts, ep, *routing);
  const GroupedGemmForm::Shape shape{.rows = load->second.rows,
                                     .routed_rows = tokens * top_k,
                                     .experts = std::floor(experts / ep),
                                     .active_experts = load->second.active_experts,
                                     .n = 2.0 * intermediate,
                                     .k = hidden,
                                     .n2 = hidden,
                                     .k2 = intermediate,
                                     .input_bytes = bytes_of(format),
                                     .weight_bytes = bytes_of(format),
                                     .profile = load->second.profile};
  out.add({.family = Family::moe_layer, .format = format, .kernel = kernel_of(row)}, shape, us,
          fmt::format("{}x{} {} of {}", hidden, row.text("intermediate"), top_k, experts),
          fmt::format("{} {} {}", row.text("tp"), ep, tokens), row.line());
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
  shape.routed_rows = shape.rows;
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

void read_collective(Row& row, SeriesBuilder& out, double element_bytes) {
  const std::string_view name = row.text("collective");
  CollectiveForm::Shape shape{.ranks = row.positive("gpus")};
  Family family = Family::all_reduce;
  double share = (shape.ranks - 1.0) / shape.ranks;
  if (name == "all_reduce") {
    share *= 2.0;
  } else if (name == "all_gather") {
    family = Family::all_gather;
  } else if (name == "reduce_scatter") {
    family = Family::reduce_scatter;
  } else if (name == "alltoall" || name == "all_to_all") {
    family = Family::all_to_all;
  } else {
    row.problem("collective", fmt::format("expected all_reduce, all_gather, reduce_scatter or "
                                          "alltoall, got \"{}\"",
                                          name));
  }
  shape.wire_MB = 1e-6 * share * element_bytes * row.positive("elements_2_bytes_each");
  const double us = row.positive("latency_us");
  if (row.good() && shape.ranks < 2.0) row.problem("gpus", "a collective has at least 2");
  if (!row.good()) return;
  out.add({.family = family, .kernel = kernel_of(row)}, shape, us,
          fmt::format("{} {}", shape.ranks, shape.wire_MB), "", row.line());
}

void read_expert_exchange(Row& row, SeriesBuilder& out) {
  const double hidden = row.positive("hidden");
  ExpertExchangeForm::Shape shape{.servers = row.positive("nodes_of_8"),
                                  .ranks_per_server = 8.0,
                                  .tokens = row.positive("tokens_per_gpu"),
                                  .top_k = row.positive("top_k"),
                                  .experts = row.positive("experts")};
  const double dispatch = row.positive("dispatch_us");
  const double combine = row.positive("combine_us");
  if (!row.good()) return;
  const std::string group =
      fmt::format("{} {} {} {}", shape.servers, hidden, shape.top_k, shape.experts);
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
  void (*read)(Row&, SeriesBuilder&);  // null: collectives, which need two passes
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
       {"kernel", "device"},
       read_moe_layer},
      {"grouped GEMM",
       {"local_experts", "hidden", "intermediate", "tokens_per_expert", "gate_up_us", "down_us"},
       {"gpus", "experts", "top_k", "tokens_per_gpu", "kernel", "device"},
       read_grouped_gemm},
      {"collective",
       {"collective", "gpus", "elements_2_bytes_each", "latency_us"},
       {"kernel", "device"},
       nullptr},
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

}  // namespace

void read_measurement_csv(std::string_view text, const std::string& name, MeasurementSet& into) {
  SeriesBuilder out(into, name);
  Diagnostics diagnostics;
  std::vector<std::string> columns;
  const Kind* kind = nullptr;
  Row row(name, columns, diagnostics);
  // Collectives: rows by what they measure, to tell two element sizes apart.
  struct Collective {
    std::uint32_t line;
    std::vector<std::string> cells;
  };
  std::map<std::string, std::vector<Collective>> collectives;

  CsvReader reader(text, name);
  while (reader.next()) {
    const auto cells = reader.cells();
    const auto line = static_cast<std::uint32_t>(reader.line());
    if (kind == nullptr) {
      columns.assign(cells.begin(), cells.end());
      kind = &kind_of(columns, name);
      continue;
    }
    if (cells.size() != columns.size()) {
      throw UserError(fmt::format("{}: line {}: {} cells under {} columns", name, line,
                                  cells.size(), columns.size()));
    }
    row.assign(line, {cells.begin(), cells.end()});
    if (row.has("device")) out.device(std::string(row.text("device")), line);
    if (kind->read != nullptr) {
      kind->read(row, out);
    } else {
      collectives[fmt::format("{} {} {} {}", row.text("collective"), row.text("gpus"),
                              row.text("elements_2_bytes_each"),
                              row.has("kernel") ? row.text("kernel") : "")]
          .push_back({line, {cells.begin(), cells.end()}});
    }
  }
  if (kind == nullptr) throw UserError(fmt::format("{}: the file is empty", name));

  for (const auto& [key, rows] : collectives) {
    // The public collection of collectives holds most sizes twice, for 1-byte and 2-byte elements,
    // without saying which is which: the time of the faster one is that of half the elements.
    double first_us = 0.0;
    for (const auto& [line, cells] : rows) {
      row.assign(line, {cells.begin(), cells.end()});
      double element_bytes = 2.0;
      if (rows.size() == 2) {
        const double us = row.positive("latency_us");
        if (first_us == 0.0) {
          Row second(name, columns, diagnostics);
          second.assign(rows[1].line, {rows[1].cells.begin(), rows[1].cells.end()});
          const double second_us = second.positive("latency_us");
          element_bytes = us < second_us ? 1.0 : 2.0;
          first_us = us;
        } else {
          element_bytes = us < first_us ? 1.0 : 2.0;
        }
      }
      read_collective(row, out, element_bytes);
    }
  }
  diagnostics.throw_if_errors();
  if (out.rows() == 0) throw UserError(fmt::format("{}: no measurements under the header", name));
}

}  // namespace ridge::hw::calibrated
