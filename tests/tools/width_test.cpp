// What people read fits the line that they have.
#include "few_modules.hpp"
#include "program.hpp"
#include "ridge/view/text_table.hpp"
#include "source_tree.hpp"
#include "temporary_file.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ridge::test {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

// COLUMNS as the program will see it, until the end of the test.
class Width {
 public:
  explicit Width(const char* columns) { ::setenv("COLUMNS", columns, 1); }
  Width(const Width&) = delete;
  Width& operator=(const Width&) = delete;
  ~Width() { ::unsetenv("COLUMNS"); }
};

std::size_t longest_line(const std::string& text) {
  std::size_t longest = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    longest = std::max(longest, view::display_width(line));
  }
  return longest;
}

using Arguments = std::vector<std::string>;
class StandardCommand : public testing::TestWithParam<Arguments> {};

TEST_P(StandardCommand, FitsEightyColumns) {
  const Width width("80");
  const Outcome outcome = ridge(GetParam());
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_LE(longest_line(outcome.out), 80U) << outcome.out;
}

INSTANTIATE_TEST_SUITE_P(
    Each, StandardCommand,
    testing::Values(Arguments{"cost"}, Arguments{"cost", "--chip", "h800,mi300x,tpu-v7"},
                    Arguments{"explain", "step3-2a2f-4k-fp8"}, Arguments{"fit"},
                    Arguments{"support", "step-3", "--chip", "h800,mi300x"},
                    Arguments{"reproduce", "--kernels",
                              source_path("kernels/measurements/h200.json").string(),
                              "--calibration", "h200"},
                    Arguments{"reproduce", "--kernels", few_modules(), "--calibration", "h100"},
                    Arguments{"sparsity"}, Arguments{"list", "models"}, Arguments{"list", "chips"},
                    Arguments{"list", "calibrations"}, Arguments{"list", "scenarios"},
                    Arguments{"list", "figures"}, Arguments{"list", "goals"},
                    Arguments{"check", "--help"},
                    Arguments{"check", source_path("models/data/step-3.json").string()},
                    Arguments{"show", "step-3"}, Arguments{"show", "h800"},
                    Arguments{"show", "calibrated:h800"}, Arguments{"show", "qwen3-next-80b-a3b"},
                    Arguments{"show", "calibrated:b200"},
                    Arguments{"show", "calibrated:h200-ridge"}, Arguments{"reproduce", "step3"},
                    Arguments{"reproduce", "step3", "--measured", "--samples", "0"},
                    Arguments{"simulate", "step3-2a2f-4k-fp8", "--samples", "0"},
                    Arguments{"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--compare",
                              "deepseek-v3-ep128-4k"},
                    Arguments{"simulate", "deepseek-v3-ep128-4k", "--samples", "2"},
                    Arguments{"simulate", "qwen3-235b-tp8-h20", "--samples", "0"},
                    Arguments{"simulate", "trace-replay"},
                    Arguments{"simulate", "trace-replay", "--largest-rate"},
                    Arguments{"sweep", "sweep-mfa-heads", "--format", "table"},
                    Arguments{"sweep", "sweep-afd-micro-batches", "--format", "table"},
                    Arguments{"plan", "--model", "step-3", "--chip", "h800,h20", "--gpus", "16",
                              "--tpot-ms", "25", "--samples", "4", "--front"},
                    Arguments{"plan", "--model", "step-3", "--chip", "h800", "--gpus", "16",
                              "--tpot-ms", "1", "--samples", "0"},
                    Arguments{"reproduce", "serving", "--measured", "--samples", "0"},
                    Arguments{"reproduce", "transfer", "--measured", "--samples", "0"},
                    Arguments{"calibrate", source_path("kernels/measurements/h200.json").string(),
                              "--chip", "h200", "-o", "/dev/null", "--force"}));

TEST(Output, OfEveryHelpFitsEightyColumns) {
  const Width width("80");
  const std::string help = ridge({"--help"}).out;
  EXPECT_LE(longest_line(help), 80U) << help;
  std::istringstream lines(help.substr(help.find("Subcommands:")));
  int commands = 0;
  for (std::string line; std::getline(lines, line);) {
    // "  plan                        The best deployments ...", and nothing that goes on below.
    if (line.size() < 3 || line[0] != ' ' || line[2] == ' ') continue;
    const std::string command = line.substr(2, line.find(' ', 2) - 2);
    if (command == "ridge") break;  // examples
    ++commands;
    const Outcome outcome = ridge({command, "--help"});
    EXPECT_EQ(outcome.status, 0) << command << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("Usage: ridge " + command));
    EXPECT_LE(longest_line(outcome.out), 80U) << outcome.out;
  }
  EXPECT_GE(commands, 15);
}

TEST(Output, WarningsFitTheLineAndGoOnFurtherIn) {
  const Width width("50");
  const Outcome outcome = ridge({"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--fixed",
                                 "popularity of experts", "--compare", "qwen3-235b-tp8-h20"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_LE(longest_line(outcome.err), 50U) << outcome.err;
  // Of two, each says which.
  EXPECT_THAT(outcome.err,
              HasSubstr("ridge: warning: qwen3-235b-tp8-h20: \"popularity\n  of experts\" is not "
                        "drawn here, fixed or not: no\n  interval is asked for\n"));
}

// On a terminal of its own, which `script` gives it.
std::string on_a_terminal(const std::string& environment) {
  return run("script",
             {"-qec", environment + " " RIDGE_PROGRAM " simulate step3-2a2f-4k-fp8 --samples 0",
              "/dev/null"})
      .out;
}

TEST(Output, ColorsItsVerdictOnATerminalOnly) {
  if (run("which", {"script"}).status != 0) GTEST_SKIP() << "no script(1) on this machine";
  EXPECT_THAT(on_a_terminal("NO_COLOR="), HasSubstr("\033[31mmisses\033[0m"));
  // On a slow machine a progress bar comes and goes there, without colors too.
  EXPECT_THAT(on_a_terminal("NO_COLOR=1"), Not(ContainsRegex("\033\\[[0-9;]*m")));
  const Outcome piped = ridge({"simulate", "step3-2a2f-4k-fp8", "--samples", "0"});
  EXPECT_THAT(piped.out, HasSubstr("misses"));
  EXPECT_THAT(piped.out, Not(HasSubstr("\033[")));
}

TEST(Output, AProgressBarKeepsToTheTerminalAndLeavesItsLine) {
  if (run("which", {"script"}).status != 0) GTEST_SKIP() << "no script(1) on this machine";
  int bars = 0;
  for (const char* command : {"explain deepseek-v3-ep128-4k", "simulate trace-replay"}) {
    const std::string shown =
        run("script",
            {"-qec", std::string("stty cols 44; " RIDGE_PROGRAM " ") + command + " >/dev/null",
             "/dev/null"})
            .out;
    std::istringstream parts(shown);
    for (std::string drawn; std::getline(parts, drawn, '\r');) {
      const std::size_t cleared = drawn.find("\033[K");
      if (cleared != std::string::npos) drawn.erase(0, cleared + 3);
      if (drawn.find("] ") == std::string::npos) continue;
      ++bars;
      EXPECT_LT(drawn.size(), 44U) << drawn;
      EXPECT_THAT(drawn, Not(HasSubstr("ridge:")));
    }
  }
  EXPECT_GT(bars, 0);
}

TEST(Output, AMistypedFlagIsToldTheNearestOne) {
  const Outcome outcome = ridge({"simulate", "step3-2a2f-4k-fp8", "--sampels", "5"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err,
              HasSubstr("ridge: ridge simulate: there is no option \"--sampels\"; did you mean "
                        "\"--samples\"?"));
  EXPECT_THAT(outcome.err, HasSubstr("`ridge simulate --help`"));
}

TEST(Output, TakesTheColumnsThatItIsGiven) {
  const Width width("60");
  EXPECT_LE(longest_line(ridge({"list", "scenarios"}).out), 60U);
}

TEST(Output, WarningsOfOneKindAreOneUnlessAskedFor) {
  const auto warnings = [](const std::string& text) {
    int count = 0;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) count += line.starts_with("ridge: warning");
    return count;
  };
  const Arguments asked = {"simulate", "step3-2a2f-4k-fp8", "--samples", "0"};
  const Outcome folded = ridge(asked);
  EXPECT_EQ(warnings(folded.err), 1) << folded.err;
  EXPECT_THAT(folded.err, HasSubstr("--verbose"));
  Arguments verbose = asked;
  verbose.push_back("--verbose");
  const Outcome all = ridge(verbose);
  EXPECT_GT(warnings(all.err), 1) << all.err;
  EXPECT_THAT(all.err, Not(HasSubstr("--verbose")));
}

TEST(Output, AListIsJsonWhereAsked) {
  const auto scenarios =
      nlohmann::json::parse(ridge({"list", "scenarios", "--format", "json"}).out).at("entries");
  ASSERT_FALSE(scenarios.empty());
  for (const auto& scenario : scenarios) {
    EXPECT_FALSE(scenario.at("command").get<std::string>().empty());
    EXPECT_FALSE(scenario.at("question").get<std::string>().empty());
  }
}

TEST(Output, OfAnImportIsWholeJsonWhateverTheWidth) {
  const Width width("60");
  const nlohmann::json config = {{"model_type", "llama"},      {"hidden_size", 4096},
                                 {"intermediate_size", 14336}, {"num_attention_heads", 32},
                                 {"num_hidden_layers", 32},    {"num_key_value_heads", 8},
                                 {"torch_dtype", "bfloat16"},  {"vocab_size", 128256}};
  const TemporaryFile file("config.json", config.dump());
  const Outcome outcome = ridge({"import", file.path()});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_FALSE(nlohmann::json::parse(outcome.out, nullptr, false).is_discarded()) << outcome.out;
}

// The reader takes a line of two hundred thousand and goes.
TEST(Output, EndsQuietlyWhereItsReaderGoes) {
  const Outcome outcome =
      run("bash", {"-c", RIDGE_PROGRAM " reproduce step3 --format json | head -1; echo "
                                       "${PIPESTATUS[0]}"});
  EXPECT_EQ(outcome.out, "{\n0\n");
  EXPECT_EQ(outcome.err, "");
}

TEST(Output, APictureIsAPngWhereItsNameSaysSo) {
  if (run("which", {"rsvg-convert"}).status != 0) GTEST_SKIP() << "no rsvg-convert here";
  const TemporaryFile picture("front.png", "");
  const Outcome outcome =
      ridge({"sweep", "sweep-mfa-heads", "--picture", picture.path(), "-o", "/dev/null"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::ifstream file(picture.path(), std::ios::binary);
  const std::string png{std::istreambuf_iterator<char>(file), {}};
  EXPECT_THAT(png, testing::StartsWith("\x89PNG\r\n"));
  EXPECT_GT(png.size(), 10'000U);
  EXPECT_FALSE(std::filesystem::exists(picture.path() + ".svg"));
}

TEST(Output, APngWithoutItsConverterIsRefusedBeforeAnyWork) {
  const TemporaryFile picture("front.png", "");
  const Outcome outcome = run("env", {"PATH=/nowhere", RIDGE_PROGRAM, "sweep", "sweep-mfa-heads",
                                      "--picture", picture.path()});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err,
              HasSubstr("a PNG is made by rsvg-convert (Debian's librsvg2-bin), which is not "
                        "installed; a name that ends in .svg needs nothing"));
}

TEST(Output, APictureHasAnEndingThatSaysWhatItIs) {
  const Outcome outcome =
      ridge({"simulate", "step3-2a2f-4k-fp8", "--samples", "0", "--picture", "p.jpg"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("expected a name that ends in .svg or .png"));
}

TEST(Prices, AnUnknownListNamesThoseThatThereAre) {
  const Outcome outcome = ridge({"cost", "--price", "paper-2025"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("\"paper-2025\"; did you mean \"paper-2025-07\"?"));
}

TEST(Prices, OneCanBeGivenForAChip) {
  const Arguments asked = {"cost", "--model", "step-3", "--chip", "h800,mi300x", "--context", "8K"};
  const auto rows = [&](const char* price) {
    Arguments all = asked;
    if (*price != '\0') all.insert(all.end(), {"--price", price});
    all.insert(all.end(), {"--format", "json"});
    return nlohmann::json::parse(ridge(all).out).at("rows");
  };
  const auto listed = rows("");
  const auto given = rows("h800=1.5,mi300x=1.99");
  EXPECT_TRUE(listed[1].at("total_usd_per_Mtok").is_null());
  EXPECT_GT(listed[1].at("total_us_per_token").get<double>(), 0.0);
  // USD/h over 3600 s, times the chip's microseconds: USD per million tokens.
  for (const auto& [row, price] : {std::pair{0, 1.5}, std::pair{1, 1.99}}) {
    EXPECT_NEAR(given[row].at("total_usd_per_Mtok").get<double>(),
                price / 3600 * given[row].at("total_us_per_token").get<double>(), 1e-9);
  }
}

TEST(Prices, OfAChipNotAskedAboutAreRefused) {
  const Outcome outcome = ridge({"cost", "--chip", "h800", "--price", "h20=1"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("expected one of the chips asked about (h800), got \"h20\""));
}

}  // namespace
}  // namespace ridge::test
