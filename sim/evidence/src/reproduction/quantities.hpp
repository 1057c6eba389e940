// The vocabulary of a reproduction: every quantity that a cell may ask for.
#pragma once

#include "cell_question.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/hwmodels/theory/fit.hpp"
#include "ridge/hwmodels/theory/token_cost.hpp"
#include "ridge/models/model_spec.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ridge::evidence {

// How the report counts, where that is a choice.
struct ReproductionAssumptions {
  hw::theory::CostAssumptions cost;
  std::vector<std::string> afd_chips;        // that an attention-FFN pairing chooses from
  std::vector<std::string> compared_models;  // that cost_rank ranks among
  hw::theory::FitAssumptions fit;
  Seconds tpot;             // of a token, in a pipeline
  std::int64_t stages = 1;  // of so many stages
};

// Models and chips, each read once.
class Library {
 public:
  const models::ModelSpec& model(const std::string& name_or_path);
  const hw::ChipSpec& chip(const std::string& name_or_path);

 private:
  std::map<std::string, models::ModelSpec> models_;
  std::map<std::string, hw::ChipSpec> chips_;
};

// The names that "quantity" and "unit" accept.
[[nodiscard]] std::vector<std::string> quantity_names();
[[nodiscard]] std::vector<std::string> printed_units();

// What is wrong with the question before it is worked out (an unknown quantity, a model missing, a
// unit of another dimension), in words, or empty.
[[nodiscard]] std::string question_problem(const CellQuestion& question);

// The answer in question.unit. Throws UserError where a chip's file lacks what it takes.
[[nodiscard]] double evaluate(const CellQuestion& question,
                              const ReproductionAssumptions& assumptions, Library& library);

}  // namespace ridge::evidence
