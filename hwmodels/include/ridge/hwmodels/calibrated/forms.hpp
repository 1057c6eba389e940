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
#include <utility>
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

// What a form works out of a shape first, for its time and its features alike; nothing for most.
struct NoPlan {};
template <typename Form>
inline constexpr bool kPlans = requires {
  typename Form::Plan;
};

template <typename Form>
[[nodiscard]] auto plan_of(const Machine& machine, const Fitted<Form>& fitted,
                           const typename Form::Shape& shape) {
  if constexpr (kPlans<Form>)
    return Form::plan(machine, fitted.choice, shape);
  else
    return NoPlan{};
}
template <typename Form>
using PlanOf =
    decltype(plan_of<Form>(std::declval<const Machine&>(), std::declval<const Fitted<Form>&>(),
                           std::declval<const typename Form::Shape&>()));

// Its time, by that plan.
template <typename Form>
[[nodiscard]] Estimate time_of(const Machine& machine, const Fitted<Form>& fitted,
                               const typename Form::Shape& shape, const PlanOf<Form>& plan) {
  if constexpr (kPlans<Form>)
    return Form::time(fitted.choice, fitted.p, shape, plan);
  else
    return Form::time(machine, fitted.choice, fitted.p, shape);
}

// What a residual is learned of: the features of the shape, and last the form's own time.
template <typename Form>
using FeaturesOf = std::array<double, Form::kFeatures.size() + 1>;
template <typename Form>
[[nodiscard]] FeaturesOf<Form> features_of(const Machine& machine, const Fitted<Form>& fitted,
                                           const typename Form::Shape& shape,
                                           const PlanOf<Form>& plan, double us) {
  static_assert(Form::kFeatures.size() < Residual::kMaxFeatures);
  const auto of_shape = [&] {
    if constexpr (kPlans<Form>)
      return Form::features(machine, shape, plan);
    else
      return Form::features(machine, fitted.choice, shape);
  }();
  FeaturesOf<Form> all;
  std::copy(of_shape.begin(), of_shape.end(), all.begin());
  all.back() = rough_log2(us);
  return all;
}
// In that order.
[[nodiscard]] std::span<const std::string_view> feature_names(const FittedForm& fitted);

}  // namespace ridge::hw::calibrated
