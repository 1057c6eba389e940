#include "task_words.hpp"

namespace ridge::answer {
namespace {

struct KindOf {
  TaskKind operator()(const decode::AttentionWork&) const { return TaskKind::attention; }
  TaskKind operator()(const decode::FfnWork&) const { return TaskKind::ffn; }
  TaskKind operator()(const decode::HeadWork&) const { return TaskKind::head; }
  TaskKind operator()(const decode::Message&) const { return TaskKind::sending; }
  TaskKind operator()(const decode::Collective& work) const {
    using Pattern = decode::Collective::Pattern;
    switch (work.pattern) {
      case Pattern::all_gather:
        return TaskKind::all_gather;
      case Pattern::reduce_scatter:
        return TaskKind::reduce_scatter;
      case Pattern::all_reduce:
        break;
    }
    return TaskKind::all_reduce;
  }
  TaskKind operator()(const decode::Exchange& work) const { return of_exchange(work.returning); }
  TaskKind operator()(const decode::PeerExchange& work) const {
    return of_exchange(work.returning);
  }
  static TaskKind of_exchange(bool returning) {
    return returning ? TaskKind::combine : TaskKind::dispatch;
  }
};

}  // namespace

TaskKind task_kind(const decode::Work& work) {
  return std::visit(KindOf{}, work);
}

std::string_view name_of(TaskKind kind) {
  constexpr std::array<std::string_view, kTaskKinds> kNames = {
      "attention",  "FFN",      "LM head", "all-gather", "reduce-scatter",
      "all-reduce", "dispatch", "combine", "sending"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string piece_words(const decode::Work& work) {
  constexpr std::array<std::string_view, 5> kOfAttention = {
      "", ": projections", ": cache", ": dispatch sent", ": results received"};
  constexpr std::array<std::string_view, 3> kOfFfn = {"", ": shared experts", ": routed experts"};
  if (const auto* attention = std::get_if<decode::AttentionWork>(&work)) {
    return std::string(kOfAttention[static_cast<std::size_t>(attention->piece)]);
  }
  if (const auto* ffn = std::get_if<decode::FfnWork>(&work)) {
    return std::string(kOfFfn[static_cast<std::size_t>(ffn->piece)]);
  }
  return "";
}

}  // namespace ridge::answer
