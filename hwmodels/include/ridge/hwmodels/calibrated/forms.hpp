// The list of forms. A form is one type: the fields of a shape, what they are kept in range of, the
// facts of a kernel (stated or tried), its parameters with their roles, and the time. Everything
// else (the fit, the files, transfers, explanations) is written once for all of them.
#pragma once

#include "ridge/hwmodels/calibrated/collective.hpp"
#include "ridge/hwmodels/calibrated/decode_attention.hpp"
#include "ridge/hwmodels/calibrated/elementwise.hpp"
#include "ridge/hwmodels/calibrated/expert_exchange.hpp"
#include "ridge/hwmodels/calibrated/gemm.hpp"
#include "ridge/hwmodels/calibrated/grouped_gemm.hpp"
#include "ridge/hwmodels/calibrated/residual.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

namespace ridge::hw::calibrated {

template <typename F>
struct Fitted {
  using Form = F;
  typename Form::Choice choice;
  typename Form::Parameters p{};
};

template <typename... Form>
struct FormList {
  using AnyFitted = std::variant<Fitted<Form>...>;
  using AnyShapes = std::variant<std::vector<typename Form::Shape>...>;
};

using Forms = FormList<DecodeAttentionForm, GemmForm, GroupedGemmForm, CollectiveForm,
                       ExpertExchangeForm, ElementwiseForm>;

using FittedForm = Forms::AnyFitted;
// Of one series, all of one form.
using Shapes = Forms::AnyShapes;

// The form that times a family's kernels, not fitted to anything.
[[nodiscard]] FittedForm form_of(Family family);

[[nodiscard]] std::span<const ParameterInfo> parameters_of(const FittedForm& fitted);
[[nodiscard]] std::span<double> values_of(FittedForm& fitted);
[[nodiscard]] std::span<const double> values_of(const FittedForm& fitted);
// Names of what a curve's ranges are kept of, in their order.
[[nodiscard]] std::span<const std::string_view> range_names(const FittedForm& fitted);

// What a residual is learned of: the features of the shape, and last the form's own time.
template <typename Form>
[[nodiscard]] auto residual_features(const Machine& machine, const typename Form::Choice& choice,
                                     const typename Form::Shape& shape, double us) {
  constexpr std::size_t kOfShape = Form::kFeatures.size();
  static_assert(kOfShape + 1 <= Residual::kMaxFeatures);
  std::array<double, kOfShape + 1> all;
  const std::array<double, kOfShape> of_shape = Form::features(machine, choice, shape);
  std::copy(of_shape.begin(), of_shape.end(), all.begin());
  all.back() = rough_log2(us);
  return all;
}
// In that order.
[[nodiscard]] std::span<const std::string_view> feature_names(const FittedForm& fitted);

}  // namespace ridge::hw::calibrated
