// A new accelerator or architecture is one JSON file and nothing else: no C++ code outside kernels/
// and tests/ names one. Comments may, where they cite what was done on one.
#include "ridge/base/lowercase.hpp"
#include "ridge/hwmodels/chip_spec.hpp"
#include "ridge/models/model_spec.hpp"
#include "source_tree.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

namespace ridge {
namespace {

// Up to a "//" that is not part of an address.
std::string without_comments(const std::string& text) {
  std::string code;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "//") == 0 && (i == 0 || text[i - 1] != ':')) {
      i = std::min(text.find('\n', i), text.size());
    }
    if (i < text.size()) code.push_back(text[i]);
  }
  return code;
}

// The report that Ridge reproduces is named for its model; naming the report is a citation.
std::string without_citations(std::string text) {
  constexpr std::string_view kReport = "step-3 report";
  for (auto at = text.find(kReport); at != std::string::npos; at = text.find(kReport)) {
    text.erase(at, kReport.size());
  }
  return text;
}

bool names(const std::string& text, const std::string& name) {
  const auto in_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
  };
  for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    const auto end = at + name.size();
    if ((at == 0 || !in_word(text[at - 1])) && (end == text.size() || !in_word(text[end]))) {
      return true;
    }
  }
  return false;
}

TEST(NamesInCode, AreFoundAsWholeWordsOnly) {
  EXPECT_TRUE(names("load(\"l4\")", "l4"));
  EXPECT_TRUE(names("l4", "l4"));
  EXPECT_FALSE(names("model42 ml4 l40s", "l4"));
  EXPECT_TRUE(names("ml4 l4", "l4"));
}

TEST(NamesInCode, AreNotLookedForInComments) {
  EXPECT_EQ(without_comments("a; // as on l4\nb(\"http://l4\");"), "a; \nb(\"http://l4\");");
  EXPECT_EQ(without_comments("a // end"), "a ");
}

TEST(NamesInCode, NoSourceFileNamesAChipOrAModel) {
  std::vector<std::string> known = models::model_names();
  for (const auto& chip : hw::chip_names()) known.push_back(chip);
  ASSERT_GT(known.size(), 30U);
  int files = 0;
  for (const char* folder : {"models", "hwmodels", "sim", "tools"}) {
    for (const auto& path : test::source_files(folder, {".hpp", ".cpp"})) {
      ++files;
      std::ifstream file(path);
      const std::string code((std::istreambuf_iterator<char>(file)),
                             std::istreambuf_iterator<char>());
      const std::string text = without_citations(without_comments(lowercase(code)));
      for (const std::string& name : known) {
        EXPECT_FALSE(names(text, name)) << path << " names " << name;
      }
    }
  }
  EXPECT_GT(files, 30);
}

}  // namespace
}  // namespace ridge
