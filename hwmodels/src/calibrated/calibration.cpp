#include "ridge/hwmodels/calibrated/calibration.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/hwmodels/calibrated/kernel_facts.hpp"
#include "ridge/hwmodels/calibrated/transfer_errors.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <set>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::hw::calibrated {

namespace {

// Figures of one chip over those of another.
struct Ratios {
  double memory = 1.0;
  double l2 = 1.0;
  double power_demand = 1.0;  // matrix rate for each watt of the power limit
  double scale_up = 1.0;
  double network = 1.0;
};

template <typename T>
double ratio(const Fact<T>& to, const Fact<T>& from) {
  if constexpr (std::is_same_v<T, std::int64_t>) {
    return to.value && from.value
               ? static_cast<double>(*to.value) / static_cast<double>(*from.value)
               : 1.0;
  } else {
    return to.value && from.value ? *to.value / *from.value : 1.0;
  }
}

// A rate below the data sheet's is two times in one: that of the matrix units or the memory at the
// sheet's rate, and that of the work beside them (exponentials, issue slots, shared memory, the
// ends of pipelines; requests that a kernel has in flight), which takes as long on a chip of the
// same generation. Only the first follows the data sheets. Clocks are taken as equal.
double moved_rate(double rate, double from_sheet, double to_sheet) {
  const double beside = std::max(0.0, 1.0 / rate - 1.0 / from_sheet);
  return 1.0 / (1.0 / to_sheet + beside);
}

// Slowdown 1 + throttle is how far the power that is asked for exceeds the limit; the matrix units
// ask for it in proportion to their rate.
double moved_throttle(double throttle, double power_demand, double lower) {
  return std::max(lower, (1.0 + throttle) * power_demand - 1.0);
}

// A parameter on the other chip: what its role says.
struct Move {
  Ratios ratios;
  Machine from;
  Machine to;

  [[nodiscard]] double operator()(const ParameterInfo& info, double value, Format format) const {
    switch (info.role) {
      case Role::own:
      case Role::launch:
      case Role::overlap:
      // What L2 gives does not follow the memory's bandwidth.
      case Role::l2_rate:
        return value;
      case Role::memory_rate:
        return moved_rate(value, from.memory_TBps, to.memory_TBps);
      case Role::stream_rate:
        return value * ratios.memory;
      case Role::l2_size:
        return value * ratios.l2;
      case Role::matrix_rate:
        return moved_rate(value, from.unit_TFLOPps(format), to.unit_TFLOPps(format));
      case Role::throttle:
        return moved_throttle(value, ratios.power_demand, info.lower);
      case Role::scale_up_rate:
        return value * ratios.scale_up;
      case Role::network_rate:
        return value * ratios.network;
    }
    throw InvariantError("a parameter of no role");
  }
};

std::size_t shapes_of(const Curve& curve) {
  return static_cast<std::size_t>(curve.held_out.by_shape ? curve.held_out.groups : 1);
}

using Slot = std::tuple<Family, Format, std::int64_t>;

Slot slot_of(const Curve& curve) {
  return {curve.key.family, curve.key.format, curve.key.head_dim};
}

// Place of the curve's kernel in a list of preferred ones; the list's length if it is not there.
std::ptrdiff_t preference(const std::vector<std::string>& preferred, const Curve& curve) {
  return std::find_if(preferred.begin(), preferred.end(),
                      [&](const auto& name) { return is_named(curve.key.kernel, name); }) -
         preferred.begin();
}

bool on_the_wire(Family family) {
  const FittedForm form = form_of(family);
  const auto info = parameters_of(form);
  return std::any_of(info.begin(), info.end(),
                     [](const ParameterInfo& each) { return each.role == Role::scale_up_rate; });
}

// What facts say of kernels on the calibration's chip.
void state_tiles(Calibration& calibration) {
  for (Curve& curve : calibration.curves) {
    auto* fitted = std::get_if<Fitted<GroupedGemmForm>>(&curve.fitted);
    if (fitted == nullptr || fitted->choice.tiles.stated == nullptr) continue;
    fitted->choice.tiles.stated = stated_expert_tiles(curve.key, calibration.chip);
  }
}

const Catalog& catalog() {
  static const Catalog kCatalog("a calibration", "hwmodels/data/calibrations", "calibrations");
  return kCatalog;
}

}  // namespace

const Curve* Calibration::find(Family family, Format format, std::int64_t head_dim) const {
  for (const Curve& curve : curves) {
    if (curve.key.family == family && curve.key.format == format &&
        curve.key.head_dim == head_dim) {
      return &curve;
    }
  }
  return nullptr;
}

Machine machine_of(const ChipSpec& chip) {
  if (!chip.compute_units.value) {
    throw UserError(
        fmt::format("{}: a calibration needs compute_units, which is unknown", chip.name));
  }
  if (!chip.memory_bandwidth.value) {
    throw UserError(
        fmt::format("{}: a calibration needs memory_bandwidth_TBps, which is unknown", chip.name));
  }
  const auto bf16 = chip.rate_for(Precision::bf16);
  if (!bf16) {
    throw UserError(
        fmt::format("{}: a calibration needs a BF16 matrix rate, which is unknown", chip.name));
  }
  return {.compute_units = static_cast<double>(*chip.compute_units.value),
          .memory_TBps = chip.memory_bandwidth.value->value() * 1e-12,
          .bf16_TFLOPps = bf16->value() * 1e-12,
          .fp8_TFLOPps = chip.rate_for(Precision::fp8)->value() * 1e-12,
          .fp4_TFLOPps = chip.rate_for(Precision::fp4)->value() * 1e-12};
}

bool answers(const Curve& curve, Family family, Format format, std::int64_t head_dim) {
  const CurveKey& key = curve.key;
  return key.format == format && key.head_dim == head_dim &&
         (key.family == family ||
          (family == Family::sparse_latent_attention && error_over_chosen_tokens(key).has_value()));
}

static Use use_in(const Calibration& calibration, const Slot& slot, const Curve& curve) {
  std::vector<const Curve*> left;
  for (const Curve& other : calibration.curves) {
    if (std::apply([&](auto... of) { return answers(other, of...); }, slot)) left.push_back(&other);
  }
  if (left.size() == 1) return Use::alone;
  bool preferred = false;
  for (const std::string& kernel : calibration.preferred) {
    std::vector<const Curve*> named;
    std::copy_if(left.begin(), left.end(), std::back_inserter(named),
                 [&](const Curve* c) { return is_named(c->key.kernel, kernel); });
    if (named.empty()) continue;
    if (std::find(named.begin(), named.end(), &curve) == named.end()) return Use::passed;
    preferred = true;
    left = std::move(named);
    break;
  }
  // What is new comes before what it is based on, what was measured here before what was not, and
  // what errs by more than a fifth after what does not.
  const auto falls_behind = [&](auto&& holds) {
    std::vector<const Curve*> those;
    std::copy_if(left.begin(), left.end(), std::back_inserter(those), holds);
    if (those.empty()) return false;
    left = std::move(those);
    return !holds(&curve);
  };
  if (falls_behind([](const Curve* c) { return !c->standby; })) return Use::based_on;
  if (falls_behind([](const Curve* c) { return !c->borrowed; })) return Use::elsewhere;
  if (falls_behind([](const Curve* c) { return c->held_out.p50 <= kPoorCurve; })) return Use::poor;
  if (left.size() > 1) return Use::fastest;
  return preferred ? Use::preferred : Use::alone;
}

Use use_of(const Calibration& calibration, const Curve& curve) {
  return use_in(calibration, slot_of(curve), curve);
}

std::string_view words_of(Use use) {
  switch (use) {
    case Use::alone:
      return "used";
    case Use::fastest:
      return "used where fastest";
    case Use::preferred:
      return "used: preferred";
    case Use::passed:
      return "not used: another is preferred";
    case Use::based_on:
      return "not used: from the base";
    case Use::elsewhere:
      return "not used: not measured here";
    case Use::poor:
      return "not used: errs by more than 20 %";
  }
  throw InvariantError("a use without words");
}

std::string use_words(const Calibration& calibration, const Curve& curve) {
  std::string words(words_of(use_of(calibration, curve)));
  if (error_over_chosen_tokens(curve.key)) words += "; also over chosen tokens";
  return words;
}

std::vector<const Curve*> usable(const Calibration& calibration, Family family, Format format,
                                 std::int64_t head_dim) {
  std::vector<const Curve*> result;
  for (const Curve& curve : calibration.curves) {
    if (!answers(curve, family, format, head_dim)) continue;
    const Use use = use_in(calibration, {family, format, head_dim}, curve);
    if (use <= Use::preferred) result.push_back(&curve);
  }
  return result;
}

void order_curves(Calibration& calibration) {
  const auto rank = [&](const Curve& c) {
    return std::make_tuple(preference(calibration.preferred, c), c.standby, c.borrowed.has_value(),
                           c.held_out.p50 > kPoorCurve);
  };
  std::stable_sort(calibration.curves.begin(), calibration.curves.end(),
                   [&](const Curve& a, const Curve& b) {
                     if (slot_of(a) != slot_of(b)) return slot_of(a) < slot_of(b);
                     if (rank(a) != rank(b)) return rank(a) < rank(b);
                     if (shapes_of(a) != shapes_of(b)) return shapes_of(a) > shapes_of(b);
                     return a.held_out.p50 < b.held_out.p50;
                   });
}

void prefer(Calibration& calibration, const std::vector<std::string>& kernels) {
  std::vector<std::string> known;
  for (const Curve& curve : calibration.curves) {
    const std::string& kernel = curve.key.kernel;
    if (!kernel.empty() && std::find(known.begin(), known.end(), kernel) == known.end()) {
      known.push_back(kernel);
    }
  }
  for (const std::string& kernel : kernels) {
    const auto named = [&](const std::string& each) { return is_named(each, kernel); };
    if (std::any_of(known.begin(), known.end(), named)) continue;
    throw UserError(
        fmt::format("the calibration \"{}\" has no curve of a kernel \"{}\", only of {}{}",
                    calibration.name, kernel, fmt::join(known, ", "), did_you_mean(kernel, known)));
  }
  calibration.preferred.insert(calibration.preferred.begin(), kernels.begin(), kernels.end());
  std::stable_sort(calibration.curves.begin(), calibration.curves.end(),
                   [&](const Curve& a, const Curve& b) {
                     return preference(kernels, a) < preference(kernels, b);
                   });
}

double change_error(Family family, Format format, const ChipSpec& from, const ChipSpec& to) {
  const auto folds = [](double x) { return std::abs(std::log(x)); };
  double change = 0.0;
  if (on_the_wire(family)) {
    change = std::max(folds(ratio(to.scale_up_bandwidth, from.scale_up_bandwidth)),
                      folds(ratio(to.nic_bandwidth, from.nic_bandwidth)));
  } else {
    const double memory = ratio(to.memory_bandwidth, from.memory_bandwidth);
    const int bits = matrix_bits(format);
    const double matrix = machine_of(to).TFLOPps(bits) / machine_of(from).TFLOPps(bits);
    change = std::max(folds(matrix / memory),
                      folds(ratio(to.compute_units, from.compute_units) / memory));
  }
  return transfer_errors().per_fold * change;
}

double transfer_error(Family family, Format format, const ChipSpec& from, const ChipSpec& to) {
  return std::hypot(transfer_errors().between_alike(family, from.generation),
                    change_error(family, format, from, to));
}

// Trees know where waves end. That a few units more end them elsewhere costs less than to go
// without: fitted with 148 units, kernels err on 152 by half to four fifths as much with them. Of
// more than so few nobody measured it.
static bool as_many_units(const ChipSpec& from, const ChipSpec& to) {
  constexpr double kNearly = 0.03;
  return std::abs(ratio(to.compute_units, from.compute_units) - 1.0) <= kNearly;
}

Calibration moved(Calibration calibration, const ChipSpec& from, const ChipSpec& to) {
  Move move{.ratios = {}, .from = machine_of(from), .to = machine_of(to)};
  Ratios& ratios = move.ratios;
  ratios.memory = ratio(to.memory_bandwidth, from.memory_bandwidth);
  ratios.l2 = ratio(to.l2_cache, from.l2_cache);
  ratios.scale_up = ratio(to.scale_up_bandwidth, from.scale_up_bandwidth);
  ratios.network = ratio(to.nic_bandwidth, from.nic_bandwidth);
  const auto bf16 = static_cast<std::size_t>(Precision::bf16);
  ratios.power_demand =
      ratio(to.matrix_rate[bf16], from.matrix_rate[bf16]) / ratio(to.power, from.power);

  calibration.chip = to.name;
  calibration.machine = move.to;
  for (Curve& curve : calibration.curves) {
    const auto info = parameters_of(curve.fitted);
    const auto values = values_of(curve.fitted);
    for (std::size_t j = 0; j < values.size(); ++j) {
      values[j] = move(info[j], values[j], curve.key.format);
    }
    if (!as_many_units(from, to)) curve.residual = {};
  }
  state_tiles(calibration);
  return calibration;
}

namespace {

/// A curve answers for what it was not measured on, once more: the errors are independent.
void borrow(Curve& curve, const std::string& from, double added) {
  const double before = curve.borrowed ? curve.borrowed->added_error : 0.0;
  curve.borrowed = Borrowed{.from = curve.borrowed ? curve.borrowed->from : from,
                            .added_error = std::hypot(before, added)};
}

}  // namespace

Calibration transferred(const Calibration& calibration, const ChipSpec& from, const ChipSpec& to) {
  if (from.generation.empty() || from.generation != to.generation) {
    throw UserError(fmt::format(
        "the calibration \"{}\" was made on {} ({}); {} is of another generation ({}), whose "
        "kernels differ by more than data-sheet ratios",
        calibration.name, from.name, from.generation, to.name, to.generation));
  }
  Calibration result = moved(calibration, from, to);
  for (Curve& curve : result.curves) {
    borrow(curve, from.name, transfer_error(curve.key.family, curve.key.format, from, to));
  }
  return result;
}

Calibration for_other_kernels(Calibration calibration, std::span<const Family> families) {
  for (const Family family : families) {
    double most = 0.0;
    for (Curve& curve : calibration.curves) {
      if (curve.key.family != family) continue;
      const double added = transfer_errors().of_another_kernel(family, curve.key.format);
      most = std::max(most, added);
      borrow(curve, "another kernel than runs", added);
    }
    if (most > 0.0) continue;
    throw UserError(fmt::format(
        "of {} calibration \"{}\" has no kernel, or nobody measured how far other kernels are "
        "from one: expected other families",
        name_of(family), calibration.name));
  }
  return calibration;
}

bool on_other_silicon(const Calibration& calibration, const ChipSpec& sheet, const ChipSpec& chip) {
  const auto values = [](const Machine& m) {
    return std::array{m.compute_units, m.memory_TBps, m.bf16_TFLOPps, m.fp8_TFLOPps, m.fp4_TFLOPps};
  };
  const auto of_chip = values(machine_of(chip));
  if (of_chip == values(machine_of(sheet))) {
    return chip.l2_cache.value != sheet.l2_cache.value || chip.power.value != sheet.power.value;
  }
  const auto known = values(calibration.machine);
  constexpr double kWritten = 1e-5;  // a file holds six digits
  return !std::equal(known.begin(), known.end(), of_chip.begin(), [](double a, double b) {
    return std::abs(a - b) <= kWritten * std::max(std::abs(a), std::abs(b));
  });
}

Calibration on_other_links(Calibration calibration, const ChipSpec& from, const ChipSpec& to) {
  const double scale_up = ratio(to.scale_up_bandwidth, from.scale_up_bandwidth);
  const double network = ratio(to.nic_bandwidth, from.nic_bandwidth);
  if (scale_up == 1.0 && network == 1.0) return calibration;
  for (Curve& curve : calibration.curves) {
    const auto info = parameters_of(curve.fitted);
    const auto values = values_of(curve.fitted);
    bool moved = false;
    for (std::size_t j = 0; j < values.size(); ++j) {
      const double factor = info[j].role == Role::scale_up_rate  ? scale_up
                            : info[j].role == Role::network_rate ? network
                                                                 : 1.0;
      values[j] *= factor;
      moved = moved || factor != 1.0;
    }
    if (!moved) continue;
    const double before = curve.borrowed ? curve.borrowed->added_error : 0.0;
    curve.borrowed =
        Borrowed{.from = curve.borrowed ? curve.borrowed->from : from.name + " on links of its own",
                 .added_error = std::hypot(
                     before, transfer_error(curve.key.family, curve.key.format, from, to))};
  }
  return calibration;
}

void complete(Calibration& calibration, const Calibration& other) {
  std::vector<Curve> missing;
  for (const Curve& curve : other.curves) {
    const bool known =
        std::any_of(calibration.curves.begin(), calibration.curves.end(), [&](const Curve& own) {
          return slot_of(own) == slot_of(curve) && own.key.kernel == curve.key.kernel;
        });
    if (known) continue;
    missing.push_back(curve);
    missing.back().standby = true;
  }
  calibration.curves.insert(calibration.curves.end(), missing.begin(), missing.end());
}

void borrow_elementwise(Calibration& calibration) {
  if (calibration.find(Family::elementwise, Format::any) != nullptr) return;
  const Curve* gemm = calibration.find(Family::gemm, Format::bf16);
  if (gemm == nullptr) gemm = calibration.find(Family::gemm, Format::fp8_block);
  if (gemm == nullptr) return;
  // A mixed stream reaches about nine tenths of what a data sheet promises.
  constexpr double kStream = 0.9;
  Fitted<ElementwiseForm> fitted;
  fitted.p[ElementwiseForm::launch_us] = values_of(gemm->fitted)[GemmForm::launch_us];
  fitted.p[ElementwiseForm::memory_TBps] = kStream * calibration.machine.memory_TBps;
  Curve curve;
  curve.key = {.family = Family::elementwise, .format = Format::any, .kernel = ""};
  curve.fitted = fitted;
  curve.borrowed = Borrowed{.from = "no measurement: launch of the GEMM, 0.9 of the data sheet",
                            .added_error = 0.3};
  calibration.curves.push_back(curve);
}

bool is_named(std::string_view kernel, std::string_view name) {
  const std::size_t star = name.find('*');
  if (star == std::string_view::npos) return kernel == name;
  if (!kernel.starts_with(name.substr(0, star))) return false;
  const std::string_view behind = name.substr(star + 1);
  for (std::size_t i = star; i <= kernel.size(); ++i) {
    if (is_named(kernel.substr(i), behind)) return true;
  }
  return false;
}

Calibration resampled(const Calibration& calibration, std::uint64_t seed) {
  Calibration drawn = calibration;
  // By its name, so that what a curve draws does not depend on which others there are.
  for (Curve& curve : drawn.curves) {
    Random random(seed, stream_of(curve.key.slot() + '|' + curve.key.kernel));
    curve = resampled(curve, calibration.machine, random);
  }
  return drawn;
}

Calibration slowed(Calibration calibration, double factor) {
  for (Curve& curve : calibration.curves) curve.factor *= factor;
  return calibration;
}

Calibration load_calibration(const std::string& name_or_path) {
  auto calibration =
      read_document<Calibration>(JsonDocument::read(catalog().resolve(name_or_path)));
  state_tiles(calibration);
  return calibration;
}

std::vector<std::string> calibration_names() {
  return catalog().names();
}

namespace {

// What stands under "kernel" and in lists under "kernels", at any depth.
void collect_kernels(const nlohmann::json& json, std::set<std::string>& out) {
  const auto add = [&](const nlohmann::json& name) {
    if (name.is_string() && !name.get_ref<const std::string&>().empty()) {
      out.insert(name.get<std::string>());
    }
  };
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      if (key == "kernel") add(value);
      if (key == "kernels") std::for_each(value.begin(), value.end(), add);
      collect_kernels(value, out);
    }
  } else if (json.is_array()) {
    for (const auto& each : json) {
      if (each.is_structured()) collect_kernels(each, out);
    }
  }
}

}  // namespace

const std::vector<std::string>& known_kernels() {
  static const ReadOnce kKernels([] {
    std::set<std::string> out;
    for (const std::string& name : calibration_names()) {
      try {
        collect_kernels(JsonDocument::read(catalog().resolve(name)).json(), out);
      } catch (const UserError&) {  // is told where it is asked
      }
    }
    // Not the files of modules, which have names of their own.
    for (const char* facts : {"decode_attention", "expert_tiles", "measured_experts"}) {
      const std::string file = fmt::format("hwmodels/data/kernels/{}.json", facts);
      collect_kernels(JsonDocument::read(data_root() / file).json(), out);
    }
    return std::vector<std::string>(out.begin(), out.end());
  });
  return *kKernels;
}

}  // namespace ridge::hw::calibrated
