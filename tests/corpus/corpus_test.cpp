// Replays tests/corpus/<kind>/: a file whose name begins with "accept" must be accepted, any other
// refused with a UserError. A crash, a hang or another exception fails the test.
#include "file_kinds.hpp"
#include "source_tree.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <gtest/gtest.h>

namespace ridge::test {
namespace {

namespace fs = std::filesystem;

const fs::path kCorpus = source_path("tests/corpus");

class Corpus : public testing::TestWithParam<FuzzedKind> {};

INSTANTIATE_TEST_SUITE_P(Kinds, Corpus,
                         testing::ValuesIn(fuzzed_kinds().begin(), fuzzed_kinds().end()),
                         [](const auto& kind) {
                           std::string name(kind.param.name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_P(Corpus, IsAcceptedOrRefusedAsItsNameSays) {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(kCorpus / GetParam().name)) {
    SCOPED_TRACE(entry.path());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const bool wanted = entry.path().filename().string().starts_with("accept");
    EXPECT_EQ(accepts(GetParam(), text), wanted);
    ++files;
  }
  EXPECT_GT(files, 0);
}

TEST_P(Corpus, RefusesWhatIsNoDocumentOfAnyKind) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[",
                           "]",
                           "\"",
                           "nul",
                           "null",
                           "true",
                           "0",
                           "-",
                           "1e999",
                           "\"\\ud800\"",
                           "[[[[",
                           "{\"a\"",
                           "{\"a\":",
                           "{\"a\":1,",
                           "{}{}",
                           "[]",
                           "{}",
                           "\xff\xfe",
                           "\xef\xbb\xbf{}",
                           "{\"a\":1,\"a\":2}",
                           "NaN",
                           "Infinity",
                           "// {}",
                           "{'a': 1}",
                           "{\"\":{\"\":{\"\":0}}}"}) {
    EXPECT_FALSE(accepts(GetParam(), text)) << text;
  }
  EXPECT_FALSE(accepts(GetParam(), std::string("{\"a\0b\": 1}", 10)));
}

TEST_P(Corpus, RefusesDeepNestingAndHugeFiles) {
  EXPECT_FALSE(accepts(GetParam(), std::string(1000000, '[')));
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_FALSE(accepts(GetParam(), objects));
  EXPECT_FALSE(accepts(GetParam(), std::string(std::size_t{100} << 20U, ' ')));
}

TEST(CorpusFolders, BelongToAKindEach) {
  std::set<std::string> kinds;
  for (const FuzzedKind& kind : fuzzed_kinds()) kinds.emplace(kind.name);
  for (const auto& entry : fs::directory_iterator(kCorpus)) {
    if (!entry.is_directory()) continue;
    EXPECT_EQ(kinds.count(entry.path().filename().string()), 1U) << entry;
  }
}

}  // namespace
}  // namespace ridge::test
