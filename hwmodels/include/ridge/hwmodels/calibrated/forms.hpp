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

// A form asked for one shape: its time, and what a residual is learned of. What both need of the
// shape, where a form has such a plan, is worked out once.
template <typename Form>
class AskedForm {
 public:
  // Whether a plan is worked out first, which time and features share.
  static constexpr bool kPlans = requires { typename Form::Plan; };

  AskedForm(const Machine& machine, const Fitted<Form>& fitted, const typename Form::Shape& shape)
      : machine_(machine), fitted_(fitted), shape_(shape) {
    if constexpr (kPlans) {
      plan_ = Form::plan(machine, fitted.choice, shape);
      estimate_ = Form::time(fitted.choice, fitted.p, shape, plan_);
    } else {
      estimate_ = Form::time(machine, fitted.choice, fitted.p, shape);
    }
  }

  // Of a form without a plan, whose time is known already.
  AskedForm(const Machine& machine, const Fitted<Form>& fitted, const typename Form::Shape& shape,
            const Estimate& estimate) requires(!kPlans)
      : machine_(machine), fitted_(fitted), shape_(shape), plan_(), estimate_(estimate) {}

  [[nodiscard]] const Estimate& estimate() const { return estimate_; }

  // The features of the shape, and last the form's own time.
  [[nodiscard]] auto features() const {
    constexpr std::size_t kOfShape = Form::kFeatures.size();
    static_assert(kOfShape + 1 <= Residual::kMaxFeatures);
    std::array<double, kOfShape + 1> all;
    const auto of_shape = [&] {
      if constexpr (kPlans)
        return Form::features(machine_, shape_, plan_);
      else
        return Form::features(machine_, fitted_.choice, shape_);
    }();
    std::copy(of_shape.begin(), of_shape.end(), all.begin());
    all.back() = rough_log2(estimate_.us);
    return all;
  }

 private:
  struct NoPlan {};
  template <typename F>
  static auto plan_type() {
    if constexpr (requires { typename F::Plan; })
      return typename F::Plan{};
    else
      return NoPlan{};
  }

  const Machine& machine_;
  const Fitted<Form>& fitted_;
  const typename Form::Shape& shape_;
  decltype(plan_type<Form>()) plan_;
  Estimate estimate_;
};
// In that order.
[[nodiscard]] std::span<const std::string_view> feature_names(const FittedForm& fitted);

}  // namespace ridge::hw::calibrated
