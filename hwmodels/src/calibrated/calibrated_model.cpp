#include "ridge/hwmodels/calibrated/calibrated_model.hpp"

#include "ridge/base/error.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>

#include <fmt/format.h>

namespace ridge::hw {

namespace {

using calibrated::bytes_of;
using calibrated::Calibration;
using calibrated::CollectiveForm;
using calibrated::Curve;
using calibrated::DecodeAttentionForm;
using calibrated::ElementwiseForm;
using calibrated::Estimate;
using calibrated::ExpertExchangeForm;
using calibrated::Family;
using calibrated::Fitted;
using calibrated::Format;
using calibrated::GemmForm;
using calibrated::GroupedGemmForm;
using calibrated::Machine;
using calibrated::Role;

// Relative standard errors of answers that no curve was fitted to give. Measured: curves of the
// H100 calibration set beside the measurements of each other, and of what lies outside the range of
// a part that was fitted (docs/calibration.md). The roofline's is stated.
constexpr double kErrorOfHeadSize = 0.15;       // attention of another head size
constexpr double kErrorOfCacheFormat = 0.20;    // attention over a cache of another format
constexpr double kErrorOfProductFormat = 0.35;  // products of another number format
constexpr double kErrorPerOctave = 0.02;        // outside the range a curve was fitted on
constexpr double kErrorOfRoofline = 0.50;       // no curve at all
constexpr double kRooflineEfficiency = 0.7;     // what such an answer assumes of either roof

// What exchanges were mostly measured with, for those that only say their bytes.
constexpr double kUsualTopK = 8.0;
constexpr double kUsualExperts = 256.0;
constexpr double kUsualMessageBytes = 7168.0 * (1.0 + 4.0 / 128.0);

double stored_bytes(Precision precision) {
  return models::bytes_per_value(precision).value();
}

bool eight_bits_or_less(Precision precision) {
  return stored_bytes(precision) <= 1.0;
}

class CalibratedModel final : public KernelModel {
 public:
  CalibratedModel(ChipSpec chip, Calibration calibration)
      : chip_(std::move(chip)), calibration_(std::move(calibration)) {
    for (const Curve& curve : calibration_.curves) {
      if (curve.key.family == Family::decode_attention ||
          curve.key.family == Family::latent_attention) {
        attention_.push_back(&curve);
      }
    }
    // Stable: of curves for one head size the preferred one stays first.
    std::stable_sort(attention_.begin(), attention_.end(), [](const Curve* a, const Curve* b) {
      return a->key.head_dim < b->key.head_dim;
    });
    gemm_ = {first({{Family::gemm, Format::bf16}}),
             first({{Family::gemm, Format::fp8_block}, {Family::gemm, Format::fp8}})};
    grouped_ = {first({{Family::grouped_gemm, Format::bf16}, {Family::moe_layer, Format::bf16}}),
                first({{Family::grouped_gemm, Format::fp8_block},
                       {Family::moe_layer, Format::fp8_block},
                       {Family::grouped_gemm, Format::fp8},
                       {Family::moe_layer, Format::fp8}})};
    using Kind = models::Collective::Kind;
    collective_[static_cast<std::size_t>(Kind::all_reduce)] = first({{Family::all_reduce}});
    collective_[static_cast<std::size_t>(Kind::all_gather)] = first({{Family::all_gather}});
    collective_[static_cast<std::size_t>(Kind::reduce_scatter)] = first({{Family::reduce_scatter}});
    collective_[static_cast<std::size_t>(Kind::all_to_all)] = first({{Family::all_to_all}});
    exchange_ = {first({{Family::expert_dispatch}}), first({{Family::expert_combine}})};
    elementwise_ = first({{Family::elementwise}});
    launch_us_ =
        elementwise_ == nullptr ? 0.0 : values_of(elementwise_->fitted)[ElementwiseForm::launch_us];
    ranks_per_server_ = chip_.chips_per_server.value.value_or(8);
  }

  [[nodiscard]] Timing time(const models::Operator& op) const override {
    return std::visit([this](const auto& shape) { return time(shape); }, op.shape);
  }

  [[nodiscard]] const ChipSpec& chip() const override { return chip_; }

  [[nodiscard]] std::vector<TimePart> explain(const models::Operator& op) const override {
    const auto* attention = std::get_if<models::DecodeAttention>(&op.shape);
    if (attention == nullptr || attention->sequences <= 0.0) return {};
    const AttentionCurve chosen = curve_for(*attention);
    if (chosen.curve == nullptr) return {};
    return parts<DecodeAttentionForm>(*chosen.curve, shape_of(*attention), models::demand(op));
  }

  [[nodiscard]] std::string provenance() const override {
    double least = 1.0;
    double most = 0.0;
    bool borrowed = false;
    for (const Curve& curve : calibration_.curves) {
      if (curve.held_out.measurements == 0 ||
          calibration_.find(curve.key.family, curve.key.format, curve.key.head_dim) != &curve) {
        continue;
      }
      least = std::min(least, curve.held_out.p50);
      most = std::max(most, curve.held_out.p50);
      borrowed = borrowed || curve.borrowed.has_value();
    }
    return fmt::format("calibrated:{} (held-out error {:.0f}-{:.0f} % median by operator{})",
                       calibration_.name, 100.0 * least, 100.0 * most,
                       borrowed ? ", partly transferred" : "");
  }

 private:
  struct Slot {
    Family family;
    Format format = Format::any;
  };

  // The first slot that was fitted here; else the first that was borrowed.
  const Curve* first(std::initializer_list<Slot> slots) const {
    const Curve* fallback = nullptr;
    for (const Slot& slot : slots) {
      const Curve* curve = calibration_.find(slot.family, slot.format);
      if (curve == nullptr) continue;
      if (!curve->borrowed) return curve;
      if (fallback == nullptr) fallback = curve;
    }
    return fallback;
  }

  template <typename Form>
  [[nodiscard]] Timing answer(const Curve& curve, const typename Form::Shape& shape,
                              double added_error = 0.0) const {
    const auto* fitted = std::get_if<Fitted<Form>>(&curve.fitted);
    const Estimate estimate = Form::time(calibration_.machine, fitted->choice, fitted->p, shape);
    const double outside =
        kErrorPerOctave * curve.octaves_outside(Form::ranged(shape)) + added_error;
    const bool within = outside == 0.0;
    const double stray = within || curve.stray == 0.0 ? 1.0 : std::exp(curve.stray * outside);
    return {.time = Seconds{estimate.us * curve.factor * stray * 1e-6},
            .bound = estimate.bound,
            .error = curve.standard_error() + outside,
            .within_range = within};
  }

  template <typename Form>
  [[nodiscard]] std::vector<TimePart> parts(const Curve& curve, const typename Form::Shape& shape,
                                            const models::Demand& demand) const {
    const Machine& machine = calibration_.machine;
    Fitted<Form> fitted = *std::get_if<Fitted<Form>>(&curve.fitted);
    const auto now = [&] {
      return Form::time(machine, fitted.choice, fitted.p, shape).us * curve.factor;
    };
    std::vector<TimePart> parts;
    double left = now();
    const auto without = [&](std::string_view what) {
      const double less = now();
      parts.push_back({what, Seconds{(left - less) * 1e-6}});
      left = less;
    };
    const auto ideal = [&](Role role, double value) {
      const auto info = Form::parameters();
      for (std::size_t j = 0; j < info.size(); ++j) {
        if (info[j].role == role) fitted.p[j] = value;
      }
    };
    if constexpr (requires { Form::without_padding(fitted.choice, shape); }) {
      fitted.choice = Form::without_padding(fitted.choice, shape);
      without(kPaddingPart);
    }
    const double sheet = machine.unit_TFLOPps(curve.key.format);
    ideal(Role::matrix_rate, sheet);
    without("arithmetic below the data sheet's rate");
    ideal(Role::memory_rate, machine.memory_TBps);
    ideal(Role::overlap, 1e-9);
    without("memory below the data sheet's bandwidth, and its imperfect overlap");
    const double roof = std::max(1e6 * demand.memory().value() / (machine.memory_TBps * 1e12),
                                 1e-6 * demand.flop.value() / (sheet * machine.compute_units));
    parts.push_back(
        {"launch, whole waves of blocks, merging of splits", Seconds{(left - roof) * 1e-6}});
    parts.push_back({"roofline", Seconds{roof * 1e-6}});
    return parts;
  }

  // No curve: the roofline at an assumed efficiency, behind a launch.
  [[nodiscard]] Timing roofline(const models::Demand& d) const {
    const Machine& m = calibration_.machine;
    const double rate = eight_bits_or_less(d.compute) ? m.fp8_TFLOPps : m.bf16_TFLOPps;
    const double compute = 1e-6 * d.flop.value() / (kRooflineEfficiency * rate);
    const double memory = 1e-6 * d.memory().value() / (kRooflineEfficiency * m.memory_TBps);
    const double work = std::max(compute, memory);
    return {.time = Seconds{1e-6 * (launch_us_ + work)},
            .bound = launch_us_ > work   ? Resource::launch
                     : memory >= compute ? Resource::memory
                                         : Resource::compute,
            .error = kErrorOfRoofline,
            .within_range = false};
  }

  // What a kind of attention is calibrated as; nothing where no measurement is of it.
  static std::optional<Family> family_of(models::DecodeAttention::Kind kind) {
    using Kind = models::DecodeAttention::Kind;
    switch (kind) {
      case Kind::grouped:
        return Family::decode_attention;
      case Kind::latent:
        return Family::latent_attention;
      case Kind::sparse_latent:
      case Kind::compressed_sparse:
      case Kind::compressed:
      case Kind::block_sparse:
      case Kind::index_scores:
        break;
    }
    return std::nullopt;
  }

  struct AttentionCurve {
    const Curve* curve = nullptr;
    double added_error = 0.0;  // of a neighbour
  };

  // The kernel for this head size, else for the next larger, else for the largest; better the
  // right format than the right size.
  [[nodiscard]] AttentionCurve curve_for(const models::DecodeAttention& op) const {
    const std::optional<Family> family = family_of(op.kind);
    if (!family) return {};
    const Format format = eight_bits_or_less(op.cache) ? Format::fp8 : Format::bf16;
    const Curve* chosen = nullptr;
    for (const Curve* curve : attention_) {
      if (curve->key.family != *family) continue;
      const bool fits = curve->key.format == format;
      if (fits && curve->key.head_dim == op.qk_dim) return {curve, 0.0};
      if (chosen == nullptr || (chosen->key.format != format && fits) ||
          (fits && chosen->key.head_dim < op.qk_dim &&
           curve->key.head_dim > chosen->key.head_dim)) {
        chosen = curve;
      }
    }
    if (chosen == nullptr) return {};
    return {chosen, (chosen->key.head_dim == op.qk_dim ? 0.0 : kErrorOfHeadSize) +
                        (chosen->key.format == format ? 0.0 : kErrorOfCacheFormat)};
  }

  static DecodeAttentionForm::Shape shape_of(const models::DecodeAttention& op) {
    return {.sequences = op.sequences,
            .context = std::max(op.context, 1.0),
            .query_rows = static_cast<double>(op.query_heads * op.queries_per_sequence),
            .kv_heads = static_cast<double>(op.kv_heads),
            .qk_dim = static_cast<double>(op.qk_dim),
            .v_dim = static_cast<double>(op.v_dim),
            .values_per_token = static_cast<double>(op.cache_values_per_token),
            .bytes_per_value = stored_bytes(op.cache)};
  }

  [[nodiscard]] Timing time(const models::DecodeAttention& op) const {
    if (op.sequences <= 0.0) return {};
    const AttentionCurve chosen = curve_for(op);
    if (chosen.curve == nullptr) return roofline(models::demand(op));
    return answer<DecodeAttentionForm>(*chosen.curve, shape_of(op), chosen.added_error);
  }

  [[nodiscard]] Timing time(const models::Gemm& op) const {
    if (op.m <= 0.0) return {};
    const bool narrow = eight_bits_or_less(op.compute);
    const Curve* curve = gemm_[narrow ? 1 : 0];
    const bool exact = curve != nullptr;
    if (curve == nullptr) curve = gemm_[narrow ? 0 : 1];
    if (curve == nullptr) return roofline(models::demand(op));
    const double usual = bytes_of(curve->key.format);
    return answer<GemmForm>(*curve,
                            {.m = op.m,
                             .n = static_cast<double>(op.n),
                             .k = static_cast<double>(op.k),
                             .batch = static_cast<double>(op.batch),
                             .input_bytes = usual,
                             .weight_bytes = stored_bytes(op.weights)},
                            exact ? 0.0 : kErrorOfProductFormat);
  }

  // The curve for experts' products in this precision, or the other format's.
  [[nodiscard]] const Curve* grouped_curve(bool narrow) const {
    const Curve* curve = grouped_[narrow ? 1 : 0];
    return curve != nullptr ? curve : grouped_[narrow ? 0 : 1];
  }
  // Whether that curve was measured with permutation and activation, half of which it counts to
  // each product.
  [[nodiscard]] bool covers_layer(Precision compute) const {
    const Curve* curve = grouped_curve(eight_bits_or_less(compute));
    return curve != nullptr && curve->key.family == Family::moe_layer;
  }

  [[nodiscard]] Timing time(const models::GroupedGemm& op) const {
    if (op.rows <= 0.0) return {};
    const bool narrow = eight_bits_or_less(op.compute);
    const Curve* curve = grouped_curve(narrow);
    const bool exact = grouped_[narrow ? 1 : 0] != nullptr;
    if (curve == nullptr) return roofline(models::demand(op));
    return answer<GroupedGemmForm>(*curve,
                                   {.rows = op.rows,
                                    .routed_rows = op.rows,
                                    .experts = static_cast<double>(op.experts),
                                    .active_experts = std::min(op.active_experts, op.rows),
                                    .n = static_cast<double>(op.n),
                                    .k = static_cast<double>(op.k),
                                    .input_bytes = bytes_of(curve->key.format),
                                    .weight_bytes = stored_bytes(op.weights),
                                    .profile = {}},
                                   exact ? 0.0 : kErrorOfProductFormat);
  }

  [[nodiscard]] Timing time(const models::Elementwise& op) const {
    const models::Demand d = models::demand(op);
    if (d.memory().value() <= 0.0) return {};
    // What experts compute in is what both write.
    const bool within_layer = op.kind == models::Elementwise::Kind::expert_permutation ||
                              op.kind == models::Elementwise::Kind::expert_activation;
    if (within_layer && covers_layer(op.output)) return {};
    if (elementwise_ == nullptr) return roofline(d);
    return answer<ElementwiseForm>(*elementwise_, {.MB = 1e-6 * d.memory().value()});
  }

  [[nodiscard]] Timing time(const models::StateUpdate& op) const {
    return roofline(models::demand(op));
  }

  [[nodiscard]] Timing time(const models::TopK& op) const { return roofline(models::demand(op)); }

  [[nodiscard]] Timing time(const models::Collective& op) const {
    if (op.ranks <= 1) return {};
    const auto ranks = static_cast<double>(op.ranks);
    const double wire = models::demand(op).wire.value();
    const bool far = op.ranks > ranks_per_server_;
    const Curve* exchange = exchange_[op.returning ? 1 : 0];
    // Between tokens and experts, or in any case where it crosses servers.
    const bool expert_exchange = op.kind == models::Collective::Kind::all_to_all &&
                                 exchange != nullptr && (far || op.copies > 0.0);
    if (expert_exchange) {
      const double here = std::min(ranks, static_cast<double>(ranks_per_server_));
      const double payload = op.payload.value();
      const double bytes = op.copies > 0.0 ? payload / op.copies : kUsualMessageBytes;
      return answer<ExpertExchangeForm>(
          *exchange, {.servers = ranks / here,
                      .ranks_per_server = here,
                      .tokens = payload / (kUsualTopK * bytes),
                      .top_k = kUsualTopK,
                      .experts = std::max(
                          op.experts > 0 ? static_cast<double>(op.experts) : kUsualExperts, ranks),
                      .bytes_per_token = bytes});
    }
    const Curve* curve = collective_[static_cast<std::size_t>(op.kind)];
    Timing timing;
    if (curve == nullptr) {
      const double us = chip_.scale_up_bandwidth.value
                            ? 1e6 * wire / chip_.scale_up_bandwidth.value->value()
                            : 0.0;
      timing = {.time = Seconds{1e-6 * (launch_us_ + us)},
                .bound = Resource::link,
                .error = kErrorOfRoofline,
                .within_range = false};
    } else {
      timing = answer<CollectiveForm>(*curve, {.ranks = ranks, .wire_MB = 1e-6 * wire});
    }
    // Across servers the network card is the least that must be waited for.
    if (far && chip_.nic_bandwidth.value) {
      const Seconds network = Bytes{wire} / *chip_.nic_bandwidth.value;
      if (network > timing.time) timing.time = network;
      timing.within_range = false;
    }
    return timing;
  }

  [[nodiscard]] Timing time(const models::PointToPoint& op) const {
    const Seconds wire =
        chip_.scale_up_bandwidth.value ? op.payload / *chip_.scale_up_bandwidth.value : Seconds{};
    return {
        .time = wire, .bound = Resource::link, .error = kErrorOfRoofline, .within_range = false};
  }

  ChipSpec chip_;
  Calibration calibration_;
  std::vector<const Curve*> attention_;
  std::array<const Curve*, 2> gemm_{};     // BF16, FP8
  std::array<const Curve*, 2> grouped_{};  // BF16, FP8
  std::array<const Curve*, 4> collective_{};
  std::array<const Curve*, 2> exchange_{};  // to the experts, back
  const Curve* elementwise_ = nullptr;
  double launch_us_ = 0.0;
  std::int64_t ranks_per_server_ = 8;
};

}  // namespace

std::unique_ptr<KernelModel> calibrated_model(ChipSpec chip, const Calibration& calibration) {
  if (chip.name == calibration.chip) {
    return std::make_unique<CalibratedModel>(std::move(chip), calibration);
  }
  Calibration moved = transferred(calibration, load_chip(calibration.chip), chip);
  return std::make_unique<CalibratedModel>(std::move(chip), std::move(moved));
}

std::vector<std::string> range_warnings(const KernelModel& model, const models::Operator* begin,
                                        const models::Operator* end) {
  std::vector<std::string> warnings;
  for (const models::Operator* op = begin; op != end; ++op) {
    const Timing timing = model.time(*op);
    if (timing.within_range) continue;
    std::string words = fmt::format(
        "{}: outside what the calibration was measured on; its error is widened to "
        "{:.0f} %",
        op->name, 100.0 * timing.error);
    if (std::find(warnings.begin(), warnings.end(), words) == warnings.end()) {
      warnings.push_back(std::move(words));
    }
  }
  return warnings;
}

}  // namespace ridge::hw
