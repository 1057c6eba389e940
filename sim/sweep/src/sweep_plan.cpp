#include "sweep_plan.hpp"

#include "ridge/base/nearest_name.hpp"
#include "ridge/scenario/scenario_files.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

using nlohmann::json;

constexpr const char* kBase = "/base";

// A reading takes up to a millisecond.
constexpr std::uint64_t kMaxReadings = 100000;

bool is_number(const Axis& axis) {
  return std::all_of(axis.values.begin(), axis.values.end(),
                     [](const AxisValue& value) { return std::holds_alternative<double>(value); });
}

bool same_values(const Axis& axis, std::size_t a, std::size_t b) {
  if (a == b) return true;
  for (std::size_t p = 0; p < axis.pointers.size(); ++p) {
    if (axis.at(a, p) != axis.at(b, p)) return false;
  }
  return true;
}

// The question as JSON while values and documents are put in place.
class Assembly {
 public:
  Assembly(const SweepPlan& plan, std::span<const std::size_t> positions, Diagnostics& diagnostics)
      : plan_(plan),
        positions_(positions),
        diagnostics_(diagnostics),
        context_{.file = plan.scenario().document.name(), .diagnostics = &diagnostics},
        json_(plan.scenario().document.json().at("base")) {
    // Names first, then what lies inside the documents they stand for.
    const auto places = plan.scenario().kind->places(node(context_));
    std::set<std::string> place_pointers;
    for (const DocumentPlace& place : places) place_pointers.insert(place.pointer);
    put_values([&](const std::string& pointer) { return place_pointers.count(pointer) != 0; });
    for (const DocumentPlace& place : places) expand(place);
    put_values([&](const std::string& pointer) { return place_pointers.count(pointer) == 0; });
    check_pointers();
  }

  [[nodiscard]] JsonNode node(const JsonContext& context) const { return {json_, context, kBase}; }

 private:
  [[nodiscard]] bool leads_somewhere(const std::string& pointer) const {
    return node(context_).contains_pointer(pointer);
  }

  // Whether there is a value, or an object that may take one: an axis may move a key that the base
  // leaves out.
  [[nodiscard]] bool has_room_for(const std::string& pointer) const {
    if (leads_somewhere(pointer)) return true;
    const std::string parent = pointer.substr(0, pointer.find_last_of('/'));
    return leads_somewhere(parent) && json_.at(json::json_pointer(parent)).is_object();
  }

  void put(const std::string& pointer, const AxisValue& value) {
    json_[json::json_pointer(pointer)] = std::visit([](const auto& v) { return json(v); }, value);
  }

  template <typename Wanted>
  void put_values(Wanted&& wanted) {
    for (const std::size_t a : plan_.order().first(plan_.rereading())) {
      const Axis& axis = plan_.scenario().axes[a];
      for (std::size_t p = 0; p < axis.pointers.size(); ++p) {
        const std::string& pointer = axis.pointers[p];
        if (wanted(pointer) && has_room_for(pointer)) put(pointer, axis.at(positions_[a], p));
      }
    }
  }

  void expand(const DocumentPlace& place) {
    if (!leads_somewhere(place.pointer)) return;
    json& reference = json_[json::json_pointer(place.pointer)];
    if (!reference.is_string()) return;
    try {
      const auto name = scenario::reference_from(context_.file, reference.get<std::string>());
      const ReadRecord record;
      reference = place.load(name, plan_.library()).json();
      plan_.library().note(name, record);
    } catch (const UserError& e) {
      diagnostics_.error(context_.file, kBase + place.pointer, e.what());
    }
  }

  void check_pointers() {
    if (!diagnostics_.ok()) return;  // a document is missing, and with it whatever is in it
    for (std::size_t a = 0; a < plan_.scenario().axes.size(); ++a) {
      const Axis& axis = plan_.scenario().axes[a];
      for (std::size_t p = 0; p < axis.pointers.size(); ++p) {
        const std::string& pointer = axis.pointers[p];
        if (leads_somewhere(pointer)) continue;
        if (has_room_for(pointer)) {
          put(pointer, axis.at(positions_[a], p));
          continue;
        }
        std::vector<std::string> known;
        const json leaves = json_.flatten();
        for (const auto& item : leaves.items()) known.push_back(item.key());
        diagnostics_.error(context_.file, axis.location,
                           fmt::format("there is no \"{}\" in the base{}{}", pointer, combination(),
                                       did_you_mean(pointer, known)));
      }
    }
  }

  // " with /model = a, /chip = b"
  [[nodiscard]] std::string combination() const {
    std::vector<std::string> parts;
    for (const std::size_t a : plan_.order().first(plan_.rereading())) {
      const Axis& axis = plan_.scenario().axes[a];
      for (std::size_t p = 0; p < axis.pointers.size(); ++p) {
        parts.push_back(
            fmt::format("{} = {}", axis.pointers[p], text_of(axis.at(positions_[a], p))));
      }
    }
    return parts.empty() ? "" : fmt::format(" with {}", fmt::join(parts, ", "));
  }

  const SweepPlan& plan_;
  std::span<const std::size_t> positions_;
  Diagnostics& diagnostics_;
  JsonContext context_;
  json json_;
};

}  // namespace

SweepQuestion::SweepQuestion(const SweepPlan& plan, std::span<const std::size_t> positions,
                             const std::atomic<bool>* stop) {
  const SweepScenario& scenario = plan.scenario();
  std::vector<std::string> moving;
  for (const std::size_t a : plan.order().subspan(plan.rereading())) {
    const auto& pointers = scenario.axes[a].pointers;
    moving.insert(moving.end(), pointers.begin(), pointers.end());
  }
  Diagnostics diagnostics;
  const Assembly assembly(plan, positions, diagnostics);
  diagnostics.throw_if_errors();
  const JsonContext context{.file = scenario.document.name(), .diagnostics = &diagnostics};
  evaluator_ = scenario.kind->prepare(assembly.node(context), {.columns = scenario.columns,
                                                               .filters = scenario.filters,
                                                               .moving = moving,
                                                               .labels = &plan.labels(),
                                                               .library = &plan.library(),
                                                               .stop = stop});
  diagnostics.throw_if_errors();
  RIDGE_INVARIANT(evaluator_ != nullptr, "an evaluator was refused without a reason");
  for (const Axis& axis : scenario.axes) {
    auto& found = places_.emplace_back();
    for (const auto& pointer : axis.pointers) {
      const JsonPlace place = evaluator_->place(pointer);
      found.push_back(place && place.is_number() ? place : JsonPlace());
    }
  }
}

SweepQuestion::~SweepQuestion() = default;

SweepPlan::SweepPlan(const SweepScenario& scenario, LabelTable& labels, scenario::Library& library)
    : scenario_(scenario), labels_(labels), library_(library) {
  std::vector<bool> reread;
  for (const Axis& axis : scenario.axes) reread.push_back(!is_number(axis));
  for (;;) {
    set_order(reread);
    const auto homeless = check_combinations();
    if (homeless.empty()) return;
    for (const std::size_t a : homeless) reread[a] = true;
  }
}

void SweepPlan::set_order(const std::vector<bool>& reread) {
  const auto& axes = scenario_.axes;
  order_.clear();
  for (const bool wanted : {true, false}) {
    for (std::size_t a = 0; a < axes.size(); ++a) {
      if (reread[a] == wanted) order_.push_back(a);
    }
  }
  rereading_ = static_cast<std::size_t>(std::count(reread.begin(), reread.end(), true));
  stride_.assign(axes.size(), 1);
  if (scenario_.combine == SweepScenario::Combine::zip) {
    points_ = axes.empty() ? 1 : axes.front().length;
    return;
  }
  points_ = 1;
  for (auto a = order_.rbegin(); a != order_.rend(); ++a) {
    stride_[*a] = points_;
    points_ *= axes[*a].length;
  }
}

std::size_t SweepPlan::position(std::uint64_t point, std::size_t axis) const {
  return static_cast<std::size_t>(point / stride_[axis] % scenario_.axes[axis].length);
}

std::vector<std::size_t> SweepPlan::check_combinations() {
  const bool zipped = scenario_.combine == SweepScenario::Combine::zip;
  const auto rereading = order().first(rereading_);
  // The points of the fastest axes are the same for every combination.
  const std::uint64_t step =
      zipped || rereading.empty() ? (rereading.empty() ? points_ : 1) : stride_[rereading.back()];
  if (points_ / step > kMaxReadings) {
    throw UserError(fmt::format(
        "{}: /axes: expected at most {} combinations of values that are no plain numbers, got {}",
        scenario_.document.name(), kMaxReadings, points_ / step));
  }
  std::set<std::string> provenances;
  std::set<std::string> notes;
  std::set<Bound> bounds;
  std::vector<std::size_t> positions(scenario_.axes.size());
  std::vector<std::vector<std::string>> checked(scenario_.axes.size());
  std::vector<std::size_t> homeless;
  for (std::uint64_t point = 0; point < points_; point += step) {
    bool repeated = point > 0 && zipped;
    for (std::size_t a = 0; a < positions.size(); ++a) {
      const std::size_t p = position(point, a);
      const bool rereads = std::find(rereading.begin(), rereading.end(), a) != rereading.end();
      if (rereads && !same_values(scenario_.axes[a], positions[a], p)) repeated = false;
      positions[a] = p;
    }
    if (repeated) continue;
    SweepQuestion question(*this, positions);
    provenances.insert(question.evaluator().provenance());
    for (auto& note : question.evaluator().notes()) notes.insert(std::move(note));
    for (auto& bound : question.evaluator().bounds()) bounds.insert(std::move(bound));
    Diagnostics diagnostics;
    for (const std::size_t a : order().subspan(rereading_)) {
      const Axis& axis = scenario_.axes[a];
      checked[a].resize(axis.pointers.size());
      for (std::size_t p = 0; p < axis.pointers.size(); ++p) {
        const JsonPlace& place = question.place(a, p);
        if (!place) {
          homeless.push_back(a);
          break;
        }
        // Another combination rarely takes other numbers.
        std::string expectation = place.expectation();
        if (checked[a][p] == expectation) continue;
        for (std::size_t i = 0; i < axis.length; ++i) {
          const double value = std::get<double>(axis.at(i, p));
          if (place.assign(value)) continue;
          diagnostics.error(
              scenario_.document.name(), axis.location,
              fmt::format("{}: expected {}, got {}", axis.pointers[p], expectation, value));
        }
        checked[a][p] = std::move(expectation);
      }
    }
    diagnostics.throw_if_errors();
    if (!homeless.empty()) return homeless;
  }
  provenance_ = fmt::format("{}", fmt::join(provenances, "; "));
  notes_.assign(notes.begin(), notes.end());
  bounds_.assign(bounds.begin(), bounds.end());
  return homeless;
}

SweepCursor::SweepCursor(const SweepPlan& plan, const std::atomic<bool>* stop)
    : plan_(plan), stop_(stop), positions_(plan.scenario().axes.size()) {}

void SweepCursor::move_to(std::uint64_t point) {
  const auto& axes = plan_.scenario().axes;
  const auto order = plan_.order();
  bool reread = question_ == nullptr;
  for (const std::size_t a : order.first(plan_.rereading())) {
    const std::size_t position = plan_.position(point, a);
    if (!reread && !same_values(axes[a], positions_[a], position)) reread = true;
    positions_[a] = position;
  }
  if (reread) question_ = std::make_unique<SweepQuestion>(plan_, positions_, stop_);
  for (const std::size_t a : order.subspan(plan_.rereading())) {
    const std::size_t position = plan_.position(point, a);
    if (!reread && position == positions_[a]) continue;
    positions_[a] = position;
    for (std::size_t p = 0; p < axes[a].pointers.size(); ++p) {
      const bool assigned =
          question_->place(a, p).assign(std::get<double>(axes[a].at(position, p)));
      RIDGE_INVARIANT(assigned, "a value that the plan has checked does not fit");
    }
  }
}

}  // namespace ridge::sweep
