#include "ridge/hwmodels/kernel_model.hpp"

namespace ridge::hw {
namespace {

class ScaledModel final : public KernelModel {
 public:
  ScaledModel(std::shared_ptr<const KernelModel> kernels,
              std::function<double(const models::Operator&)> share)
      : kernels_(std::move(kernels)), share_(std::move(share)) {}

  [[nodiscard]] Timing time(const models::Operator& op) const override {
    Timing timing = kernels_->time(op);
    timing.time *= share_(op);
    return timing;
  }
  [[nodiscard]] const ChipSpec& chip() const override { return kernels_->chip(); }
  [[nodiscard]] bool calibrated() const override { return kernels_->calibrated(); }
  [[nodiscard]] std::string provenance() const override { return kernels_->provenance(); }

 private:
  std::shared_ptr<const KernelModel> kernels_;
  std::function<double(const models::Operator&)> share_;
};

}  // namespace

std::shared_ptr<const KernelModel> scaled_model(
    std::shared_ptr<const KernelModel> kernels,
    std::function<double(const models::Operator&)> share) {
  return std::make_shared<const ScaledModel>(std::move(kernels), std::move(share));
}

}  // namespace ridge::hw
