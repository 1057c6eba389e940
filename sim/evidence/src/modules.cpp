#include "ridge/evidence/modules.hpp"

#include "ridge/base/statistics.hpp"
#include "ridge/hwmodels/calibrated/calibrated_model.hpp"
#include "ridge/hwmodels/calibrated/measured_modules.hpp"
#include "ridge/models/attention.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ridge::evidence {

using hw::calibrated::Format;
using hw::calibrated::MeasuredModule;
using hw::calibrated::ModuleModel;
using Kind = MeasuredModule::Kind;

namespace {

using ModuleFigure = view::Figure<ModuleJudgment>;

const std::array kModuleFigures = {
    ModuleFigure{{"measurements", "/measurements", "rows", "", "measurements of the module",
                  view::FigureKind::count},
                 [](const ModuleJudgment& row) { return static_cast<double>(row.measurements); }},
    ModuleFigure{{"error_p50", "/error/p50", "p50", "", "median of |predicted / measured - 1|"},
                 [](const ModuleJudgment& row) { return row.p50; }},
    ModuleFigure{{"error_p90", "/error/p90", "p90", "",
                  "what nine of ten of |predicted / measured - 1| are below"},
                 [](const ModuleJudgment& row) { return row.p90; }},
    ModuleFigure{
        {"error_worst", "/error/worst", "worst", "", "largest of |predicted / measured - 1|"},
        [](const ModuleJudgment& row) { return row.worst; }},
    ModuleFigure{{"bias", "/bias", "bias", "",
                  "median of predicted / measured - 1: above 0, predicted too slow"},
                 [](const ModuleJudgment& row) { return row.bias; }},
    ModuleFigure{{"off_us", "/off_us", "off (us)", "us",
                  "median of predicted - measured in us: above 0, predicted too slow"},
                 [](const ModuleJudgment& row) { return row.off_us; }},
    ModuleFigure{{"measured_us", "/measured_us", "measured (us)", "us",
                  "median of the measured times in us"},
                 [](const ModuleJudgment& row) { return row.measured_us; }},
};

// An attention as it was measured, or why it is not asked for.
struct Asked {
  models::AttentionBlock block;
  models::Precisions precisions;
  std::int64_t hidden = 0;
  std::int64_t tensor_parallel = 1;
};
using AskedOrNot = std::variant<Asked, std::string>;

// Of products and of caches; nothing for formats that no operator has.
std::optional<models::Precision> precision_of(Format format) {
  switch (format) {
    case Format::bf16:
      return models::Precision::bf16;
    case Format::fp8:
    case Format::fp8_block:
      return models::Precision::fp8;
    case Format::nvfp4:
      return models::Precision::fp4;
    default:
      return std::nullopt;
  }
}

// Whether a block is of this kind of module.
bool is_of(const models::AttentionBlock& block, const MeasuredModule& module) {
  if (const auto* mla = std::get_if<models::MultiHeadLatentAttention>(&block.kind)) {
    return mla->sparse.has_value() &&
           (module.kind == Kind::sparse_latent || module.kind == Kind::sparse_latent_reusing);
  }
  if (const auto* compressed = std::get_if<models::CompressedAttention>(&block.kind)) {
    return compressed->ratio == module.dimensions.ratio &&
           module.kind == (compressed->sparse ? Kind::compressed_sparse : Kind::compressed);
  }
  const auto* grouped = std::get_if<models::GroupedQueryAttention>(&block.kind);
  return grouped != nullptr && grouped->block_sparse && module.kind == Kind::block_sparse;
}

// What the model has of the dimensions that the table tells, on one GPU.
MeasuredModule::Dimensions dimensions_of(const models::AttentionBlock& block,
                                         std::int64_t tensor_parallel) {
  MeasuredModule::Dimensions out;
  const auto indexed_by = [&](const std::optional<models::SparseIndex>& index) {
    if (!index) return;
    out.index_heads = index->heads;  // on every GPU, each by itself
    out.index_dim = index->head_dim;
    out.top_k = index->top_k;
  };
  if (const auto* mla = std::get_if<models::MultiHeadLatentAttention>(&block.kind)) {
    indexed_by(mla->sparse);
  } else if (const auto* compressed = std::get_if<models::CompressedAttention>(&block.kind)) {
    indexed_by(compressed->sparse);
    out.ratio = compressed->ratio;
    out.window = compressed->local_tokens;
  } else if (const auto* grouped = std::get_if<models::GroupedQueryAttention>(&block.kind)) {
    out.kv_heads = std::max<std::int64_t>(grouped->kv_heads / tensor_parallel, 1);
    out.head_dim = grouped->head_dim;
    out.index_dim = grouped->block_sparse->head_dim;
    out.top_k = grouped->block_sparse->blocks;
    out.block = grouped->block_sparse->block_tokens;
  }
  return out;
}

// The first of them that the table tells otherwise, in words; empty where there is none.
std::string other_dimension(const MeasuredModule::Dimensions& told,
                            const MeasuredModule::Dimensions& has) {
  using D = MeasuredModule::Dimensions;
  constexpr std::array<std::pair<const char*, std::int64_t D::*>, 8> kAll = {
      {{"KV heads", &D::kv_heads},
       {"values of a head", &D::head_dim},
       {"heads of the indexer", &D::index_heads},
       {"values of an indexer's head", &D::index_dim},
       {"chosen", &D::top_k},
       {"tokens of a block", &D::block},
       {"tokens in one", &D::ratio},
       {"tokens of the window", &D::window}}};
  for (const auto& [what, dimension] : kAll) {
    if (told.*dimension == 0 || has.*dimension == 0 || told.*dimension == has.*dimension) continue;
    return fmt::format("{} {}, and not {}", told.*dimension, what, has.*dimension);
  }
  return {};
}

AskedOrNot attention_of(const MeasuredModule& module, const std::optional<ModuleModel>& model) {
  if (!model) {
    return fmt::format(
        "no model called \"{}\" ships, nor is one in hwmodels/data/kernels/measured_modules.json",
        module.model);
  }
  const auto weights = precision_of(module.products);
  const auto cache = precision_of(module.cache);
  if (!weights || !cache) {
    return fmt::format("products in {} over a cache in {}", name_of(module.products),
                       name_of(module.cache));
  }
  const auto block = std::find_if(model->attentions.begin(), model->attentions.end(),
                                  [&](const auto& each) { return is_of(each, module); });
  if (block == model->attentions.end()) {
    return fmt::format("{} has no such attention as {}", module.model, name_of(module.kind));
  }
  Asked asked{.block = *block, .precisions = {}, .hidden = model->hidden, .tensor_parallel = 1};
  const std::int64_t heads = models::split_heads(*block);
  const auto& told = module.dimensions;
  if (told.heads < 1 || told.heads > heads || heads % told.heads != 0) {
    return fmt::format("{} heads on one GPU, of {} that {} has", told.heads, heads, module.model);
  }
  asked.tensor_parallel = heads / told.heads;
  const std::string other = other_dimension(told, dimensions_of(*block, asked.tensor_parallel));
  if (!other.empty()) return fmt::format("{} with {}", module.model, other);

  asked.precisions.weights = asked.precisions.compute = *weights;
  asked.block.cache = asked.block.compute = *cache;
  asked.block.residual_streams = 1;
  if (auto* mla = std::get_if<models::MultiHeadLatentAttention>(&asked.block.kind)) {
    mla->sparse->reused = module.kind == Kind::sparse_latent_reusing;
  } else if (auto* grouped = std::get_if<models::GroupedQueryAttention>(&asked.block.kind)) {
    // Some engines cut these with the KV heads, some keep all of them on each GPU.
    grouped->block_sparse->heads =
        std::max<std::int64_t>(told.index_heads, 1) * asked.tensor_parallel;
  }
  return asked;
}

// The kernels that time modules: those that they call and their engine's, where the calibration has
// some.
class EngineKernels {
 public:
  EngineKernels(const hw::calibrated::Calibration& calibration, const hw::ChipSpec& chip)
      : calibration_(calibration), chip_(chip) {}

  struct Chosen {
    std::string preferred;
    std::unique_ptr<hw::KernelModel> kernels;
  };
  const Chosen& of(const std::string& kernel) {
    std::vector<std::string> names = hw::calibrated::kernels_of_module(kernel);
    const auto& curves = calibration_.curves;
    std::erase_if(names, [&](const std::string& name) {
      return std::none_of(curves.begin(), curves.end(), [&](const auto& curve) {
        return hw::calibrated::is_named(curve.key.kernel, name);
      });
    });
    const std::string all = fmt::format("{}", fmt::join(names, ", "));
    auto [at, fresh] = chosen_.try_emplace(all);
    if (!fresh) return at->second;
    hw::calibrated::Calibration preferring = calibration_;
    prefer(preferring, names);
    at->second = {all, hw::calibrated_model(chip_, preferring)};
    return at->second;
  }

 private:
  const hw::calibrated::Calibration& calibration_;
  const hw::ChipSpec& chip_;
  std::map<std::string, Chosen> chosen_;
};

// What is told of the modules that are judged together.
struct Sums {
  std::string preferred;
  std::vector<double> ratios;
  std::vector<double> off_us;
  std::vector<double> measured_us;
  struct OfOperator {
    std::string kernel;
    hw::Basis basis = hw::Basis::measured;
    std::vector<double> shares;
    std::vector<double> us;
  };
  std::map<std::string, OfOperator, std::less<>> operators;

  void add(const MeasuredModule& module, const Asked& asked, const EngineKernels::Chosen& chosen) {
    models::OperatorList list;
    models::attention_operators(asked.block, asked.precisions, asked.hidden,
                                {.sequences = module.batch, .context = module.kv_len},
                                {.tensor_parallel = asked.tensor_parallel},
                                models::MlaCount::absorbed, list);
    std::vector<std::pair<const models::Operator*, double>> times;
    double sum = 0.0;
    for (const models::Operator& op : list) {
      if (op.purpose == models::Purpose::residual_norm) continue;
      const double us = 1e6 * chosen.kernels->time(op).time.value();
      times.emplace_back(&op, us);
      sum += us;
    }
    for (const auto& [op, us] : times) {
      auto [at, fresh] = operators.try_emplace(std::string(op->name));
      OfOperator& told = at->second;
      const std::string_view kernel = chosen.kernels->kernel(*op);
      told.kernel = fresh || told.kernel == kernel ? std::string(kernel) : "several";
      const hw::Basis basis = chosen.kernels->basis(*op);
      told.basis = fresh ? basis : std::max(told.basis, basis);
      told.shares.push_back(us / sum);
      told.us.push_back(us);
    }
    preferred = chosen.preferred;
    ratios.push_back(sum / module.us - 1.0);
    off_us.push_back(sum - module.us);
    measured_us.push_back(module.us);
  }

  void judge(ModuleJudgment& out) {
    out.preferred = preferred;
    out.measurements = std::ssize(ratios);
    std::vector<double> off;
    for (const double ratio : ratios) off.push_back(std::abs(ratio));
    out.worst = *std::max_element(off.begin(), off.end());
    out.p50 = quantile(off, 0.5);
    out.p90 = quantile(std::move(off), 0.9);
    out.bias = quantile(std::move(ratios), 0.5);
    out.off_us = quantile(std::move(off_us), 0.5);
    out.measured_us = quantile(std::move(measured_us), 0.5);
    for (auto& [name, told] : operators) {
      out.operators.push_back({.name = name,
                               .share = quantile(std::move(told.shares), 0.5),
                               .us = quantile(std::move(told.us), 0.5),
                               .kernel = told.kernel,
                               .basis = told.basis});
    }
    std::stable_sort(out.operators.begin(), out.operators.end(),
                     [](const auto& a, const auto& b) { return a.share > b.share; });
  }
};

}  // namespace

std::span<const ModuleFigure> module_figures() {
  return kModuleFigures;
}

std::string ModuleJudgment::what() const {
  return fmt::format("{} of {}, {}, cache {}", name_of(kind), model, name_of(products),
                     name_of(cache));
}

std::string ModuleJudgment::where() const {
  constexpr std::size_t kShown = 3;
  std::vector<std::string> parts;
  for (const ModuleOperator& op : operators) {
    if (parts.size() < kShown)
      parts.push_back(fmt::format("{} {:.0f} %", op.name, 100.0 * op.share));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

JudgedModules judge_modules(std::span<const MeasuredModule> modules,
                            const hw::calibrated::Calibration& calibration,
                            const hw::ChipSpec& chip, std::string_view measured_on) {
  JudgedModules out;
  EngineKernels kernels(calibration, chip);
  std::map<std::string, std::optional<ModuleModel>> models;
  std::map<std::tuple<Kind, std::string, Format, Format, std::string>, Sums> sums;
  std::map<std::string, std::size_t> not_asked;
  for (const MeasuredModule& module : modules) {
    if (hw::calibrated::ran_without_graph(module, measured_on)) {
      ++not_asked[fmt::format("launched from the host, without a CUDA graph: {}", module.kernel)];
      continue;
    }
    auto [model, fresh] = models.try_emplace(module.model);
    if (fresh) model->second = hw::calibrated::module_model(module.model);
    const AskedOrNot asked = attention_of(module, model->second);
    if (const auto* why = std::get_if<std::string>(&asked)) {
      ++not_asked[*why];
      continue;
    }
    sums[{module.kind, module.model, module.products, module.cache, module.kernel}].add(
        module, std::get<Asked>(asked), kernels.of(module.kernel));
  }
  for (auto& [of, sum] : sums) {
    ModuleJudgment& row = out.rows.emplace_back();
    std::tie(row.kind, row.model, row.products, row.cache, row.kernel) = of;
    sum.judge(row);
  }
  for (const auto& [why, count] : not_asked) {
    out.notes.push_back(fmt::format("whole modules not asked: {}: {}", count, why));
  }
  return out;
}

}  // namespace ridge::evidence
