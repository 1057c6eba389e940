// ridge._core: what the Python package asks of the layers. Questions come as names or JSON text,
// answers go as objects that write themselves as the command line does; tools/python/ridge makes
// them pleasant.
#include "maker.hpp"
#include "ridge/answer/calibration_card.hpp"
#include "ridge/answer/cost_report.hpp"
#include "ridge/answer/explanation.hpp"
#include "ridge/answer/fit_report.hpp"
#include "ridge/answer/latency_plots.hpp"
#include "ridge/answer/rate_search.hpp"
#include "ridge/answer/simulation_report.hpp"
#include "ridge/answer/sparsity_report.hpp"
#include "ridge/answer/support_report.hpp"
#include "ridge/base/catalog.hpp"
#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/base/keys.hpp"
#include "ridge/base/parallel.hpp"
#include "ridge/evidence/kernels.hpp"
#include "ridge/evidence/ledger.hpp"
#include "ridge/evidence/reproduction.hpp"
#include "ridge/files/file_kinds.hpp"
#include "ridge/hwmodels/calibrated/calibrate.hpp"
#include "ridge/models/huggingface.hpp"
#include "ridge/plan/plan_report.hpp"
#include "ridge/report/pages.hpp"
#include "ridge/scenario/cost_scenario.hpp"
#include "ridge/scenario/overrides.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/scenario/simulation_scenario.hpp"
#include "ridge/sweep/sweep.hpp"
#include "ridge/sweep/sweep_output.hpp"
#include "ridge/sweep/sweep_picture.hpp"
#include "ridge/view/terminal.hpp"
#include "watch.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

namespace ridge::python {
namespace {

using view::OutputFormat;

// A document: by name or path where there is no text, else the text itself, known by that name.
struct Document {
  std::string name;
  std::string text;

  [[nodiscard]] JsonDocument scenario(const std::string& overrides,
                                      scenario::Library& library) const {
    return changed(text.empty() ? JsonDocument::read(scenario::scenario_path(name)) : whole(),
                   overrides, library);
  }
  [[nodiscard]] JsonDocument goal(const std::string& overrides, scenario::Library& library) const {
    return changed(text.empty() ? goal_document(name) : whole(), overrides, library);
  }
  [[nodiscard]] JsonDocument whole() const { return JsonDocument::parse(text, name); }
  [[nodiscard]] static JsonDocument goal_document(const std::string& name_or_path) {
    return JsonDocument::read(plan::read_goal(name_or_path).file);
  }

 private:
  [[nodiscard]] static JsonDocument changed(const JsonDocument& document,
                                            const std::string& overrides,
                                            scenario::Library& library) {
    return scenario::with_values(document, JsonDocument::parse(overrides, "overrides"), library);
  }
};

// A page to write beside the answer, and the call that asked for it.
struct Page {
  std::string path;  // empty where none is asked for
  std::string call;

  Page(std::string where, std::string asked_by)
      : path(std::move(where)), call(std::move(asked_by)) {
    report::check_page_path(path, "report");
  }
  [[nodiscard]] bool wanted() const { return !path.empty(); }
  [[nodiscard]] report::Asked asked() const {
    return {.maker = tools::maker(), .command = call, .page = path};
  }
  // Writes html(asked()) there, if it is wanted.
  template <typename Html>
  void write(Html&& html) const {
    if (wanted()) write_file(path, html(asked()));
  }
};

unsigned threads_or_all(unsigned threads) {
  return threads > 0 ? threads : usual_threads();
}

// A C++ error as the exception of the same kind in ridge._errors, so that it can be caught there.
void raise(const char* kind, const py::tuple& arguments) {
  const py::object type = py::module_::import("ridge._errors").attr(kind);
  PyErr_SetObject(type.ptr(), type(*arguments).ptr());
}

void translate(std::exception_ptr failure) {
  try {
    if (failure) std::rethrow_exception(failure);
  } catch (const UserError& e) {
    py::list mistakes;
    for (const Mistake& m : e.mistakes())
      mistakes.append(py::make_tuple(m.file, m.pointer, m.message));
    raise("Error", py::make_tuple(e.what(), mistakes));
  } catch (const InvariantError& e) {
    raise("InternalError", py::make_tuple(e.what()));
  }
}

// A scenario of costs, whose models and chips others may ask about as well.
struct Asked {
  JsonDocument document;
  scenario::CostScenario scenario;
  std::vector<models::ModelSpec> models;
  std::vector<hw::ChipSpec> chips;

  Asked(const Document& question, const std::string& overrides)
      : document(changed(question, overrides)), scenario(scenario::read_cost_scenario(document)) {
    Diagnostics diagnostics;
    models = scenario::models_of(scenario, diagnostics);
    chips = scenario::chips_of(scenario, diagnostics);
    diagnostics.throw_if_errors();
  }

 private:
  static JsonDocument changed(const Document& question, const std::string& overrides) {
    scenario::Library library;
    return question.scenario(overrides, library);
  }
};

answer::CostReport cost(const Document& question, const std::string& overrides,
                        const std::string& prices, std::optional<double> batch,
                        bool count_mla_as_step3, const Page& page) {
  Asked asked(question, overrides);
  answer::CostQuestion costs;
  costs.models = std::move(asked.models);
  costs.chips = std::move(asked.chips);
  costs.contexts = asked.scenario.contexts;
  costs.prices = answer::parse_prices(prices, "prices");
  costs.assumptions.batch = batch;
  if (count_mla_as_step3) costs.assumptions.mla_count = models::MlaCount::step3;
  auto report = answer::answer(costs);
  page.write([&](const report::Asked& how) {
    return report::cost_page(report, asked.scenario.title,
                             report::question_of(asked.document, how, "ridge cost"), how);
  });
  return report;
}

answer::FitReport fit(const Document& question, const std::string& overrides, bool attention,
                      bool ffn, double stage_ms, int stages, double weights_share,
                      std::optional<double> micro_batch,
                      std::optional<std::int64_t> output_parallel) {
  Asked asked(question, overrides);
  return answer::answer(
      answer::FitQuestion{.model = std::move(asked.models.front()),
                          .chips = std::move(asked.chips),
                          .attention = attention,
                          .ffn = ffn,
                          .assumptions = {.stage_budget = Seconds{stage_ms * 1e-3},
                                          .context = asked.scenario.contexts.front(),
                                          .micro_batches = stages,
                                          .output_parallel = output_parallel,
                                          .weights_share = weights_share,
                                          .micro_batch = micro_batch}});
}

answer::SparsityReport sparsity(const Document& question, const std::string& overrides,
                                std::optional<std::pair<std::int64_t, std::int64_t>> hidden_layers,
                                double stage_ms, std::optional<double> nic_bandwidth,
                                std::optional<std::int64_t> nics) {
  Asked asked(question, overrides);
  answer::SparsityQuestion bounds{
      .traffic = hidden_layers ? answer::plain_traffic(hidden_layers->first, hidden_layers->second)
                               : hw::theory::ffn_traffic(asked.models.front()),
      .chips = std::move(asked.chips),
      .assumptions = {
          .stage_budget = Seconds{stage_ms * 1e-3}, .nic_bandwidth = {}, .nics_per_server = nics}};
  if (nic_bandwidth) bounds.assumptions.nic_bandwidth = BytesPerSecond{*nic_bandwidth * 1e9};
  return answer::answer(bounds);
}

answer::SupportReport support(const Document& question, const std::string& overrides,
                              bool every_chip, const std::string& calibration, double batch) {
  Asked asked(question, overrides);
  if (!every_chip) asked.chips.resize(1);
  answer::SupportQuestion rests_on{.model = std::move(asked.models.front()),
                                   .chips = {},
                                   .context = asked.scenario.contexts.front(),
                                   .batch = batch};
  for (const hw::ChipSpec& chip : asked.chips) {
    rests_on.chips.push_back(answer::supported_chip(chip, calibration));
  }
  return answer::answer(rests_on);
}

answer::SimulationReport simulate(const Document& question, const std::string& overrides,
                                  std::optional<std::uint64_t> seed, std::optional<int> samples,
                                  const std::vector<std::string>& fixed, bool picture,
                                  bool requests, const std::string& trace, const Page& page,
                                  const py::object& progress) {
  return watched(progress, [&](Watch& watch) {
    scenario::Library library;
    const JsonDocument document = question.scenario(overrides, library);
    const auto located = scenario::read_scenario(document);
    if (requests) answer::check_requests(located, "requests");
    auto report = answer::answer(located, library,
                                 {.seed = seed,
                                  .stop = &watch.stop,
                                  .progress = [&watch](double share) { watch.share = share; },
                                  .trace_path = trace,
                                  .picture = picture || page.wanted(),
                                  .requests = requests || page.wanted()},
                                 samples, fixed);
    page.write([&](const report::Asked& how) {
      return report::simulation_page(report, scenario::resolve(located, library).input, nullptr,
                                     report::question_of(document, how, "ridge simulate", seed),
                                     how);
    });
    return report;
  });
}

answer::Explanation explain(const Document& question, const std::string& overrides,
                            std::optional<std::uint64_t> seed, const py::object& progress) {
  return watched(progress, [&](Watch& watch) {
    scenario::Library library;
    const auto located = scenario::read_scenario(question.scenario(overrides, library));
    return answer::explain(located, library,
                           {.seed = seed, .stop = &watch.stop, .progress = [&watch](double share) {
                              watch.share = share;
                            }});
  });
}

answer::RateSearch largest_rate(const Document& question, const std::string& overrides,
                                std::optional<std::uint64_t> seed, const py::object& progress) {
  return watched(progress, [&](Watch& watch) {
    scenario::Library library;
    const auto located = scenario::read_scenario(question.scenario(overrides, library));
    return answer::largest_rate(located, library, seed, &watch.stop);
  });
}

// A sweep, or one of its references, which lives as long as the whole.
struct Sweep {
  std::shared_ptr<const sweep::SweepResult> whole;
  const sweep::SweepResult* part;

  [[nodiscard]] std::string written(OutputFormat format) const {
    std::string out;
    sweep::write_sweep(*whole, format, {.threads = threads_or_all(0)},
                       [&](std::string_view text) { out += text; });
    return out;
  }
  [[nodiscard]] std::vector<Sweep> references() const {
    std::vector<Sweep> out;
    for (const auto& reference : part->references()) out.push_back({whole, &reference});
    return out;
  }
  [[nodiscard]] std::size_t find(const std::string& name) const {
    const auto& scenario = part->scenario();
    for (std::size_t c = 0; c < scenario.columns.size(); ++c) {
      if (scenario.column(c).name == name) return c;
    }
    throw py::key_error(name);
  }
};

// `journal`: where finished points are and go; null for nowhere but in memory.
Sweep swept(const JsonDocument& document, sweep::Journal* journal, unsigned threads,
            const Page& page, const char* again, Watch& watch) {
  auto scenario = sweep::read_sweep(document);
  if (page.wanted()) sweep::check_picture(scenario);
  std::atomic<std::uint64_t> done{0};
  auto whole = std::make_shared<const sweep::SweepResult>(sweep::run_sweep(
      std::move(scenario), {.threads = threads_or_all(threads),
                            .stop = &watch.stop,
                            .progress =
                                [&](std::uint64_t more, std::uint64_t points) {
                                  const auto all = done.fetch_add(more) + more;
                                  watch.share =
                                      static_cast<double>(all) / static_cast<double>(points);
                                },
                            .journal = journal}));
  page.write([&](const report::Asked& how) {
    return report::sweep_page(*whole, report::question_of(document, how, again), how);
  });
  return {whole, whole.get()};
}

Sweep run_sweep(const Document& question, const std::string& overrides, const std::string& journal,
                unsigned threads, const Page& page, const py::object& progress) {
  return watched(progress, [&](Watch& watch) {
    scenario::Library library;
    std::optional<sweep::Journal> kept;
    if (!journal.empty()) kept.emplace(journal, tools::maker());
    return swept(question.scenario(overrides, library), kept ? &*kept : nullptr, threads, page,
                 "ridge sweep", watch);
  });
}

Sweep merge(const std::vector<std::string>& journals, unsigned threads, const Page& page,
            const py::object& progress) {
  return watched(progress, [&](Watch& watch) {
    sweep::Journal read(journals, tools::maker());
    return swept(sweep::Journal::scenario_of(journals.front()), &read, threads, page, "ridge sweep",
                 watch);
  });
}

// A column as it lies in the result's memory: nothing is copied, and the array keeps the result
// alive.
py::array_t<double> column(const py::object& self, const std::string& name) {
  const auto& sweep = self.cast<const Sweep&>();
  const std::size_t c = sweep.find(name);
  const auto values = sweep.part->values();
  const auto rows = static_cast<py::ssize_t>(sweep.part->kept());
  if (rows == 0) return py::array_t<double>(0);
  const auto width = static_cast<py::ssize_t>(sweep.part->scenario().columns.size());
  py::array_t<double> view({rows}, {width * static_cast<py::ssize_t>(sizeof(double))},
                           values.data() + c, self);
  view.attr("flags").attr("writeable") = false;
  return view;
}

template <typename Visit>
void for_each_row(const sweep::SweepResult& result, Visit&& visit) {
  for (const sweep::SweepChunk& chunk : result.chunks()) {
    for (std::size_t row = 0; row < chunk.offsets.size(); ++row) visit(chunk, row);
  }
}

// What an axis said at each row.
py::list axis_values(const Sweep& sweep, std::size_t axis, std::size_t pointer) {
  py::list out;
  const sweep::Axis& said = sweep.part->scenario().axes.at(axis);
  for_each_row(*sweep.part, [&](const sweep::SweepChunk& chunk, std::size_t row) {
    const std::size_t position = sweep.part->position(chunk.first + chunk.offsets[row], axis);
    out.append(std::visit([](const auto& value) -> py::object { return py::cast(value); },
                          said.at(position, pointer)));
  });
  return out;
}

py::array_t<bool> pareto(const Sweep& sweep) {
  py::array_t<bool> out(static_cast<py::ssize_t>(sweep.part->kept()));
  bool* next = out.mutable_data();
  for_each_row(*sweep.part, [&](const sweep::SweepChunk& chunk, std::size_t row) {
    *next++ = !chunk.pareto.empty() && chunk.pareto[row];
  });
  return out;
}

// Name, unit, words, and whether it holds the numbers of labels.
using ColumnInfo = std::tuple<std::string, std::string, std::string, bool>;
std::vector<ColumnInfo> columns(const Sweep& sweep) {
  std::vector<ColumnInfo> out;
  const auto& scenario = sweep.part->scenario();
  for (std::size_t c = 0; c < scenario.columns.size(); ++c) {
    const view::FigureSpec& spec = scenario.column(c);
    out.emplace_back(spec.name, spec.unit, spec.words, spec.kind == view::FigureKind::label);
  }
  return out;
}

plan::Plan make_plan(const Document& question, const std::string& overrides, int samples,
                     const std::vector<std::string>& fixed, std::size_t top, bool front,
                     bool exhaustive, unsigned threads, const Page& page,
                     const py::object& progress) {
  return watched(progress, [&](Watch& watch) {
    scenario::Library library;
    const JsonDocument document = question.goal(overrides, library);
    Diagnostics diagnostics;
    const JsonContext context{.file = document.name(), .diagnostics = &diagnostics};
    plan::LocatedGoal located{.file = document.name(), .pointer = {}, .goal = {}};
    read_keys(JsonNode(document.json(), context), located.goal);
    diagnostics.throw_if_errors();
    auto plan = plan::make_plan(
        std::move(located), library,
        {.threads = threads_or_all(threads),
         .samples = samples,
         .fixed = fixed,
         .layouts = top,
         .front = front || page.wanted(),
         .exhaustive = exhaustive,
         .stop = &watch.stop,
         .progress = [&watch](double share, const std::string&) { watch.share = share; }});
    page.write([&](const report::Asked& how) {
      return report::plan_page(plan, report::question_of(document, how, "ridge plan"), how);
    });
    return plan;
  });
}

hw::calibrated::CalibrateResult calibrate(const std::vector<std::string>& measurements,
                                          const std::string& chip_name, const std::string& name,
                                          const std::string& source, const std::string& base,
                                          const std::vector<std::string>& prefer, int threads,
                                          std::uint64_t seed, const Page& page,
                                          const py::object& progress) {
  using namespace hw::calibrated;
  return watched(progress, [&](Watch& watch) {
    const hw::ChipSpec chip = hw::load_chip(chip_name);
    const MeasurementSet set = read_measurements(measurement_files(measurements), chip.name);
    check_device(set, chip);
    std::optional<Calibration> start;
    if (!base.empty()) start = base_for(base, chip);
    std::atomic<std::size_t> done{0};
    CalibrateOptions options;
    options.name = name;
    options.source = source;
    options.preferred = prefer;
    options.base = start ? &*start : nullptr;
    options.threads = threads;
    options.fit.seed = seed;
    options.progress = [&] {
      if (watch.stop)
        throw sweep::Interrupted();  // nobody waits: the caller raises what stopped it
      watch.share = static_cast<double>(++done) / static_cast<double>(set.series.size());
    };
    CalibrateResult result = hw::calibrated::calibrate(set, chip, options);
    page.write([&](const report::Asked& how) { return report::calibration_page(result, how); });
    std::vector<std::string> notes = set.left_aside();
    notes.insert(notes.end(), result.refused.begin(), result.refused.end());
    notes.insert(notes.end(), result.notes.begin(), result.notes.end());
    result.notes = std::move(notes);
    return result;
  });
}

evidence::Reproduction reproduce(const std::string& name_or_path, const Page& page,
                                 const py::object& progress) {
  return watched(progress, [&](Watch&) {
    auto reproduction = evidence::reproduce(name_or_path);
    page.write(
        [&](const report::Asked& how) { return report::reproduction_page(reproduction, how); });
    return reproduction;
  });
}

// The ledger of that name, or a table of serving measurements of one's own.
evidence::Ledger predict(const std::string& ledger_name, const std::string& serving, int samples,
                         const std::vector<std::string>& fixed, const Page& page,
                         const py::object& progress) {
  return watched(progress, [&](Watch& watch) {
    const evidence::GoOn go_on = [&watch](double share) {
      watch.share = share;
      return !watch.stop;
    };
    auto ledger = serving.empty() ? evidence::predict_ledger(ledger_name, samples, go_on, fixed)
                                  : evidence::predict_serving_table(serving, samples, go_on, fixed);
    if (watch.stop) return ledger;  // nobody waits for it
    page.write([&](const report::Asked& how) { return report::ledger_page(ledger, how); });
    return ledger;
  });
}

// Measured kernels beside a calibration, transferred to `chip` where one is named.
evidence::KernelLedger judge(const std::vector<std::string>& kernels,
                             const std::string& calibration, const std::string& chip,
                             const Page& page, const py::object& progress) {
  return watched(progress, [&](Watch&) {
    auto ledger = evidence::judge_kernels(evidence::read_kernels(kernels, calibration, chip));
    page.write([&](const report::Asked& how) { return report::kernels_page(ledger, how); });
    return ledger;
  });
}

models::ImportResult import_model(const Document& config, const std::string& name,
                                  const std::optional<std::string>& precision,
                                  const std::vector<std::string>& ignore, const std::string& as) {
  models::ImportOptions options{.name = name, .ignore = ignore, .as = as};
  if (precision) {
    options.serve_in.reset();
    for (const auto& known : models::precision_names()) {
      if (known.name == *precision) options.serve_in = known.value;
    }
    if (!options.serve_in && *precision != "checkpoint") {
      throw UserError("precision: expected \"checkpoint\" or a number format, got \"" + *precision +
                      "\"");
    }
  }
  return models::import_huggingface(
      config.text.empty() ? models::read_checkpoint_config(config.name) : config.whole(), options);
}

// The names of a kind, and the document of one.
struct Kind {
  std::vector<std::string> (*names)();
  std::string (*text)(const std::string& name_or_path);
};
const std::map<std::string, Kind>& kinds() {
  static const std::map<std::string, Kind> kinds = {
      {"models",
       {models::model_names,
        [](const std::string& name) { return models::model_document(name).json().dump(); }}},
      {"chips",
       {hw::chip_names,
        [](const std::string& name) { return hw::chip_document(name).json().dump(); }}},
      {"calibrations",
       {[] { return hw::calibrated::calibration_names(); },
        [](const std::string& name) {
          return hw::calibrated::to_json(hw::calibrated::load_calibration(name));
        }}},
      {"goals",
       {[] { return plan::goal_names(); },
        [](const std::string& name) { return Document::goal_document(name).json().dump(); }}},
      {"scenarios",
       {[] { return scenario::scenario_names(); },
        [](const std::string& name) {
          return JsonDocument::read(scenario::scenario_path(name)).json().dump();
        }}},
  };
  return kinds;
}

// As the command line shows it.
std::string shown(const std::string& text) {
  return view::folded(text, view::output_width());
}

template <typename Report>
auto written(OutputFormat format) {
  return [format](const Report& report) {
    const std::string text = render(report, format);
    return format == OutputFormat::table ? shown(text) : text;
  };
}

enum class Csv : std::uint8_t { yes, no };

// An answer, with what writes it.
template <typename Report>
py::class_<Report> answer_class(py::module_& m, const char* name, Csv csv = Csv::yes) {
  py::class_<Report> type(m, name);
  type.def("json", written<Report>(OutputFormat::json));
  if (csv == Csv::yes) type.def("csv", written<Report>(OutputFormat::csv));
  type.def("text", written<Report>(OutputFormat::table));
  return type;
}

void add_files(py::module_& m) {
  m.def("use_data", [](const std::filesystem::path& root) { use_data(root); });
  m.def("data_root", [] { return data_root(); });
  m.def("is_path", [](const std::string& name_or_path) { return is_path(name_or_path); });
  m.def("names", [](const std::string& kind) { return kinds().at(kind).names(); });
  m.def("document", [](const std::string& kind, const std::string& name) {
    return kinds().at(kind).text(name);
  });
  m.def("check",
        [](const std::filesystem::path& path) { return files::check_file(path).problems; });
  py::class_<Document>(m, "Document")
      .def(py::init<std::string, std::string>(), py::arg("name"), py::arg("text") = "");
  py::class_<Page>(m, "Page").def(py::init<std::string, std::string>(), py::arg("path"),
                                  py::arg("call"));
  py::class_<models::ImportResult>(m, "Import")
      .def_readonly("json", &models::ImportResult::model_json)
      .def_readonly("assumptions", &models::ImportResult::assumptions);
  m.def("import_model", import_model, py::call_guard<py::gil_scoped_release>());
}

void add_closed_forms(py::module_& m) {
  m.attr("default_cost_scenario") = scenario::kDefaultCostScenario;
  answer_class<answer::CostReport>(m, "Cost");
  m.def("cost", cost, py::call_guard<py::gil_scoped_release>());
  answer_class<answer::FitReport>(m, "Fit", Csv::no);
  m.def("fit", fit, py::call_guard<py::gil_scoped_release>());
  m.attr("weights_share") = hw::theory::FitAssumptions{}.weights_share;
  answer_class<answer::SparsityReport>(m, "Sparsity");
  m.def("sparsity", sparsity, py::call_guard<py::gil_scoped_release>());
  answer_class<answer::SupportReport>(m, "Support");
  m.def("support", support, py::call_guard<py::gil_scoped_release>());
}

void add_deployments(py::module_& m) {
  answer_class<answer::SimulationReport>(m, "Simulation", Csv::no)
      .def_readonly("svg", &answer::SimulationReport::picture)
      .def("latencies", answer::latency_picture)
      .def("requests", answer::requests_csv)
      .def("comparison",
           [](const answer::SimulationReport& report, const answer::SimulationReport& other) {
             return shown(answer::render_comparison(report, other, OutputFormat::table));
           });
  m.def("simulate", simulate);
  answer_class<answer::Explanation>(m, "Explanation", Csv::no);
  m.def("explain", explain);
  answer_class<answer::RateSearch>(m, "LargestRate", Csv::no);
  m.def("largest_rate", largest_rate);
  answer_class<plan::Plan>(m, "Plan").def("svg", [](const plan::Plan& plan) {
    return plan.front.empty() ? std::string() : plan::plan_picture(plan);
  });
  m.def("plan", make_plan);
}

std::vector<std::vector<std::string>> axis_headers(const Sweep& sweep) {
  std::vector<std::vector<std::string>> headers;
  for (const auto& axis : sweep.part->scenario().axes) headers.push_back(axis.headers);
  return headers;
}

void add_sweeps(py::module_& m) {
  py::class_<Sweep>(m, "Sweep")
      .def("json", [](const Sweep& sweep) { return sweep.written(OutputFormat::json); })
      .def("csv", [](const Sweep& sweep) { return sweep.written(OutputFormat::csv); })
      .def("text", [](const Sweep& sweep) { return shown(sweep.written(OutputFormat::table)); })
      .def("svg", [](const Sweep& sweep) { return sweep::sweep_picture(*sweep.whole); })
      .def_property_readonly("title", [](const Sweep& s) { return s.part->scenario().title; })
      .def_property_readonly("provenance", [](const Sweep& s) { return s.part->provenance(); })
      .def_property_readonly("notes", [](const Sweep& s) { return s.part->notes(); })
      .def_property_readonly("points", [](const Sweep& s) { return s.part->points(); })
      .def_property_readonly("invalid", [](const Sweep& s) { return s.part->invalid(); })
      .def_property_readonly("subject", [](const Sweep& s) { return s.part->subject(); })
      .def_property_readonly(
          "objectives", [](const Sweep& s) { return s.whole->scenario().pareto.objectives.size(); })
      .def_property_readonly("axes", axis_headers)
      .def_property_readonly("columns", columns)
      .def_property_readonly("labels", [](const Sweep& s) { return s.whole->labels().names(); })
      .def_property_readonly("references", &Sweep::references)
      .def("column", column)
      .def("axis_values", axis_values)
      .def("pareto", pareto)
      .def("__len__", [](const Sweep& sweep) { return sweep.part->kept(); });
  m.def("sweep", run_sweep);
  m.def("merge", merge);
}

void add_evidence(py::module_& m) {
  answer_class<evidence::Reproduction>(m, "Reproduction");
  m.def("reproduce", reproduce);
  answer_class<evidence::Ledger>(m, "Ledger");
  m.def("predict", predict);
  answer_class<evidence::KernelLedger>(m, "KernelLedger");
  m.def("judge", judge);

  using hw::calibrated::CalibrateResult;
  py::class_<CalibrateResult>(m, "Calibration")
      .def(
          "json",
          [](const CalibrateResult& result) { return hw::calibrated::to_json(result.calibration); })
      .def(
          "text",
          [](const CalibrateResult& r) { return shown(answer::calibration_ledger(r.calibration)); })
      .def_readonly("notes", &CalibrateResult::notes)
      .def("residuals", [](const CalibrateResult& result) {
        std::map<std::string, std::string> plots;
        for (const auto& [key, points] : result.held_out) {
          const std::string title = key.slot() + (key.kernel.empty() ? "" : ", " + key.kernel);
          plots[title] = report::residual_plot(title, points).svg();
        }
        return plots;
      });
  m.def("calibrate", calibrate);
}

}  // namespace
}  // namespace ridge::python

PYBIND11_MODULE(_core, m) {
  using namespace ridge::python;
  py::register_exception_translator([](std::exception_ptr failure) { translate(failure); });
  m.attr("version") = RIDGE_VERSION;
  add_files(m);
  add_closed_forms(m);
  add_deployments(m);
  add_sweeps(m);
  add_evidence(m);
}
