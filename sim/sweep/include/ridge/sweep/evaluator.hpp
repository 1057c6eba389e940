// What a sweep asks at each of its points. A kind of question (what a token costs, how a deployment
// runs) is one EvaluatorKind: one file, and one line in the table of src/evaluator.cpp.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/scenario/library.hpp"
#include "ridge/view/figure.hpp"

#include <atomic>
#include <compare>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ridge {
class KeyTable;
}

namespace ridge::sweep {

// The names that stand in label columns. Every member may be called from any thread.
class LabelTable {
 public:
  // The number of `name`, the same for equal names.
  double intern(std::string_view name);
  // By number.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> names_;
};

// What a column's figures are held against: an SLA.
struct Bound {
  std::string column;
  double value = 0.0;  // in the column's unit
  std::string label;
  friend auto operator<=>(const Bound&, const Bound&) = default;
};

// One thread's copy of a question. Its numbers are changed in place between evaluations.
class Evaluator {
 public:
  virtual ~Evaluator() = default;

  // Where the number stands that a pointer leads to, to be written between evaluations. None where
  // it has no such place, and the question must be read again.
  [[nodiscard]] virtual JsonPlace place(std::string_view /*pointer*/) { return {}; }

  // Why the question as it now stands makes no sense, in words; empty if it does.
  [[nodiscard]] virtual std::string problem() const = 0;

  // The wanted columns, in their order; NaN where a value is unknown. Allocates nothing.
  virtual void evaluate(std::span<double> out) = 0;

  // "theory" or "calibrated (held-out error 4.2 %)": what stands beside every figure.
  [[nodiscard]] virtual std::string provenance() const = 0;
  // What a reader must know before believing the figures.
  [[nodiscard]] virtual std::vector<std::string> notes() const = 0;
  [[nodiscard]] virtual std::vector<Bound> bounds() const { return {}; }
};

// A place in a question where a string is the name or path of a document that may stand there
// itself.
struct DocumentPlace {
  std::string pointer;
  // Checks what it loads; throws UserError.
  JsonDocument (*load)(const std::string& name_or_path, scenario::Library& library);
};

// Keeps rows whose value lies within; an unknown value never does.
struct Filter {
  std::size_t column = 0;  // of those that are wanted
  double min = 0;
  double max = 0;

  [[nodiscard]] bool keeps(double value) const { return value >= min && value <= max; }
};

// What an evaluator is to be prepared for.
struct EvaluatorNeeds {
  std::span<const std::size_t> columns;  // into EvaluatorKind::columns()
  // What a row must pass: one that does not needs no more than the value that says so.
  std::span<const Filter> filters{};
  // Pointers to the numbers that will change between evaluations. All else may be computed once.
  std::span<const std::string> moving;
  LabelTable* labels = nullptr;
  scenario::Library* library = nullptr;
  // Raised when nobody waits for the answer any more: an evaluation that takes long looks at it.
  const std::atomic<bool>* stop = nullptr;
};

class EvaluatorKind {
 public:
  virtual ~EvaluatorKind() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;
  // Each a figure of the question's answer. A name (of a chip, a resource) is held as its number
  // in a LabelTable.
  [[nodiscard]] virtual std::span<const view::FigureSpec> columns() const = 0;
  // Of the question.
  [[nodiscard]] virtual const KeyTable& keys() const = 0;
  // The key that this column needs in the question and does not find there; empty if none.
  [[nodiscard]] virtual std::string_view missing_for(std::size_t column,
                                                     const JsonNode& question) const = 0;
  // Where the thing under study stands: reference rows put another there.
  [[nodiscard]] virtual std::string_view subject() const = 0;
  [[nodiscard]] virtual std::vector<DocumentPlace> places(const JsonNode& question) const = 0;
  // Points that a thread takes at a time: many where one takes a microsecond, one where it takes a
  // second.
  [[nodiscard]] virtual std::size_t points_per_chunk() const = 0;

  // Reads a question whose documents all stand in place. Null after an error in the diagnostics.
  [[nodiscard]] virtual std::unique_ptr<Evaluator> prepare(const JsonNode& question,
                                                           const EvaluatorNeeds& needs) const = 0;
};

// Every kind there is.
[[nodiscard]] std::span<const EvaluatorKind* const> evaluator_kinds();

}  // namespace ridge::sweep
