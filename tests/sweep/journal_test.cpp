// Journals: what a run has finished is not asked again, and the answer is the same to the byte.
#include "ridge/sweep/journal.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/file.hpp"
#include "ridge/models/model_spec.hpp"
#include "ridge/scenario/scenario_files.hpp"
#include "ridge/sweep/sweep.hpp"
#include "ridge/sweep/sweep_output.hpp"

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::sweep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kMaker = "this test";

// A folder of its own for each test, gone with it.
class JournalTest : public testing::Test {
 protected:
  JournalTest()
      : folder_(fs::path(testing::TempDir()) /
                fmt::format("ridge_journal_{}",
                            testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~JournalTest() override { fs::remove_all(folder_); }
  [[nodiscard]] std::string path(const std::string& name) const {
    return (folder_ / name).string();
  }

 private:
  fs::path folder_;
};

// Twelve deployments, of which four need more memory than there is, and a reference.
json question() {
  json scenario = JsonDocument::read(scenario::scenario_path("step3-2a2f-4k-fp8")).json();
  for (json& pool : scenario["deployment"]["pools"]) pool["kernel_model"] = "theoretical";
  scenario["measurement"] = {{"warmup_steps", 1}, {"steps", 2}};
  return {{"kind", "sweep"},
          {"title", "t"},
          {"base", {{"kind", "simulate"}, {"scenario", scenario}}},
          {"axes", json::parse(R"([
             {"pointer": "/scenario/workload/requests_per_gpu", "values": [12, 24, 2400]},
             {"pointer": "/scenario/deployment/micro_batches", "values": [1, 2, 3, 4]}])")},
          {"invalid_points", "skip"},
          {"filters", {{{"column", "tpot_ms"}, {"max", 1000}}}},
          {"pareto", {{"minimize", {"tpot_ms"}}, {"maximize", {"tokens_per_s_per_gpu"}}}},
          {"references", {"deepseek-v3-ep128-4k"}}};
}

std::string bytes(const SweepResult& result) {
  std::string out;
  write_sweep(result, view::OutputFormat::json, {}, [&](std::string_view text) { out += text; });
  return out;
}

SweepScenario scenario_of(const json& question) {
  return read_sweep(JsonDocument("x.json", question));
}

std::string answer(const json& question, Journal* journal = nullptr, unsigned threads = 1) {
  return bytes(run_sweep(scenario_of(question), {.threads = threads, .journal = journal}));
}

std::string answer_with(const std::string& path, const json& of = question(),
                        const std::string& maker = kMaker) {
  Journal journal(path, maker);
  return answer(of, &journal);
}

std::string refusal(const std::string& path, const json& of = question(),
                    const std::string& maker = kMaker) {
  try {
    (void)answer_with(path, of, maker);
  } catch (const UserError& e) {
    return e.what();
  }
  return "no error";
}

std::string contents(const std::string& path) {
  return read_file(path, std::size_t{1} << 30);
}

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

TEST_F(JournalTest, TheAnswerIsTheSameWithAndWithoutIt) {
  const std::string plain = answer(question());
  EXPECT_EQ(answer_with(path("a")), plain);
  const std::string written = contents(path("a"));
  EXPECT_EQ(lines(written), 1U + 12U + 1U) << "the question, its points, the reference";
  EXPECT_EQ(answer_with(path("a")), plain);
  EXPECT_EQ(contents(path("a")), written) << "nothing is asked twice";
}

TEST_F(JournalTest, WhereverTheFileEndsTheAnswerGoesOnToTheSameBytes) {
  const std::string plain = answer_with(path("whole"));
  const std::string whole = contents(path("whole"));
  std::vector<std::size_t> ends;
  const std::size_t header = whole.find('\n') + 1;
  for (std::size_t i = header; i < whole.size(); ++i) {
    if (whole[i] != '\n') continue;
    for (const std::size_t end : {i - 1, i, i + 1, i + 2}) ends.push_back(end);
  }
  for (std::size_t i = 0; i < ends.size(); i += 3) {
    SCOPED_TRACE(ends[i]);
    write_file(path("cut"), whole.substr(0, ends[i]));
    EXPECT_EQ(answer_with(path("cut")), plain);
    EXPECT_EQ(lines(contents(path("cut"))), lines(whole));
  }
}

TEST_F(JournalTest, AnInterruptLosesNothingThatIsFinished) {
  const std::string plain = answer(question());
  std::atomic<bool> stop{false};
  int told = 0;
  {
    Journal journal(path("a"), kMaker);
    EXPECT_THROW((void)run_sweep(scenario_of(question()),
                                 {.stop = &stop,
                                  .progress = [&](auto, auto) { stop = ++told == 5; },
                                  .journal = &journal}),
                 Interrupted);
  }
  EXPECT_EQ(lines(contents(path("a"))), 1U + 5U);
  EXPECT_EQ(answer_with(path("a")), plain);
}

TEST_F(JournalTest, AChangedQuestionIsRefused) {
  (void)answer_with(path("a"));
  json other = question();
  other["axes"][0]["values"][0] = 13;
  EXPECT_THAT(
      refusal(path("a"), other),
      testing::AllOf(HasSubstr("this journal is of another question"), HasSubstr("x.json")));
  EXPECT_THAT(refusal(path("a"), question(), "another ridge"),
              HasSubstr("was written by this test; this is another ridge"));
  EXPECT_EQ(refusal(path("a")), "no error");
}

TEST_F(JournalTest, AFileThatTheQuestionNamesIsPartOfIt) {
  json model = models::model_document("step-3").json();
  const auto write_model = [&] { write_file(path("model.json"), model.dump()); };
  write_model();
  json sweep = {{"kind", "sweep"},
                {"title", "t"},
                {"base",
                 {{"kind", "cost"},
                  {"model", path("model.json")},
                  {"chip", "h800"},
                  {"context_tokens", 8192}}},
                {"axes", {{{"pointer", "/context_tokens"}, {"values", {4096, 8192}}}}}};
  const std::string first = answer_with(path("a"), sweep);
  model["hidden"] = 6144;
  write_model();
  EXPECT_THAT(refusal(path("a"), sweep), HasSubstr("of another question"));
  model["hidden"] = 7168;
  write_model();
  EXPECT_EQ(answer_with(path("a"), sweep), first);
}

TEST_F(JournalTest, ADamagedJournalIsRefusedAtTheLine) {
  (void)answer_with(path("a"));
  std::string text = contents(path("a"));
  const std::size_t second = text.find('\n') + 1;
  text[text.find("\"rows\"", second) + 3] = 'x';
  write_file(path("a"), text);
  EXPECT_THAT(refusal(path("a")), HasSubstr("line 2 is damaged"));
}

TEST_F(JournalTest, AnotherFileIsNotOverwritten) {
  const std::string text = "my only copy\n";
  write_file(path("notes"), text);
  EXPECT_THAT(refusal(path("notes")), HasSubstr("expected the journal of a sweep"));
  EXPECT_EQ(contents(path("notes")), text);
  write_file(path("empty"), "");
  EXPECT_THAT(refusal(path("empty")), HasSubstr("expected the journal of a sweep"));
}

TEST_F(JournalTest, TwoProcessesDoNotWriteToOne) {
  Journal mine(path("a"), kMaker);
  (void)answer(question(), &mine);
  EXPECT_THAT(refusal(path("a")), HasSubstr("another process writes to this journal"));
}

TEST_F(JournalTest, ShardsMergeToTheBytesOfOneRun) {
  for (const bool fails : {false, true}) {
    json sweep = question();
    if (fails) sweep["invalid_points"] = "error";
    const auto one_run = [&](Journal* journal) {
      try {
        return answer(sweep, journal, 2);
      } catch (const UserError& e) {
        return std::string(e.what());
      }
    };
    const std::string plain = one_run(nullptr);
    std::vector<std::string> paths;
    for (std::uint64_t i = 1; i <= 3; ++i) {
      paths.insert(paths.begin(), path(fmt::format("{}-{}", fails, i)));
      Journal journal(paths.front(), kMaker);
      run_shard(scenario_of(sweep), {.threads = 2, .journal = &journal}, {.index = i, .count = 3});
      EXPECT_LT(journal.size(), 6U);
    }
    EXPECT_EQ(Journal::scenario_of(paths[0]).json(), sweep);
    Journal merged(paths, kMaker);
    EXPECT_EQ(one_run(&merged), plain);
    Journal two({paths[0], paths[2]}, kMaker);
    EXPECT_THAT(one_run(&two), testing::AllOf(HasSubstr("4 points of this sweep are in none"),
                                              HasSubstr("point 1 (/scenario/workload")));
  }
}

}  // namespace
}  // namespace ridge::sweep
