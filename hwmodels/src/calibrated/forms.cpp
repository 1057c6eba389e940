#include "ridge/hwmodels/calibrated/forms.hpp"

namespace ridge::hw::calibrated {

FittedForm form_of(Family family) {
  switch (family) {
    case Family::decode_attention:
    case Family::latent_attention:
    case Family::sparse_latent_attention:
    case Family::compressed_attention:
    case Family::index_scores:
      return Fitted<DecodeAttentionForm>{};
    case Family::gemm:
      return Fitted<GemmForm>{};
    case Family::grouped_gemm:
    case Family::moe_layer:
      return Fitted<GroupedGemmForm>{};
    case Family::all_reduce:
    case Family::all_gather:
    case Family::reduce_scatter:
    case Family::all_to_all:
      return Fitted<CollectiveForm>{};
    case Family::expert_dispatch:
    case Family::expert_combine:
      return Fitted<ExpertExchangeForm>{};
    case Family::top_k:
    case Family::gated_delta_state:
    case Family::kimi_delta_state:
    case Family::elementwise:
      return Fitted<ElementwiseForm>{};
  }
  throw InvariantError("a family of no form");
}

std::span<const ParameterInfo> parameters_of(const FittedForm& fitted) {
  return std::visit([](const auto& f) { return std::decay_t<decltype(f)>::Form::parameters(); },
                    fitted);
}

std::span<double> values_of(FittedForm& fitted) {
  return std::visit([](auto& f) { return std::span<double>(f.p); }, fitted);
}

std::span<const double> values_of(const FittedForm& fitted) {
  return std::visit([](const auto& f) { return std::span<const double>(f.p); }, fitted);
}

std::span<const std::string_view> feature_names(const FittedForm& fitted) {
  return std::visit(
      [](const auto& f) {
        using Form = typename std::decay_t<decltype(f)>::Form;
        static constexpr auto kNames = [] {
          std::array<std::string_view, Form::kFeatures.size() + 1> names;
          std::copy(Form::kFeatures.begin(), Form::kFeatures.end(), names.begin());
          names.back() = "log2_us";
          return names;
        }();
        return std::span<const std::string_view>(kNames);
      },
      fitted);
}

std::span<const std::string_view> range_names(const FittedForm& fitted) {
  return std::visit(
      [](const auto& f) {
        return std::span<const std::string_view>(std::decay_t<decltype(f)>::Form::kRanges);
      },
      fitted);
}

}  // namespace ridge::hw::calibrated
