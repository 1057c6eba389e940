#include "ridge/hwmodels/calibrated/measured_modules.hpp"

#include "ridge/base/catalog.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/lowercase.hpp"
#include "ridge/base/nearest_name.hpp"
#include "ridge/hwmodels/calibrated/calibration.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/models/written_name.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace ridge::hw::calibrated {

struct NamedModuleModel {
  std::string name;
  std::optional<std::string> shipped;
  std::optional<std::int64_t> hidden;
  std::vector<models::AttentionBlock> attentions;
  std::string source;
};

struct ModulesWithoutGraph {
  std::vector<std::string> kernels;
  std::vector<std::string> chips;
  double batch_from = 1;
  std::string source;
};

struct KernelsOfModules {
  std::vector<std::string> modules;
  std::vector<std::string> kernels;
  std::string source;
};

struct MeasuredModulesFile {
  std::vector<NamedModuleModel> models;
  std::vector<KernelsOfModules> kernels;
  std::vector<ModulesWithoutGraph> without_graph;
};

static const KeyTable& keys_of(const NamedModuleModel* /*of*/) {
  using M = NamedModuleModel;
  static const KeyTable table =
      key_table<M>(
          "module_model", "A model whose attention was measured as a whole.",
          {
              key<&M::name>("model", "As tables call it, in letters of any case."),
              key<&M::shipped>("shipped", "The shipped model with the same attention."),
              key<&M::hidden>("hidden", "Where none has it: the width of the residual.",
                              between(1, 1048576)),
              named_list<&M::attentions, &models::AttentionBlock::name>(
                  "attention", "Likewise: what its layers have, as files of models say it.")
                  .optional(),
              key<&M::source>("source", "Of the shapes."),
          })
          .relation([](const JsonNode& node, const void* object) {
            const auto& model = *static_cast<const M*>(object);
            if (model.shipped.has_value() == model.hidden.has_value() ||
                model.hidden.has_value() == model.attentions.empty()) {
              node.expected("\"shipped\", or \"hidden\" and \"attention\"");
            }
            const std::vector<std::string> names = models::model_names();
            if (model.shipped &&
                std::find(names.begin(), names.end(), *model.shipped) == names.end()) {
              node.child("shipped").expected("the name of a model that ships",
                                             did_you_mean(*model.shipped, names));
            }
            for (const models::AttentionBlock& block : model.attentions) {
              const models::Problem problem = models::attention_problem(block);
              if (problem.text.empty()) continue;
              node.child("attention").child(block.name).at(problem.pointer).error(problem.text);
            }
          });
  return table;
}

static const KeyTable& keys_of(const KernelsOfModules* /*of*/) {
  using K = KernelsOfModules;
  static const KeyTable table = key_table<K>(
      "module_kernels", "Kernels that some modules call.",
      {
          key<&K::modules>("modules", "As measurements name them; a star stands for any letters.",
                           keys::AtLeastOne{"the name of at least one module"}),
          key<&K::kernels>("kernels",
                           "As measurements of kernels name them; they go before the engine's.",
                           keys::AtLeastOne{"the name of at least one kernel"}),
          key<&K::source>("source", "How that is known."),
      });
  return table;
}

static const KeyTable& keys_of(const ModulesWithoutGraph* /*of*/) {
  using M = ModulesWithoutGraph;
  static const KeyTable table =
      key_table<M>("modules", "Some modules that were launched from the host.",
                   {
                       key<&M::kernels>("kernels",
                                        "As measurements name them; a star stands for any letters.",
                                        keys::AtLeastOne{"the name of at least one kernel"}),
                       key<&M::chips>("chips", "On which they were; any where absent.").optional(),
                       key<&M::batch_from>("batch_from", "Sequences; of fewer there was a graph.",
                                           at_least(1))
                           .optional(),
                       key<&M::source>("source", "How that is known."),
                   })
          .relation([](const JsonNode& node, const void* object) {
            const auto& modules = *static_cast<const M*>(object);
            const std::vector<std::string> names = chip_names();
            for (std::size_t i = 0; i < modules.chips.size(); ++i) {
              const std::string& chip = modules.chips[i];
              if (std::find(names.begin(), names.end(), chip) != names.end()) continue;
              node.child("chips").child(i).expected("the name of a chip that ships",
                                                    did_you_mean(chip, names));
            }
          });
  return table;
}

static const KeyTable& keys_of(const MeasuredModulesFile* /*of*/) {
  using F = MeasuredModulesFile;
  static const KeyTable table =
      key_table<F>(
          "",
          "Which attention the whole modules of public tables are of, and how they ran, where "
          "their columns do not say.",
          {
              key<&F::models>("module_models", "Any other is the shipped model of its name."),
              key<&F::kernels>("module_kernels",
                               "Which kernels modules call, where they are named for more than "
                               "their engine; the first that holds.")
                  .optional(),
              key<&F::without_graph>("without_graph",
                                     "Modules that were launched from the host, whose time is in "
                                     "theirs."),
          })
          .file("how whole attention modules were measured")
          .relation([](const JsonNode& node, const void* object) {
            const auto& models = static_cast<const F*>(object)->models;
            for (std::size_t i = 0; i < models.size(); ++i) {
              const auto here = models.begin() + static_cast<std::ptrdiff_t>(i);
              if (std::none_of(models.begin(), here,
                               [&](const auto& other) { return other.name == here->name; })) {
                continue;
              }
              node.child("module_models")
                  .child(i)
                  .child("model")
                  .expected("a name that is not among those above");
            }
          });
  return table;
}

namespace {

const MeasuredModulesFile& measured_modules() {
  static const ReadOnce kKnown([] {
    return read_document<MeasuredModulesFile>(
        JsonDocument::read(data_root() / "hwmodels/data/kernels/measured_modules.json"));
  });
  return *kKnown;
}

}  // namespace

std::optional<ModuleModel> module_model(const std::string& name) {
  const std::vector<std::string> names = models::model_names();
  for (const std::string& written : models::written_names(name)) {
    std::string shipped = written;
    for (const NamedModuleModel& each : measured_modules().models) {
      if (hyphened(each.name) != written) continue;
      if (!each.shipped) return ModuleModel{*each.hidden, each.attentions};
      shipped = *each.shipped;
    }
    if (std::find(names.begin(), names.end(), shipped) == names.end()) continue;
    models::ModelSpec model = models::load_model(shipped);
    return ModuleModel{model.hidden, std::move(model.attentions)};
  }
  return std::nullopt;
}

bool ran_without_graph(const MeasuredModule& module, std::string_view chip) {
  const auto& all = measured_modules().without_graph;
  return std::any_of(all.begin(), all.end(), [&](const ModulesWithoutGraph& each) {
    return module.batch >= each.batch_from &&
           (each.chips.empty() ||
            std::find(each.chips.begin(), each.chips.end(), chip) != each.chips.end()) &&
           std::any_of(each.kernels.begin(), each.kernels.end(),
                       [&](const std::string& name) { return is_named(module.kernel, name); });
  });
}

std::vector<std::string> kernels_of_module(const std::string& module) {
  std::vector<std::string> kernels;
  for (const KernelsOfModules& each : measured_modules().kernels) {
    if (std::any_of(each.modules.begin(), each.modules.end(),
                    [&](const std::string& name) { return is_named(module, name); })) {
      kernels = each.kernels;
      break;
    }
  }
  kernels.push_back(module.substr(0, module.find(':')) + ":*");
  return kernels;
}

const KeyTable& measured_modules_keys() {
  return keys_of(static_cast<const MeasuredModulesFile*>(nullptr));
}

void check_measured_modules(const std::filesystem::path& path) {
  (void)read_document<MeasuredModulesFile>(JsonDocument::read(path));
}

}  // namespace ridge::hw::calibrated
