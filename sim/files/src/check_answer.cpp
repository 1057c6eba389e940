#include "ridge/files/file_kinds.hpp"
#include "ridge/view/answer_keys.hpp"

namespace ridge::files {
namespace {

struct MistakeOf {
  const std::string& file;  // that was checked
  const Mistake& mistake;
};

const view::AnswerKeys<MistakeOf>& answer_keys(const MistakeOf* /*of*/) {
  using M = MistakeOf;
  static const view::AnswerKeys<M> keys(
      {{"file", "Where it is, which a file may only name.",
        [](const M& m) { return m.mistake.file.empty() ? m.file : m.mistake.file; }},
       {"pointer", "JSON pointer; empty for the whole file.",
        [](const M& m) { return m.mistake.pointer; }},
       {"message", "What was expected, and found.", [](const M& m) { return m.mistake.message; }}});
  return keys;
}

struct Checks {
  const std::vector<CheckedFile>& files;
};

}  // namespace

static const view::AnswerKeys<CheckedFile>& answer_keys(const CheckedFile* /*of*/) {
  using F = CheckedFile;
  static const view::AnswerKeys<F> keys(
      {{"file", "", &F::file},
       {"kind", "Null where it could not be told.",
        [](const F& f) { return view::told(f.check.kind); }},
       {"ok", "", [](const F& f) { return f.check.problems.empty(); }},
       {"mistakes", "",
        [](const F& f) {
          std::vector<MistakeOf> out;
          for (const Mistake& mistake : f.check.mistakes) out.push_back({f.file, mistake});
          return out;
        }},
       {"defaults", "What a file in order leaves to a default that its answer depends on.",
        [](const F& f) { return f.check.defaults; }}});
  return keys;
}

namespace {

const view::AnswerKeys<Checks>& answer_keys(const Checks* /*of*/) {
  static const view::AnswerKeys<Checks> keys(
      {{"files", "", [](const Checks& checks) { return checks.files; }}});
  return keys;
}

}  // namespace

std::string check_json(const std::vector<CheckedFile>& files) {
  return view::answer_json(Checks{files});
}
const view::AnswerDescription& check_answer() {
  return answer_keys(static_cast<const Checks*>(nullptr));
}

}  // namespace ridge::files
