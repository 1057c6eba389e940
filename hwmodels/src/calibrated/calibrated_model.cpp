#include "ridge/hwmodels/calibrated/calibrated_model.hpp"

#include "ridge/base/error.hpp"
#include "ridge/hwmodels/calibrated/kernel_facts.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <new>
#include <optional>
#include <tuple>

#include <fmt/format.h>

namespace ridge::hw {

namespace {

using calibrated::bytes_of;
using calibrated::Calibration;
using calibrated::CollectiveForm;
using calibrated::Curve;
using calibrated::CurveKey;
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
// a part that was fitted (docs/calibration.md).
constexpr double kErrorOfHeadSize = 0.15;       // attention of another head size
constexpr double kErrorOfCacheFormat = 0.20;    // attention over a cache of another format
constexpr double kErrorOfProductFormat = 0.35;  // products of another number format
constexpr double kErrorPerOctave = 0.02;        // outside the range a curve was fitted on

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

// The formats that products were measured in whose kernels do exactly what is asked for, best
// first.
std::vector<Format> exact_formats(Precision compute, Precision weights) {
  const double bytes = stored_bytes(weights);
  if (stored_bytes(compute) < 1.0) return {Format::nvfp4, Format::mxfp4_w4a8};
  if (stored_bytes(compute) <= 1.0) {
    if (bytes < 1.0) return {Format::mxfp4_w4a8};
    return {Format::fp8_block, Format::fp8};
  }
  if (bytes >= 1.0) return {Format::bf16};
  if (weights == Precision::int4) return {Format::int4, Format::mxfp4_w4a16};
  return {Format::mxfp4_w4a16, Format::int4};
}

// Those that stand in where none of these was measured, nearest first.
std::vector<Format> near_formats(Precision compute) {
  if (stored_bytes(compute) < 1.0) return {Format::fp8_block, Format::fp8, Format::bf16};
  if (stored_bytes(compute) <= 1.0) return {Format::fp8_block, Format::fp8, Format::bf16};
  return {Format::bf16, Format::fp8_block, Format::fp8};
}

// The curves for one kind of launch.
struct Slot {
  Family family = Family::gemm;
  std::vector<const Curve*> all;
  std::vector<const Curve*> usable;  // of which the fastest at the asked shape is taken
  bool exact = true;                 // false: of another number format
};

class CalibratedModel final : public KernelModel {
 public:
  CalibratedModel(ChipSpec chip, Calibration calibration)
      : chip_(std::move(chip)), calibration_(std::move(calibration)) {
    for (const Curve& curve : calibration_.curves) {
      errors_.push_back(curve.standard_error());
      const auto over_chosen = calibrated::error_over_chosen_tokens(curve.key);
      errors_over_chosen_.push_back(over_chosen.value_or(0.0));
      if (!std::holds_alternative<Fitted<DecodeAttentionForm>>(curve.fitted)) continue;
      add_attention(curve.key.family, curve.key);
      if (over_chosen) add_attention(Family::sparse_latent_attention, curve.key);
    }
    std::stable_sort(attention_.begin(), attention_.end(),
                     [](const auto& a, const auto& b) { return a.head_dim < b.head_dim; });
    for (std::size_t c = 0; c < models::kPrecisions; ++c) {
      for (std::size_t w = 0; w < models::kPrecisions; ++w) {
        const auto compute = static_cast<Precision>(c);
        const auto weights = static_cast<Precision>(w);
        gemm_[c][w] = product_slot({Family::gemm}, compute, weights);
        grouped_[c][w] = product_slot({Family::grouped_gemm, Family::moe_layer}, compute, weights);
        handed_all_[c][w] = without_those_behind_an_exchange(grouped_[c][w]);
      }
    }
    for (std::size_t k = 0; k < models::kKernels; ++k) {
      if (const auto family = family_of(static_cast<models::Kernel>(k))) {
        plain_[k] = slot(*family, Format::any);
        const auto& all = plain_[k].all;
        if (!all.empty() && std::holds_alternative<Fitted<CollectiveForm>>(all.front()->fitted)) {
          widest_[k] = widest_of(plain_[k]);
        }
      }
    }
    const Slot& elementwise = plain(models::Kernel::elementwise);
    if (const auto precision = calibrated::precision_of_head_products()) {
      const Slot& measured = of(gemm_, *precision, *precision);
      if (!measured.all.empty() && measured.exact) by_head_ = precision;
    }
    launch_us_ = elementwise.usable.empty()
                     ? 0.0
                     : values_of(elementwise.usable.front()->fitted)[ElementwiseForm::launch_us];
    ranks_per_server_ = chip_.chips_per_server.value.value_or(8);
  }

  [[nodiscard]] Timing time(const models::Operator& op) const override {
    Timing timing;
    ask(op, [&](const auto& asked) {
      if constexpr (requires { asked.answer; }) {
        timing = asked.answer;
      } else {
        timing = answer(asked);
      }
    });
    return timing;
  }

  [[nodiscard]] std::string_view kernel(const models::Operator& op) const override {
    std::string_view name;
    ask(op, [&](const auto& asked) {
      if constexpr (requires { asked.slot; })
        name = fastest(asked.slot->usable, asked).curve->key.kernel;
    });
    return name;
  }

  [[nodiscard]] std::string advice(const models::Operator& op) const override {
    constexpr double kMuchSlower = 1.5;
    std::string words;
    ask(op, [&](const auto& asked) {
      if constexpr (requires { asked.slot; }) {
        const Said chosen = fastest(asked.slot->usable, asked);
        const Said best = fastest(asked.slot->all, asked);
        const double times = chosen.estimate.us / best.estimate.us;
        if (times < kMuchSlower) return;
        words = fmt::format("{}: the kernel {} takes {:.1f} times as long as {} would", op.name,
                            chosen.curve->key.kernel, times, best.curve->key.kernel);
      }
    });
    return words;
  }

  [[nodiscard]] Basis basis(const models::Operator& op) const override {
    Basis basis = Basis::nothing;
    ask(op, [&](const auto& asked) {
      if constexpr (requires { asked.slot; }) {
        const Curve& curve = *fastest(asked.slot->usable, asked).curve;
        basis = asked.added_error > 0.0 ? Basis::stand_in
                : curve.borrowed        ? Basis::transferred
                                        : Basis::measured;
      } else if (asked.answer.time.value() > 0.0) {
        basis = Basis::no_curve;
      }
    });
    return basis;
  }

  [[nodiscard]] std::optional<double> held_out_error(const models::Operator& op) const override {
    std::optional<double> error;
    ask(op, [&](const auto& asked) {
      if constexpr (requires { asked.slot; }) {
        const auto& held_out = fastest(asked.slot->usable, asked).curve->held_out;
        if (held_out.measurements > 0) error = held_out.p50;
      }
    });
    return error;
  }

  [[nodiscard]] std::unique_ptr<KernelModel> on_faster(const Faster& what) const override {
    const ChipSpec chip = faster(chip_, what);
    Calibration moved = calibrated::moved(calibration_, chip_, chip);
    for (Curve& curve : moved.curves) {
      const auto info = calibrated::parameters_of(curve.fitted);
      const auto values = calibrated::values_of(curve.fitted);
      for (std::size_t j = 0; j < values.size(); ++j) {
        if (info[j].role == Role::launch) values[j] /= what.launch;
      }
    }
    return std::make_unique<CalibratedModel>(chip, std::move(moved));
  }

  [[nodiscard]] const ChipSpec& chip() const override { return chip_; }

  [[nodiscard]] std::vector<TimePart> explain(const models::Operator& op) const override {
    std::vector<TimePart> result;
    if (!std::holds_alternative<models::DecodeAttention>(op.shape)) return result;
    ask(op, [&](const auto& asked) {
      if constexpr (requires { asked.slot; }) result = parts(asked, models::demand(op));
    });
    return result;
  }

  [[nodiscard]] bool calibrated() const override { return true; }
  [[nodiscard]] std::string provenance() const override {
    double least = 1.0;
    double most = 0.0;
    bool borrowed = false;
    for (const Curve& curve : calibration_.curves) {
      if (curve.held_out.measurements == 0 || curve.standby) continue;
      least = std::min(least, curve.held_out.p50);
      most = std::max(most, curve.held_out.p50);
      borrowed = borrowed || curve.borrowed.has_value();
    }
    return fmt::format("calibrated:{} (held-out error {:.0f}-{:.0f} % median by operator{})",
                       calibration_.name, 100.0 * least, 100.0 * most,
                       borrowed ? ", partly transferred" : "");
  }

 private:
  // An operator as a form's shape, and the curves to ask; `part` of what they answer.
  template <typename F>
  struct Asked {
    using Form = F;
    const Slot* slot;
    typename Form::Shape shape;
    double added_error = 0.0;
    double part = 1.0;
  };
  // Or the answer, where there is no curve to ask.
  struct Answered {
    Timing answer;
  };

  // Asked for again and again while a model is made, and a sweep makes one at each of its points.
  const Slot& slot(Family family, Format format, std::int64_t head_dim = 0) {
    auto [at, fresh] = slots_.try_emplace({family, format, head_dim});
    if (!fresh) return at->second;
    Slot& result = at->second;
    result.family = family;
    for (const Curve& curve : calibration_.curves) {
      if (calibrated::answers(curve, family, format, head_dim)) result.all.push_back(&curve);
    }
    if (!result.all.empty()) {
      result.usable = calibrated::usable(calibration_, family, format, head_dim);
    }
    return result;
  }

  void add_attention(Family family, const CurveKey& key) {
    const bool known = std::any_of(attention_.begin(), attention_.end(), [&](const auto& a) {
      return a.family == family && a.format == key.format && a.head_dim == key.head_dim;
    });
    if (known) return;
    const Slot& all = slot(family, key.format, key.head_dim);
    attention_.push_back({.family = family,
                          .format = key.format,
                          .head_dim = key.head_dim,
                          .slot = all,
                          .measured = measured_as(all)});
  }

  // Whether FP8's curves tell of this precision: whole numbers of eight bits are as fast on some
  // chips, and many times slower on others.
  [[nodiscard]] bool like_fp8(Precision compute) const {
    constexpr double kNearly = 0.9;
    const auto rate = [&](Precision precision) {
      return chip_.matrix_rate[static_cast<std::size_t>(precision)].value;
    };
    const auto whole = rate(Precision::int8);
    const auto fp8 = rate(Precision::fp8);
    return compute != Precision::int8 || !whole || !fp8 || *whole >= kNearly * *fp8;
  }

  // The first of the families, and of the formats, that was measured here; else the first that was
  // borrowed.
  Slot product_slot(std::initializer_list<Family> families, Precision compute, Precision weights) {
    if (!like_fp8(compute)) return {};
    for (const bool exact : {true, false}) {
      const auto formats = exact ? exact_formats(compute, weights) : near_formats(compute);
      Slot borrowed;
      for (const Format format : formats) {
        for (const Family family : families) {
          Slot found = slot(family, format);
          found.exact = exact;
          if (found.all.empty()) continue;
          if (!found.usable.front()->borrowed) return found;
          if (borrowed.all.empty()) borrowed = std::move(found);
        }
      }
      if (!borrowed.all.empty()) return borrowed;
    }
    return {};
  }

  // Of a slot, what was measured over what it is of.
  static Slot measured_as(Slot slot) {
    const auto other = [&](const Curve* curve) { return curve->key.family != slot.family; };
    std::erase_if(slot.all, other);
    std::erase_if(slot.usable, other);
    if (slot.usable.empty()) slot.usable = slot.all;
    return slot;
  }

  // The same where any other is left.
  static Slot without_those_behind_an_exchange(Slot slot) {
    if (slot.usable.size() == 1) return slot;
    std::vector<const Curve*> others;
    std::copy_if(
        slot.usable.begin(), slot.usable.end(), std::back_inserter(others),
        [](const Curve* curve) { return !calibrated::behind_an_exchange(curve->key.kernel); });
    if (!others.empty()) slot.usable = std::move(others);
    return slot;
  }

  // What a kernel that has one number format, or says bytes alone, is calibrated as.
  static std::optional<Family> family_of(models::Kernel kernel) {
    switch (kernel) {
      case models::Kernel::top_k:
        return Family::top_k;
      case models::Kernel::gated_delta_state:
        return Family::gated_delta_state;
      case models::Kernel::kimi_delta_state:
        return Family::kimi_delta_state;
      case models::Kernel::elementwise:
      case models::Kernel::expert_permutation:
      case models::Kernel::expert_activation:
      case models::Kernel::expert_combination:
        return Family::elementwise;
      case models::Kernel::all_reduce:
        return Family::all_reduce;
      case models::Kernel::all_gather:
        return Family::all_gather;
      case models::Kernel::reduce_scatter:
        return Family::reduce_scatter;
      case models::Kernel::all_to_all:
        return Family::all_to_all;
      case models::Kernel::expert_dispatch:
        return Family::expert_dispatch;
      case models::Kernel::expert_combine:
        return Family::expert_combine;
      default:
        return std::nullopt;
    }
  }
  [[nodiscard]] const Slot& plain(models::Kernel kernel) const {
    return plain_[static_cast<std::size_t>(kernel)];
  }

  // Of a collective, the curves that were measured with the most GPUs: what is preferred of others
  // is a kernel that so many cannot run.
  [[nodiscard]] const Slot& widest(models::Kernel kernel) const {
    return widest_[static_cast<std::size_t>(kernel)];
  }
  static bool spans(const Slot& slot, double ranks) {
    return std::any_of(slot.usable.begin(), slot.usable.end(),
                       [&](const Curve* curve) { return ranks <= most_ranks(*curve); });
  }
  static double most_ranks(const Curve& curve) {
    return curve.ranges.empty() ? 0.0 : curve.ranges.front().max;
  }
  static Slot widest_of(const Slot& slot) {
    Slot result = slot;
    double most = 0.0;
    for (const Curve* curve : slot.all) most = std::max(most, most_ranks(*curve));
    if (!spans(slot, most)) {
      result.usable.clear();
      std::copy_if(slot.all.begin(), slot.all.end(), std::back_inserter(result.usable),
                   [&](const Curve* curve) { return most_ranks(*curve) >= most; });
    }
    return result;
  }

  // A curve and what it says of a shape, draws left out: a factor that a resample drew is of the
  // error, not of the kernel.
  struct Said {
    const Curve* curve = nullptr;
    double octaves_outside = 0.0;
    Estimate estimate;
  };

  // Of kernels whose range holds the shape, the fastest; of all where none does. Of several that
  // are as fast, the first.
  template <typename A>
  [[nodiscard]] Said fastest(std::span<const Curve* const> curves, const A& asked) const {
    using Form = typename A::Form;
    if (curves.size() == 1) {
      const Curve& only = *curves.front();
      const double outside = only.octaves_outside(Form::ranged(asked.shape));
      const auto& fitted = *std::get_if<Fitted<Form>>(&only.fitted);
      return {&only, outside, only.estimate(calibration_.machine, fitted, asked.shape, outside)};
    }
    if (curves.size() <= kMany) return fastest_of_some<Form>(curves, asked.shape);
    const Said best = fastest(curves.first(kMany), asked);
    const Said other = fastest(curves.subspan(kMany), asked);
    const bool within = best.octaves_outside == 0.0;
    const bool other_within = other.octaves_outside == 0.0;
    if (within != other_within) return within ? best : other;
    return other.estimate.us < best.estimate.us ? other : best;
  }

  // Of at most so many.
  static constexpr std::size_t kMany = 8;
  // All plans first, then all times: in each, one waits for quotient after quotient, and the others
  // beside it do not. Then what is learned of the one whose form is the fastest, so that it tells
  // of others that they are slower.
  template <typename Form>
  [[nodiscard]] Said fastest_of_some(std::span<const Curve* const> curves,
                                     const typename Form::Shape& shape) const {
    const Machine& machine = calibration_.machine;
    const auto ranged = Form::ranged(shape);
    std::array<const Curve*, kMany> rivals;
    std::size_t count = 0;
    for (const Curve* curve : curves) {
      rivals[count] = curve;
      count += curve->holds(ranged) ? 1 : 0;
    }
    const bool within = count > 0;
    if (!within) count = std::copy(curves.begin(), curves.end(), rivals.begin()) - rivals.begin();
    const auto fitted = [&](std::size_t i) -> const Fitted<Form>& {
      return *std::get_if<Fitted<Form>>(&rivals[i]->fitted);
    };
    // Of kernels that cut launches alike, one plan: the first's.
    using Plan = calibrated::PlanOf<Form>;
    std::array<Plan, kMany> plans;
    std::array<std::size_t, kMany> plan;
    for (std::size_t i = 0; i < count; ++i) {
      plan[i] = i;
      if constexpr (calibrated::kPlans<Form>) {
        if (i > 0 && fitted(i).choice == fitted(i - 1).choice) {
          plan[i] = plan[i - 1];
          continue;
        }
        // Made in its place: a copy would wait for what was only just written.
        new (&plans[i]) Plan(plan_of(machine, fitted(i), shape));
      }
    }
    std::array<double, kMany> us;
    std::array<Resource, kMany> bound;
    std::size_t start = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Estimate said = time_of(machine, fitted(i), shape, plans[plan[i]]);
      us[i] = said.us;
      bound[i] = said.bound;
      if (us[i] < us[start]) start = i;
    }
    double outside = 0.0;
    const auto learned_us = [&](std::size_t i) {
      outside = within ? 0.0 : rivals[i]->octaves_outside(ranged);
      if (!rivals[i]->learned(outside)) return us[i];
      const auto features = features_of(machine, fitted(i), shape, plans[plan[i]], us[i]);
      return us[i] * rivals[i]->learned_factor(features, outside);
    };
    Said best{rivals[start], 0.0, {learned_us(start), bound[start]}};
    best.octaves_outside = outside;
    std::size_t best_at = start;
    for (std::size_t i = 0; i < count; ++i) {
      if (i == start || us[i] * rivals[i]->residual.least_factor() > best.estimate.us) continue;
      const double rival_us = learned_us(i);
      if (rival_us < best.estimate.us || (rival_us == best.estimate.us && i < best_at)) {
        best = {rivals[i], outside, {rival_us, bound[i]}};
        best_at = i;
      }
    }
    return best;
  }

  template <typename A>
  [[nodiscard]] Timing answer(const A& asked) const {
    const Said said = fastest(asked.slot->usable, asked);
    const double outside = kErrorPerOctave * said.octaves_outside + asked.added_error;
    const bool within = outside == 0.0;
    const auto place = static_cast<std::size_t>(said.curve - calibration_.curves.data());
    const bool over_chosen = said.curve->key.family != asked.slot->family &&
                             asked.slot->family == Family::sparse_latent_attention;
    const double unmeasured = outside + (over_chosen ? errors_over_chosen_[place] : 0.0);
    const double stray = unmeasured == 0.0 || said.curve->stray == 0.0
                             ? 1.0
                             : std::exp(said.curve->stray * unmeasured);
    return {.time = Seconds{said.estimate.us * asked.part * said.curve->factor * stray * 1e-6},
            .bound = said.estimate.bound,
            .error = errors_[place] + unmeasured,
            .within_range = within,
            .octaves_outside = said.octaves_outside};
  }

  template <typename A>
  [[nodiscard]] std::vector<TimePart> parts(const A& asked, const models::Demand& demand) const {
    using Form = typename A::Form;
    const Said said = fastest(asked.slot->usable, asked);
    const Curve& curve = *said.curve;
    const typename Form::Shape& shape = asked.shape;
    const Machine& machine = calibration_.machine;
    Fitted<Form> fitted = *std::get_if<Fitted<Form>>(&curve.fitted);
    const auto now = [&] {
      return Form::time(machine, fitted.choice, fitted.p, shape).us * curve.factor;
    };
    std::vector<TimePart> parts;
    double left = now();
    const double learned = said.estimate.us * curve.factor - left;
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
    if (learned != 0.0) {
      parts.push_back(
          {"what the physical form misses of the measurements", Seconds{learned * 1e-6}});
    }
    parts.push_back({"roofline", Seconds{roof * 1e-6}});
    return parts;
  }

  // No curve: the roofline at an assumed efficiency, behind a launch.
  [[nodiscard]] Timing roofline(const models::Demand& d) const {
    const Machine& m = calibration_.machine;
    const auto& sheet = chip_.matrix_rate[static_cast<std::size_t>(d.compute)].value;
    const double rate =
        sheet ? 1e-12 * sheet->value() : m.TFLOPps(static_cast<int>(8.0 * stored_bytes(d.compute)));
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

  struct AttentionSlot {
    Family family;
    Format format;
    std::int64_t head_dim;
    Slot slot;
    // What may stand in for other formats and head sizes: not kernels of another family that are
    // stated to do this too, over their own format and head size alone.
    Slot measured;
  };

  // What a kind of attention is calibrated as; nothing where no measurement is of it.
  static std::optional<Family> family_of(models::DecodeAttention::Kind kind) {
    using Kind = models::DecodeAttention::Kind;
    switch (kind) {
      case Kind::grouped:
        return Family::decode_attention;
      case Kind::latent:
        return Family::latent_attention;
      case Kind::sparse_latent:
        return Family::sparse_latent_attention;
      case Kind::compressed:
        return Family::compressed_attention;
      case Kind::index_scores:
        return Family::index_scores;
      case Kind::compressed_sparse:
      case Kind::block_sparse:
        break;
    }
    return std::nullopt;
  }

  // The kernels for this head size, else for the next larger, else for the largest; better the
  // right format than the right size.
  [[nodiscard]] const AttentionSlot* slot_for(const models::DecodeAttention& op) const {
    const std::optional<Family> family = family_of(op.kind);
    if (!family) return nullptr;
    const Format format = eight_bits_or_less(op.cache) ? Format::fp8 : Format::bf16;
    const AttentionSlot* chosen = nullptr;
    for (const AttentionSlot& each : attention_) {
      if (each.family != *family) continue;
      const bool fits = each.format == format;
      if (fits && each.head_dim == op.qk_dim) return &each;
      if (each.measured.all.empty()) continue;
      if (chosen == nullptr || (chosen->format != format && fits) ||
          (fits && chosen->head_dim < op.qk_dim && each.head_dim > chosen->head_dim)) {
        chosen = &each;
      }
    }
    return chosen;
  }

  static DecodeAttentionForm::Shape shape_of(const models::DecodeAttention& op) {
    return {.sequences = op.sequences,
            .context = std::max(op.context, 1.0),
            .longest = op.longest,
            .query_rows = static_cast<double>(op.query_heads * op.queries_per_sequence),
            .kv_heads = static_cast<double>(op.kv_heads),
            .qk_dim = static_cast<double>(op.qk_dim),
            .v_dim = static_cast<double>(op.v_dim),
            .values_per_token = static_cast<double>(op.cache_values_per_token),
            .bytes_per_value = stored_bytes(op.cache),
            .cold = op.cold};
  }

  // Weights as the curve's format stores them, scales and all, where they are of its width.
  static double weight_bytes(Precision weights, Format format) {
    const double own = calibrated::weight_bytes_of(format);
    const double stored = stored_bytes(weights);
    return std::abs(own - stored) < 0.2 * stored ? own : stored;
  }

  // ask(): `op` as a shape of the form that times it, to `with`; an answer where there is none.
  template <typename With>
  void ask(const models::Operator& op, With&& with) const {
    std::visit([&](const auto& shape) { ask_of(op, shape, with); }, op.shape);
  }

  template <typename With>
  void ask_of(const models::Operator& op, const models::DecodeAttention& shape, With& with) const {
    if (shape.sequences <= 0.0) return with(Answered{});
    const AttentionSlot* found = slot_for(shape);
    if (found == nullptr || !like_fp8(shape.compute)) {
      return with(Answered{roofline(models::demand(op))});
    }
    const Format format = eight_bits_or_less(shape.cache) ? Format::fp8 : Format::bf16;
    const bool own_format = found->format == format;
    const bool own_size = found->head_dim == shape.qk_dim;
    with(Asked<DecodeAttentionForm>{
        .slot = own_size && own_format ? &found->slot : &found->measured,
        .shape = shape_of(shape),
        .added_error =
            (own_size ? 0.0 : kErrorOfHeadSize) + (own_format ? 0.0 : kErrorOfCacheFormat)});
  }

  template <typename With>
  void ask_of(const models::Operator& op, const models::Gemm& shape, With& with) const {
    if (shape.m <= 0.0) return with(Answered{});
    const auto in = [&](Precision asked) {
      const bool wider =
          shape.batch > 1 && by_head_ && stored_bytes(asked) < stored_bytes(*by_head_);
      return wider ? *by_head_ : asked;
    };
    const Slot& found = of(gemm_, in(shape.compute), in(shape.weights));
    if (found.all.empty()) return with(Answered{roofline(models::demand(op))});
    const Format format = found.all.front()->key.format;
    with(Asked<GemmForm>{.slot = &found,
                         .shape = {.m = shape.m,
                                   .n = static_cast<double>(shape.n),
                                   .k = static_cast<double>(shape.k),
                                   .batch = static_cast<double>(shape.batch),
                                   .input_bytes = bytes_of(format),
                                   .weight_bytes = weight_bytes(in(shape.weights), format)},
                         .added_error = found.exact ? 0.0 : kErrorOfProductFormat});
  }

  using ByPrecision = std::array<std::array<Slot, models::kPrecisions>, models::kPrecisions>;
  static const Slot& of(const ByPrecision& slots, Precision compute, Precision weights) {
    return slots[static_cast<std::size_t>(compute)][static_cast<std::size_t>(weights)];
  }

  template <typename With>
  void ask_of(const models::Operator& op, const models::GroupedGemm& shape, With& with) const {
    if (shape.rows <= 0.0) return with(Answered{});
    RIDGE_INVARIANT(shape.tokens > 0.0 && shape.routed_rows > 0.0,
                    "a launch over experts says which tokens it is handed");
    // Of other ranks' experts, what no exchange would have brought here.
    const bool handed_all = shape.routed_rows > 1.001 * shape.rows;
    const Slot& found = of(handed_all ? handed_all_ : grouped_, shape.compute, shape.weights);
    if (found.all.empty()) return with(Answered{roofline(models::demand(op))});
    const CurveKey& key = found.all.front()->key;
    Asked<GroupedGemmForm> asked{
        .slot = &found,
        .shape = {.rows = shape.rows,
                  .routed_rows = shape.routed_rows,
                  .tokens = shape.tokens,
                  .experts = static_cast<double>(shape.experts),
                  .active_experts = std::min(shape.active_experts, shape.rows),
                  .n = static_cast<double>(shape.n),
                  .k = static_cast<double>(shape.k),
                  .input_bytes = bytes_of(key.format),
                  .weight_bytes = weight_bytes(shape.weights, key.format),
                  .profile = {}},
        .added_error = found.exact ? 0.0 : kErrorOfProductFormat};
    if (key.family == Family::moe_layer && shape.kind != models::GroupedGemm::Kind::single) {
      layer_of(shape.kind, asked);
    }
    with(asked);
  }

  // Measured as whole layers: the layer that this product is of, and the part that the physical
  // form gives to it. Both products of a layer add up to it.
  void layer_of(models::GroupedGemm::Kind kind, Asked<GroupedGemmForm>& asked) const {
    const Curve& curve = *asked.slot->usable.front();
    const auto* fitted = std::get_if<Fitted<GroupedGemmForm>>(&curve.fitted);
    GroupedGemmForm::Shape& layer = asked.shape;
    GroupedGemmForm::Shape other = layer;
    if (kind == models::GroupedGemm::Kind::up) {
      other.n = layer.k;
      other.k = 0.5 * layer.n;
      layer.intermediate = other.intermediate = other.k;
    } else {
      other.n = 2.0 * layer.k;
      other.k = layer.n;
      layer.intermediate = other.intermediate = layer.k;
    }
    const auto us = [&](const GroupedGemmForm::Shape& product) {
      return GroupedGemmForm::time(calibration_.machine, fitted->choice, fitted->p, product).us;
    };
    const double own_us = us(layer);
    asked.part = own_us / (own_us + us(other));
    if (kind == models::GroupedGemm::Kind::down) std::swap(layer, other);
    layer.n2 = other.n;
    layer.k2 = other.k;
  }

  // Whether experts of this precision are timed by whole layers, with permutation, activation and
  // combination in it.
  [[nodiscard]] bool covers_layer(Precision compute) const {
    const Slot& found = of(grouped_, compute, compute);
    return !found.all.empty() && found.all.front()->key.family == Family::moe_layer;
  }

  template <typename With>
  void ask_of(const models::Operator& op, const models::Elementwise& shape, With& with) const {
    const models::Demand d = models::demand(op);
    if (d.memory().value() <= 0.0) return with(Answered{});
    using Kind = models::Elementwise::Kind;
    // Around experts: what they compute in, or their sum, is what is written.
    if (shape.kind != Kind::general && covers_layer(shape.output)) return with(Answered{});
    ask_stream(op, d, with);
  }

  template <typename With>
  void ask_of(const models::Operator& op, const models::StateUpdate& shape, With& with) const {
    if (shape.sequences <= 0.0) return with(Answered{});
    ask_stream(op, models::demand(op), with);
  }

  template <typename With>
  void ask_of(const models::Operator& op, const models::TopK& shape, With& with) const {
    if (shape.rows <= 0.0) return with(Answered{});
    ask_stream(op, models::demand(op), with);
  }

  template <typename With>
  void ask_stream(const models::Operator& op, const models::Demand& d, With& with) const {
    const Slot& found = plain(op.kernel());
    if (found.all.empty()) return with(Answered{roofline(d)});
    with(Asked<ElementwiseForm>{.slot = &found, .shape = {.MB = 1e-6 * d.memory().value()}});
  }

  template <typename With>
  void ask_of(const models::Operator& op, const models::Collective& shape, With& with) const {
    if (shape.ranks <= 1) return with(Answered{});
    const auto ranks = static_cast<double>(shape.ranks);
    const double wire = models::demand(op).wire.value();
    const bool far = shape.ranks > ranks_per_server_;
    const Slot& exchange =
        plain(shape.returning ? models::Kernel::expert_combine : models::Kernel::expert_dispatch);
    // Between tokens and experts, or in any case where it crosses servers.
    const bool expert_exchange = shape.kind == models::Collective::Kind::all_to_all &&
                                 !exchange.all.empty() && (far || shape.copies > 0.0);
    if (expert_exchange) {
      const double here = std::min(ranks, static_cast<double>(ranks_per_server_));
      const double payload = shape.payload.value();
      const double bytes = shape.copies > 0.0 ? payload / shape.copies : kUsualMessageBytes;
      const double experts = shape.experts > 0 ? static_cast<double>(shape.experts) : kUsualExperts;
      return with(Asked<ExpertExchangeForm>{
          .slot = &exchange,
          .shape = {
              .servers = ranks / here,
              .ranks_per_server = here,
              .tokens = payload / (kUsualTopK * bytes),
              .top_k = kUsualTopK,
              .experts = std::max(experts, ranks),
              .bytes_per_token = bytes,
              .ranks_reached = ExpertExchangeForm::ranks_reached_at_random(ranks, kUsualTopK)}});
    }
    models::Collective whole = shape;
    whole.copies = 0.0;  // without a kernel of its own, any all-to-all
    const models::Kernel kernel = models::Operator{.shape = whole}.kernel();
    const Slot& found = spans(plain(kernel), ranks) ? plain(kernel) : widest(kernel);
    const Asked<CollectiveForm> asked{.slot = &found,
                                      .shape = {.ranks = ranks, .wire_MB = 1e-6 * wire}};
    if (!found.all.empty() && !far) return with(asked);
    Timing timing;
    if (found.all.empty()) {
      const double us = chip_.scale_up_bandwidth.value
                            ? 1e6 * wire / chip_.scale_up_bandwidth.value->value()
                            : 0.0;
      timing = {.time = Seconds{1e-6 * (launch_us_ + us)},
                .bound = Resource::link,
                .error = kErrorOfRoofline,
                .within_range = false};
    } else {
      timing = answer(asked);
    }
    // Across servers the network card is the least that must be waited for.
    if (far && chip_.nic_bandwidth.value) {
      const Seconds network = Bytes{wire} / *chip_.nic_bandwidth.value;
      if (network > timing.time) timing.time = network;
      timing.within_range = false;
    }
    with(Answered{timing});
  }

  template <typename With>
  void ask_of(const models::Operator& /*op*/, const models::PointToPoint& shape, With& with) const {
    const Seconds wire = chip_.scale_up_bandwidth.value
                             ? shape.payload / *chip_.scale_up_bandwidth.value
                             : Seconds{};
    with(Answered{
        {.time = wire, .bound = Resource::link, .error = kErrorOfRoofline, .within_range = false}});
  }

  ChipSpec chip_;
  Calibration calibration_;
  std::vector<double> errors_;              // standard_error() of each curve
  std::vector<double> errors_over_chosen_;  // beside it, of each
  std::map<std::tuple<Family, Format, std::int64_t>, Slot> slots_;
  std::vector<AttentionSlot> attention_;
  ByPrecision gemm_{};
  ByPrecision grouped_{};
  ByPrecision handed_all_{};  // of launches that are handed other ranks' choices too
  std::array<Slot, models::kKernels> plain_{};   // of one number format, or of none
  std::array<Slot, models::kKernels> widest_{};  // of collectives
  // In which products that have weights for each head are computed, where that was measured.
  std::optional<Precision> by_head_;
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
  const auto warn = [&](std::string words) {
    if (!words.empty() && std::find(warnings.begin(), warnings.end(), words) == warnings.end()) {
      warnings.push_back(std::move(words));
    }
  };
  for (const models::Operator* op = begin; op != end; ++op) {
    const Timing timing = model.time(*op);
    if (!timing.within_range) {
      warn(
          fmt::format("{}: outside what the calibration was measured on; its error is widened to "
                      "{:.0f} %",
                      op->name, 100.0 * timing.error));
    }
    warn(model.advice(*op));
  }
  return warnings;
}

}  // namespace ridge::hw
