// Pages that are handed on: whole in one file, asked again from themselves, and without a fault in
// a browser where this machine has one.
#include "few_modules.hpp"
#include "few_served.hpp"
#include "program.hpp"
#include "ridge/view/page.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::test {
namespace {

using testing::HasSubstr;
using testing::Not;
using Arguments = std::vector<std::string>;

// The page that a command writes beside its answer.
class Report {
 public:
  explicit Report(Arguments command) : file_("report.html", "") {
    command.insert(command.end(), {"--report", file_.path()});
    outcome = ridge(command);
    page = contents(file_.path());
  }
  [[nodiscard]] std::string path() const { return file_.path(); }

  Outcome outcome;
  std::string page;

 private:
  TemporaryFile file_;
};

std::string browser() {
  for (const char* name : {"chromium", "google-chrome", "chromium-browser"}) {
    if (run("which", {name}).status == 0) return name;
  }
  return {};
}

// Lines of the console, as Chromium logs them.
std::string complaints(const std::string& log) {
  std::istringstream lines(log);
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("CONSOLE") != std::string::npos) out += line + "\n";
  }
  return out;
}

// A page once its own scripts have run and its reader has done what `script` says: it may await
// rest(milliseconds), and tells in `say` what it saw.
struct Reading {
  std::string page;
  std::string complaints;
  nlohmann::json said;
};
Reading reading(const std::string& program, std::string page, const std::string& script) {
  page.insert(page.rfind("</body>"), R"(<script>
addEventListener('load', async () => {
  const rest = milliseconds => new Promise(done => setTimeout(done, milliseconds));
  const say = {};
)" + script + R"(
  const told = JSON.stringify(say).replace(/[<>&]/g, c => '\\u00' + c.charCodeAt(0).toString(16));
  document.body.append(Object.assign(document.createElement('pre'), {id: 'said', textContent: told}));
});
</script>
)");
  const TemporaryFile file("page.html", page);
  const Outcome outcome =
      run(program, {"--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                    "--virtual-time-budget=9000", "--window-size=1280,900", "--dump-dom",
                    "file://" + file.path()});
  const std::string mark = "<pre id=\"said\">";
  const std::size_t at = outcome.out.find(mark);
  Reading out{.page = outcome.out, .complaints = complaints(outcome.err), .said = {}};
  if (at != std::string::npos) {
    const std::size_t from = at + mark.size();
    out.said = nlohmann::json::parse(
        outcome.out.substr(from, outcome.out.find("</pre>", from) - from), nullptr, false);
  }
  return out;
}

// What stands out on the right of a window, of a telephone and of a sheet of A4, which does not
// scroll. The rules of the latter two are put in force as they are for every reader.
constexpr const char* kWhatDoesNotFit = R"(
  const outside = (width, scrolls) => [...document.querySelectorAll('main *')].filter(element => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > width + 1 && !element.closest(scrolls);
  }).map(element => `${element.tagName}.${element.className}`);
  const in_force = words => [...document.styleSheets[0].cssRules].filter(
    rule => rule.media && rule.media.mediaText.includes(words)).forEach(rule => { rule.media.mediaText = 'all'; });
  // A chart follows its place within some frames.
  const outside_at = async (width, scrolls) => {
    document.body.style.width = width + 'px';
    for (let frames = 0; frames < 30 && outside(width, scrolls).length > 0; ++frames) await rest(100);
    return outside(width, scrolls);
  };
  say.window = outside(innerWidth, '.scroll, figure.wide');
  in_force('max-width');
  say.telephone = await outside_at(400, '.scroll, figure.wide');
  in_force('print');
  say.paper = await outside_at(718, 'nothing');
  say.buttons_on_paper = [...document.querySelectorAll('button, input, select')].filter(
    element => element.getBoundingClientRect().width > 0).length;
)";

struct Kind {
  std::string name;
  Arguments command;
  bool charts = false;
  std::vector<std::string> holds;  // figures and words that the page must show
};
std::ostream& operator<<(std::ostream& out, const Kind& kind) {
  return out << kind.name;
}

const Kind kKinds[] = {
    {"Simulation",
     {"simulate", "step3-2a2f-4k-fp8", "--samples", "2"},
     false,
     {"TPOT mean", "misses its SLA", "Critical path", "Pipeline", "attention NICs",
      "calibrated:h800"}},
    {"Comparison",
     {"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--compare", "deepseek-v3-ep128-4k"},
     false,
     {"side by side", "deepseek-v3-ep128-4k"}},
    {"TraceReplay",
     {"simulate", "trace-replay"},
     true,
     {"Latencies", "Time in the system", "Load"}},
    {"Sweep", {"sweep", "sweep-mfa-heads"}, true, {"Pareto front", "total_usd_per_Mtok"}},
    {"DeploymentSweep", {"sweep", "sweep-afd-micro-batches"}, true, {"SLA 50 ms"}},
    {"Plan",
     {"plan", "--model", "llama-3.1-8b", "--chip", "h800", "--gpus", "4", "--tpot-ms", "20",
      "--samples", "3"},
     true,
     {"SLA 20", "#1 TP2", "Assumed: "}},
    {"Calibration",
     {"calibrate", source_path("kernels/measurements/h200.json").string(), "--chip", "h200", "-o",
      "/dev/null", "--force"},
     true,
     {"Residuals", "held-out p50"}},
    {"ExpertParallel",
     {"simulate", "deepseek-v3-ep128-4k", "--samples", "0"},
     false,
     {"gpus 0: dispatch", "gpus 0: combine", "gpus collectives"}},
    {"TensorParallel",
     {"simulate", "qwen3-235b-tp8-h20", "--samples", "0"},
     false,
     {"gpus 0: all-reduce"}},
    {"Kernels",
     {"reproduce", "--kernels", source_path("kernels/measurements/h200.json").string(),
      "--calibration", "h200"},
     false,
     {"kernels have a curve", "Median error by kernel", "NVIDIA H200"}},
    {"Modules",
     {"reproduce", "--kernels", few_modules(), "--calibration", "h100"},
     true,
     {"Whole modules of attention", "module_shared_index of glm-5, bf16, cache bf16",
      "no model called \"nobody-knows\" ships"}},
    {"Cost", {"cost"}, false, {"Each model on each chip", "step-3 on h20"}},
    {"Reproduction", {"reproduce", "step3"}, false, {"figures as printed"}},
    {"Ledger", {"reproduce", "step3", "--measured", "--samples", "0"}, true, {"within 10 %"}},
    {"ServingLedger",
     {"reproduce", "--serving", few_served(), "--samples", "0"},
     true,
     {"Bias of time", "without uneven experts", "What cannot be asked",
      "even routing was imposed"}},
};

class EveryReport : public testing::TestWithParam<Kind> {};

TEST_P(EveryReport, HoldsAllItNeedsInOneFile) {
  const Report report(GetParam().command);
  ASSERT_EQ(report.outcome.status, 0) << report.outcome.err;
  EXPECT_THAT(report.page, testing::StartsWith("<!DOCTYPE html>"));
  EXPECT_THAT(report.page, HasSubstr("</html>"));
  for (const auto& words : GetParam().holds) EXPECT_THAT(report.page, HasSubstr(words));
  // Nothing is fetched: no source, style sheet or import names a place.
  for (const char* fetched : {" src=\"", "@import", "url(http", "rel=\"stylesheet\""}) {
    EXPECT_THAT(report.page, Not(HasSubstr(fetched)));
  }
}

TEST_P(EveryReport, OpensInABrowserWithoutAComplaintAndFitsWindowTelephoneAndPaper) {
  const std::string program = browser();
  if (program.empty()) GTEST_SKIP() << "no Chromium on this machine";
  const Report report(GetParam().command);
  ASSERT_EQ(report.outcome.status, 0) << report.outcome.err;
  const Reading read = reading(program, report.page, kWhatDoesNotFit);
  EXPECT_EQ(read.complaints, "");
  for (const auto& words : GetParam().holds) EXPECT_THAT(read.page, HasSubstr(words));
  if (GetParam().charts && view::pages_have_charts()) {
    EXPECT_THAT(read.page, HasSubstr("<canvas"));
  }
  const auto nothing = nlohmann::json::array();
  EXPECT_EQ(read.said, (nlohmann::json{{"window", nothing},
                                       {"telephone", nothing},
                                       {"paper", nothing},
                                       {"buttons_on_paper", 0}}));
}

INSTANTIATE_TEST_SUITE_P(Of, EveryReport, testing::ValuesIn(kKinds),
                         [](const auto& kind) { return kind.param.name; });

TEST(Report, AsksItsQuestionAgain) {
  const Report first({"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--seed", "7"});
  ASSERT_EQ(first.outcome.status, 0) << first.outcome.err;
  const auto answer = [](const Arguments& command) {
    auto told = nlohmann::json::parse(ridge(command).out);
    told.erase("scenario");  // the name of the file
    return told;
  };
  EXPECT_EQ(answer({"simulate", first.path(), "--samples", "0", "--format", "json"}),
            answer({"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--seed", "7", "--format",
                    "json"}));
}

TEST(Report, OfAPlanAsksItAgain) {
  const Arguments goal{"plan", "--model",   "llama-3.1-8b", "--chip",    "h800", "--gpus",
                       "4",    "--tpot-ms", "20",           "--samples", "3"};
  const Report first(goal);
  ASSERT_EQ(first.outcome.status, 0) << first.outcome.err;
  EXPECT_THAT(first.page, HasSubstr("held-out error"));
  const auto answer = [](Arguments command) {
    command.insert(command.end(), {"--format", "json"});
    return ridge(command).out;
  };
  EXPECT_EQ(answer({"plan", first.path(), "--samples", "3"}), answer(goal));
}

// The page then holds the model, too.
TEST(Report, OfAPlanOfAModelThatStandsInTheGoalAsksItAgain) {
  nlohmann::json model = nlohmann::json::parse(source_text("models/data/llama-3.1-8b.json"));
  model["ffn"]["dense"]["intermediate"] = 12288;
  const TemporaryFile goal("goal.json", nlohmann::json{{"kind", "plan"},
                                                       {"title", "A narrower model"},
                                                       {"models", {model}},
                                                       {"chips", {{{"chip", "h800"}}}},
                                                       {"gpus", 2},
                                                       {"context_tokens", 8192},
                                                       {"sla_tpot_ms", 20}}
                                            .dump());
  const Report first({"plan", goal.path(), "--samples", "0"});
  ASSERT_EQ(first.outcome.status, 0) << first.outcome.err;
  EXPECT_EQ(ridge({"plan", first.path(), "--samples", "0"}).out,
            ridge({"plan", goal.path(), "--samples", "0"}).out);
}

TEST(PlanCommand, AContextBesideAWorkloadIsRefused) {
  const Outcome outcome = ridge({"plan", "deepseek-v3-requests", "--context", "8K"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--context: the goal's \"workload\" says already"));
}

TEST(Report, OfASweepAsksItAgain) {
  const Report first({"sweep", "sweep-mfa-heads"});
  EXPECT_EQ(ridge({"sweep", first.path()}).out, first.outcome.out);
}

// The trace's path counts from the scenario's folder, in the page from the page's.
TEST(Report, FindsTheFilesOfItsScenarioFromItsOwnFolder) {
  const Report replay({"simulate", "trace-replay"});
  ASSERT_EQ(replay.outcome.status, 0) << replay.outcome.err;
  const Outcome again = ridge({"simulate", replay.path()});
  EXPECT_EQ(again.status, 0) << again.err;
}

// As any path in a file, a page's counts from the folder of that file.
TEST(Report, MayBeTheScenarioOfASweepBesideIt) {
  const TemporaryFile sweep("sweep.json", R"({"kind": "sweep", "title": "Of a page",
      "base": {"kind": "simulate", "scenario": "page.html"},
      "axes": [{"pointer": "/scenario/deployment/micro_batches", "values": [2, 3]}],
      "columns": ["tpot_ms"]})");
  const std::string page =
      (std::filesystem::path(sweep.path()).parent_path() / "page.html").string();
  const Outcome written =
      ridge({"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--report", page});
  ASSERT_EQ(written.status, 0) << written.err;
  const Outcome outcome = ridge({"sweep", sweep.path()});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST(Report, WithoutAQuestionIsNoScenario) {
  const TemporaryFile page("page.html", "<!DOCTYPE html><p>hello");
  const Outcome outcome = ridge({"simulate", page.path()});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("expected a page that Ridge wrote with --report"));
}

TEST(Report, IsRefusedUnderAnotherEnding) {
  const Outcome outcome =
      ridge({"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--report", "r.pdf"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--report: expected a name that ends in .html"));
}

// What is compared stands in the page, and closes no element of it.
TEST(Report, HoldsANameThatLooksLikeHtml) {
  const TemporaryFile scenario("s.json", R"({"kind": "cost", "title": "</script><b>&\"x",
      "models": ["step-3"], "chips": ["h800"], "context_tokens": [8192]})");
  const Report report({"cost", scenario.path()});
  ASSERT_EQ(report.outcome.status, 0) << report.outcome.err;
  EXPECT_THAT(report.page, Not(HasSubstr("</script><b>")));
  EXPECT_EQ(ridge({"cost", report.path()}).out, report.outcome.out);
}

// Of every request: it is admitted after it came, and gets its first token before its last.
TEST(Requests, AreToldInTheOrderOfTheirLives) {
  const TemporaryFile file("r.csv", "");
  const Outcome outcome =
      ridge({"simulate", "trace-replay", "--requests", file.path(), "--format", "json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::istringstream lines(contents(file.path()));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line,
            "arrival_s,admitted_s,first_token_s,finish_s,context_tokens,output_tokens,"
            "tpot_ms,refused");
  std::size_t finished = 0;
  double last_arrival = 0.0;
  while (std::getline(lines, line)) {
    std::vector<double> cells;
    std::istringstream parts(line);
    for (std::string cell; std::getline(parts, cell, ',');) {
      cells.push_back(cell.empty() ? -1.0 : std::stod(cell));
    }
    ASSERT_EQ(cells.size(), 8U) << line;
    EXPECT_GE(cells[0], last_arrival);
    last_arrival = cells[0];
    if (cells[3] < 0.0) continue;
    ++finished;
    EXPECT_LE(cells[0], cells[1]) << line;
    EXPECT_LT(cells[1], cells[2]) << line;
    EXPECT_LE(cells[2], cells[3]) << line;
    EXPECT_NEAR(cells[6], 1e3 * (cells[3] - cells[1]) / cells[5], 1e-3 + 1e-3 / cells[5]) << line;
  }
  const auto answer = nlohmann::json::parse(outcome.out);
  EXPECT_GE(finished, answer.at("requests").at("finished").get<std::size_t>());
}

TEST(Requests, OfAClosedLoopAreRefused) {
  const Outcome outcome =
      ridge({"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--requests", "r.csv"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--requests needs requests that arrive"));
}

TEST(Requests, HaveTheirLatenciesDrawn) {
  const TemporaryFile picture("l.svg", "");
  const Outcome outcome = ridge({"simulate", "trace-replay", "--latencies", picture.path()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  for (const char* words : {"<svg", "TPOT, token by token", "Time in the system", "p95"}) {
    EXPECT_THAT(contents(picture.path()), HasSubstr(words));
  }
  const Outcome closed =
      ridge({"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--latencies", picture.path()});
  EXPECT_EQ(closed.status, 2);
  EXPECT_THAT(closed.err, HasSubstr("--latencies needs requests that arrive"));
  const Outcome other = ridge({"simulate", "trace-replay", "--latencies", "l.gif"});
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.err, HasSubstr("--latencies: expected a name that ends in .svg or .png"));
}

TEST(LargestRate, LiesBetweenWhatHeldAndWhatDidNot) {
  auto scenario =
      nlohmann::json::parse(std::ifstream(source_path("scenarios/step3-2a2f-4k-fp8.json")));
  scenario["workload"] = {{"kind", "poisson"},
                          {"requests_per_s", 50.0},
                          {"context", {{"kind", "fixed"}, {"tokens", 4096}}},
                          {"output", {{"kind", "fixed"}, {"tokens", 20}}}};
  scenario["measurement"] = {{"warmup_s", 1.0}, {"duration_s", 3.0}};
  scenario["sla_tpot_ms"] = 30.0;
  const TemporaryFile file("s.json", scenario.dump());
  const Outcome outcome = ridge({"simulate", file.path(), "--largest-rate", "--format", "json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const auto search = nlohmann::json::parse(outcome.out);
  const double held = search.at("largest_rate_held").get<double>();
  const double missed = search.at("smallest_rate_missed").get<double>();
  EXPECT_LT(held, missed);
  EXPECT_LE(missed, 1.02 * held);
  int held_tries = 0;
  int missed_tries = 0;
  for (const auto& one : search.at("tries")) {
    const double rate = one.at("requests_per_second").get<double>();
    if (rate == held) {
      ++held_tries;
      EXPECT_LE(one.at("tpot_p95_ms").get<double>(), 30.0);
    }
    if (rate == missed) {
      ++missed_tries;
      EXPECT_FALSE(one.at("holds").get<bool>());
    }
  }
  EXPECT_EQ(held_tries, 1);
  EXPECT_EQ(missed_tries, 1);
}

TEST(LargestRate, NeedsArrivals) {
  const Outcome outcome = ridge({"simulate", "step3-2a2f-4k-fp8", "--largest-rate"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("a rate needs requests that arrive"));
}

// Ten thousand designs: 100 numbers of heads, 100 contexts.
const Report& of_ten_thousand_designs() {
  static const TemporaryFile sweep("s.json", R"({"kind": "sweep", "title": "Many",
      "base": {"kind": "cost", "model": "step-3", "chip": "h800", "context_tokens": 8192},
      "axes": [{"pointer": "/model/attention/mfa/query_heads", "from": 1, "to": 100, "step": 1},
               {"pointer": "/context_tokens", "from": 1000, "to": 100000, "step": 1000}],
      "columns": ["effective_rank", "kv_bytes", "attention_flop", "attention_us_per_token",
                  "total_us_per_token", "total_usd_per_Mtok"],
      "pareto": {"minimize": ["total_usd_per_Mtok"], "maximize": ["effective_rank"]}})");
  static const Report report({"sweep", sweep.path()});
  return report;
}

TEST(Report, OfTenThousandDesignsIsBelowFiveMegabytes) {
  const Report& report = of_ten_thousand_designs();
  ASSERT_EQ(report.outcome.status, 0) << report.outcome.err;
  EXPECT_THAT(report.page, HasSubstr("10000 points"));
  EXPECT_LT(report.page.size(), 5'000'000U);
}

// A reader filters, sorts and chooses, with the chart or without.
constexpr const char* kFilterSortAndChoose = R"(
  const explorer = document.querySelector('.explorer');
  const words = () => explorer.querySelector(':scope > p').textContent;
  const first = () => [...explorer.querySelector('tbody').rows[0].cells].map(cell => cell.textContent);
  say.at_first = words();
  const search = explorer.querySelector('input[type=search]');
  search.value = 'query_heads < 11, context_tokens > 50000';
  search.dispatchEvent(new Event('input'));
  say.filtered = words();
  const column = [...explorer.querySelectorAll('th')].find(cell => cell.textContent === 'context_tokens');
  column.click();
  column.click();
  say.first = first()[column.cellIndex];
  explorer.querySelector('tbody').rows[0].click();
  say.chosen = explorer.querySelector('.details strong').textContent;
  say.address = location.hash;
  if (typeof Chart !== 'undefined') {
    const chart = Chart.getChart(explorer.querySelector('canvas'));
    say.dots = chart.data.datasets.filter(set => set.named).reduce((sum, set) => sum + set.data.length, 0);
  }
  const picture = explorer.querySelector('.static svg');
  say.picture = picture !== null && picture.getBoundingClientRect().height > 100;
)";

TEST(Report, OfTenThousandDesignsIsFilteredSortedAndChosenFrom) {
  const std::string program = browser();
  if (program.empty()) GTEST_SKIP() << "no Chromium on this machine";
  const Reading read = reading(program, of_ten_thousand_designs().page, kFilterSortAndChoose);
  EXPECT_EQ(read.complaints, "");
  nlohmann::json expected{{"at_first", "10000 designs; the first 100 below"},
                          {"filtered", "500 of 10000 designs; the first 100 below"},
                          {"first", "100000"},
                          {"chosen", "query_heads 10, context_tokens 100000"},
                          {"address", "#design=999"},
                          {"picture", !view::pages_have_charts()}};
  if (view::pages_have_charts()) expected["dots"] = 500;
  EXPECT_EQ(read.said, expected);
}

// The page of a Ridge that was built where there was no chart library is this one without it.
TEST(Report, WithoutTheChartLibraryKeepsItsPicturesAndItsTable) {
  const std::string program = browser();
  if (program.empty()) GTEST_SKIP() << "no Chromium on this machine";
  std::string page = of_ten_thousand_designs().page;
  if (view::pages_have_charts()) {
    const std::size_t begin = page.find("<script>\n", page.find("</main>"));
    page.erase(begin, page.find("<script>\n", begin + 1) - begin);
  }
  const Reading read = reading(program, page, kFilterSortAndChoose);
  EXPECT_EQ(read.complaints, "");
  EXPECT_EQ(read.said, (nlohmann::json{{"at_first", "10000 designs; the first 100 below"},
                                       {"filtered", "500 of 10000 designs; the first 100 below"},
                                       {"first", "100000"},
                                       {"chosen", "query_heads 10, context_tokens 100000"},
                                       {"address", "#design=999"},
                                       {"picture", true}}));
}

}  // namespace
}  // namespace ridge::test
