#include "ridge/base/file.hpp"

#include "ridge/base/error.hpp"
#include "temporary_folder.hpp"

#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ridge {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::size_t kMiB = std::size_t{1} << 20U;

template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const UserError& e) {
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

std::string reading(const fs::path& path) {
  return error_of([&] { (void)read_file(path, kMiB); });
}
std::string writing(const fs::path& path) {
  return error_of([&] { write_file(path, "text"); });
}

// "ridge" by gzip -c, with a modification time of 0.
const std::string kPacked(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x2b\xca"
    "\x4c\x49\x4f\x05\x00\x70\xf7\xa4\x5b\x05\x00\x00\x00",
    25);

TEST(Unpacked, GivesWhatAGzipFileHoldsAndOtherContentsAsTheyAre) {
  EXPECT_EQ(unpacked(kPacked, "x.gz", kMiB), "ridge");
  EXPECT_EQ(unpacked(kPacked + kPacked, "x.gz", kMiB), "ridgeridge");
  EXPECT_EQ(unpacked("plain", "x", kMiB), "plain");
  EXPECT_EQ(unpacked("", "x", kMiB), "");
}

TEST(Unpacked, HalfAFileAndOneThatUnpacksTooLargeAreRefused) {
  EXPECT_THAT(error_of([&] { (void)unpacked(kPacked.substr(0, 15), "x.gz", kMiB); }),
              HasSubstr("x.gz: not a whole gzip file"));
  EXPECT_THAT(error_of([&] { (void)unpacked(kPacked, "x.gz", 3); }), HasSubstr("x.gz: expected"));
}

TEST(ReadFile, GivesTheContentsWithEveryByte) {
  const TemporaryFolder folder;
  const std::string contents("a\0b\r\n\xff", 6);
  EXPECT_EQ(read_file(folder.put("bytes", contents), kMiB), contents);
}

TEST(ReadFile, NamesTheFileAndTheReason) {
  const TemporaryFolder folder;
  const fs::path missing = folder / "missing.json";
  EXPECT_EQ(reading(missing), missing.string() + ": cannot read: No such file or directory");
  EXPECT_THAT(reading(folder / ""), EndsWith("expected a file, got a directory"));
}

TEST(ReadFile, StopsAtTheLimit) {
  const TemporaryFolder folder;
  EXPECT_EQ(read_file(folder.put("full", std::string(kMiB, 'x')), kMiB).size(), kMiB);
  EXPECT_THAT(reading(folder.put("over", std::string(kMiB + 1, 'x'))),
              EndsWith("expected a file of at most 1 MiB, got a larger one"));
  // Endless, and without a size of its own.
  EXPECT_THAT(reading("/dev/zero"), HasSubstr("at most 1 MiB"));
}

TEST(WriteFile, ReplacesTheWholeFileAndLeavesNothingBeside) {
  const TemporaryFolder folder;
  const fs::path path = folder.put("report.json", "something longer than what comes");
  write_file(path, "short");
  EXPECT_EQ(read_file(path, kMiB), "short");
  EXPECT_EQ(folder.files(), 1);
}

TEST(WriteFile, KeepsTheModeOfTheFileItReplaces) {
  const TemporaryFolder folder;
  const fs::path path = folder.put("private", "");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  write_file(path, "text");
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST(WriteFile, WhatCannotBeWrittenIsSaidWithItsReason) {
  const TemporaryFolder folder;
  const fs::path nowhere = folder / "no-such-folder/report.json";
  EXPECT_EQ(writing(nowhere), nowhere.string() + ": cannot write: No such file or directory");
  EXPECT_THAT(writing(folder / ""), EndsWith("it is a directory"));
}

TEST(WriteFile, AFullDiskIsAnErrorAndNotHalfAFile) {
  EXPECT_EQ(writing("/dev/full"), "/dev/full: cannot write: No space left on device");
}

TEST(FileWriter, WithoutFinishTheFileIsAsItWasBefore) {
  const TemporaryFolder folder;
  const fs::path path = folder.put("report.csv", "before");
  {
    FileWriter writer(path);
    writer.write("half of what");
  }
  EXPECT_EQ(read_file(path, kMiB), "before");
  EXPECT_EQ(folder.files(), 1);
}

TEST(FileWriter, PiecesArriveInOrder) {
  const TemporaryFolder folder;
  const fs::path path = folder / "report.csv";
  FileWriter writer(path);
  for (const char* piece : {"a,b\n", "1,2\n", "3,4\n"}) writer.write(piece);
  EXPECT_FALSE(fs::exists(path));
  writer.finish();
  EXPECT_EQ(read_file(path, kMiB), "a,b\n1,2\n3,4\n");
}

TEST(Digest, TellsTextsApart) {
  EXPECT_EQ(digest_of("a"), digest_of("a"));
  EXPECT_NE(digest_of("a"), digest_of("b"));
  EXPECT_NE(digest_of(""), digest_of(std::string_view("\0", 1)));
}

TEST(ReadRecord, IsOfTheContentsThatItsThreadReads) {
  const TemporaryFolder folder;
  const auto read = [](const std::string& path) {
    const ReadRecord record;
    (void)read_file(path, kMiB);
    return record.digest();
  };
  const std::string path = folder.put("a", "first");
  const std::string first = read(path);
  EXPECT_EQ(read(folder.put("b", "first")), first) << "wherever they are";
  (void)folder.put("a", "other");
  EXPECT_NE(read(path), first);
  const ReadRecord outer;
  const std::string nothing = outer.digest();
  (void)read(path);
  EXPECT_NE(outer.digest(), nothing) << "what a record within it saw";
}

TEST(ReadRecord, WhatIsReadOnceCountsForWhoeverAsks) {
  const TemporaryFolder folder;
  const std::string path = folder.put("facts", "42");
  const auto own = folder.put("own", "7");
  std::optional<ReadOnce<std::string>> facts;
  const auto record_of = [&](bool asks_twice) {
    const ReadRecord record;
    if (!facts) facts.emplace([&] { return read_file(path, kMiB); });
    (void)**facts;
    (void)read_file(own, kMiB);
    if (asks_twice) {
      EXPECT_EQ(**facts, "42");
    }
    return record.digest();
  };
  const std::string first = record_of(false);
  EXPECT_EQ(record_of(false), first) << "whoever asked first";
  EXPECT_EQ(record_of(true), first) << "however often";
  facts.reset();
  (void)folder.put("facts", "43");
  EXPECT_NE(record_of(false), first);
}

}  // namespace
}  // namespace ridge
