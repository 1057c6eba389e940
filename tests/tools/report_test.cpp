// Pages that are handed on: whole in one file, asked again from themselves, and without a fault in
// a browser where this machine has one.
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

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

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

// What the page is once its scripts have run; what they complained of stands in `err`.
Outcome opened(const std::string& program, const std::string& path) {
  return run(program, {"--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
                       "--virtual-time-budget=4000", "--window-size=1280,900", "--dump-dom",
                       "file://" + path});
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
    {"Cost", {"cost"}, false, {"Each model on each chip", "step-3 on h20"}},
    {"Reproduction", {"reproduce", "step3"}, false, {"figures as printed"}},
    {"Ledger", {"reproduce", "step3", "--measured", "--samples", "0"}, true, {"within 10 %"}},
    {"ServingLedger",
     {"reproduce", "serving", "--measured", "--samples", "0"},
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

TEST_P(EveryReport, OpensInABrowserWithoutAComplaint) {
  const std::string program = browser();
  if (program.empty()) GTEST_SKIP() << "no Chromium on this machine";
  const Report report(GetParam().command);
  ASSERT_EQ(report.outcome.status, 0) << report.outcome.err;
  const Outcome page = opened(program, report.path());
  EXPECT_EQ(complaints(page.err), "");
  for (const auto& words : GetParam().holds) EXPECT_THAT(page.out, HasSubstr(words));
  if (GetParam().charts && view::pages_have_charts()) {
    EXPECT_THAT(page.out, HasSubstr("<canvas"));
  }
}

INSTANTIATE_TEST_SUITE_P(Of, EveryReport, testing::ValuesIn(kKinds),
                         [](const auto& kind) { return kind.param.name; });

TEST(Report, AsksItsQuestionAgain) {
  const Report first({"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--seed", "7"});
  ASSERT_EQ(first.outcome.status, 0) << first.outcome.err;
  const auto answer = [](const Arguments& command) {
    auto json = nlohmann::json::parse(ridge(command).out);
    json.erase("scenario");  // the name of the file
    return json;
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

TEST(Report, OfTenThousandDesignsIsBelowFiveMegabytes) {
  const TemporaryFile sweep("s.json", R"({"kind": "sweep", "title": "Many",
      "base": {"kind": "cost", "model": "step-3", "chip": "h800", "context_tokens": 8192},
      "axes": [{"pointer": "/model/attention/mfa/query_heads", "from": 1, "to": 100, "step": 1},
               {"pointer": "/context_tokens", "from": 1000, "to": 100000, "step": 1000}],
      "columns": ["effective_rank", "kv_bytes", "attention_flop", "attention_us_per_token",
                  "total_us_per_token", "total_usd_per_Mtok"],
      "pareto": {"minimize": ["total_usd_per_Mtok"], "maximize": ["effective_rank"]}})");
  const Report report({"sweep", sweep.path()});
  ASSERT_EQ(report.outcome.status, 0) << report.outcome.err;
  EXPECT_THAT(report.page, HasSubstr("10000 points"));
  EXPECT_LT(report.page.size(), 5'000'000U);
}

}  // namespace
}  // namespace ridge::test
