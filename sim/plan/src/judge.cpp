#include "ridge/plan/judge.hpp"

#include "ridge/base/parallel.hpp"
#include "ridge/plan/bounds.hpp"

#include <algorithm>
#include <atomic>

namespace ridge::plan {

using decode::KernelDraw;

namespace {
constexpr Seconds kNoLimit{std::numeric_limits<double>::infinity()};
}  // namespace

Judge::Judge(const Stocktaking& stock, const Structure& structure, std::vector<KernelDraw> draws,
             unsigned threads)
    : stock_(stock), structure_(structure), threads_(threads) {
  const decode::SimulationInput input = stock.input_of(structure, 1);
  KernelDraw& as_fitted = draws_.emplace_back();
  for (const auto& pool : input.deployment.pools) as_fitted.kernels.push_back(pool.kernels);
  as_fitted.seed = input.seed;
  for (auto& draw : draws) draws_.push_back(std::move(draw));
}

decode::CyclicSteps& Judge::steps() {
  if (!steps_) {
    steps_ = std::make_unique<decode::CyclicSteps>(stock_.input_of(structure_, 1), draws_);
  }
  return *steps_;
}

Verdict Judge::simulated(const KernelDraw& draw, std::int64_t requests) const {
  decode::SimulationInput input = stock_.input_of(structure_, requests);
  for (std::size_t p = 0; p < draw.kernels.size(); ++p) {
    input.deployment.pools[p].kernels = draw.kernels[p];
  }
  input.seed = draw.seed;
  if (draw.step_overhead) input.deployment.step_overhead = *draw.step_overhead;
  const PerToken share = stock_.per_token(structure_);
  // So that tokens take steps; how many of them share one is known without chance.
  if (input.deployment.drafting.tokens > 0) {
    input.deployment.drafting.acceptance.clear();
    Structure without = structure_;
    without.drafts = 0;
    input.measurement = stock_.input_of(without, requests).measurement;
  }
  const double percentile = 0.01 * stock_.goal().sla_percentile;
  const auto result = decode::Simulation(std::move(input)).run();
  return {.tpot = Seconds{share.at_percentile * result.tpot.quantile(percentile)},
          .mean_tpot = share.mean * result.mean_tpot};
}

const decode::ReplicaTimes& Judge::times_as_fitted(std::int64_t requests) {
  if (requests_timed_ != requests) {
    const auto context = static_cast<std::int64_t>(stock_.context());
    times_ = std::move(steps().times(0, requests, context).front());
    requests_timed_ = requests;
  }
  return times_;
}

Seconds Judge::floor(std::int64_t requests) {
  return measured_share(structure_.schedule) * steps().floor(times_as_fitted(requests));
}

Verdict Judge::verdict(std::int64_t requests, Seconds limit) {
  if (structure_.schedule != decode::Schedule::cyclic) {
    return simulated(draws_.front(), requests);
  }
  const decode::ReplicaTimes& times = times_as_fitted(requests);
  return of_step(steps().step_times({&times, 1}, step_within(limit)).front());
}

Verdict Judge::of_step(Seconds step) const {
  const PerToken share = stock_.per_token(structure_);
  return {.tpot = share.at_percentile * step, .mean_tpot = share.mean * step};
}
Seconds Judge::step_within(Seconds tpot) const {
  return tpot / stock_.per_token(structure_).at_percentile;
}

Verdict Judge::drawn_verdict(std::size_t draw, std::int64_t requests) {
  if (structure_.schedule != decode::Schedule::cyclic) {
    return simulated(draws_[draw + 1], requests);
  }
  const auto context = static_cast<std::int64_t>(stock_.context());
  return of_step(steps().step_times(steps().times(draw + 1, requests, context)).front());
}

TimePerToken Judge::time_per_token(std::int64_t requests, const Verdict& verdict) {
  const decode::ReplicaTimes& times = times_as_fitted(requests);
  const double tokens = static_cast<double>(requests * structure_.groups());
  const double share = stock_.per_token(structure_).mean;
  const auto lanes = static_cast<std::size_t>(structure_.micro_batches);
  TimePerToken out;
  for (std::size_t lane = 0; lane < lanes; ++lane) {
    const decode::MicroBatchWork work = steps().work(times, lane);
    const auto of = [&](decode::Stage stage) {
      return share * work.gpu_seconds[static_cast<std::size_t>(stage)] / tokens /
             static_cast<double>(lanes);
    };
    out.attention += of(decode::Stage::attention);
    out.ffn += of(decode::Stage::ffn);
    out.head += of(decode::Stage::head);
  }
  const double all = static_cast<double>(structure_.gpus()) * verdict.mean_tpot.value() / tokens /
                     static_cast<double>(lanes);
  out.waiting = all - out.all();
  return out;
}

std::vector<Verdict> Judge::drawn_verdicts(std::int64_t requests, Seconds limit,
                                           std::size_t wanted) {
  const std::size_t samples = draws_.size() - 1;
  const auto context = static_cast<std::int64_t>(stock_.context());
  std::vector<decode::ReplicaTimes> times;
  std::size_t may_be_within = samples;
  for (std::size_t d = 1; d <= samples; ++d) {
    times.push_back(std::move(steps().times(d, requests, context).front()));
    const Seconds floor = measured_share(structure_.schedule) * steps().floor(times.back());
    if (stock_.tpot_floor(structure_, floor) > limit && --may_be_within < wanted) return {};
  }
  // How late those are that are late matters only once it is known that few are.
  const Seconds asked = wanted > 0 ? limit : kNoLimit;
  std::vector<Verdict> out;
  std::atomic<std::size_t> late{0};
  if (structure_.schedule == decode::Schedule::cyclic) {
    for (const Seconds step : steps().step_times(times, step_within(asked))) {
      out.push_back(of_step(step));
      if (out.back().tpot > limit) ++late;
    }
  } else {
    out.resize(samples);
    parallel_for(threads_, samples, [&] {
      return [&](std::size_t i) {
        out[i] = simulated(draws_[i + 1], requests);
        if (out[i].tpot > limit) ++late;
        return samples - late >= wanted;
      };
    });
  }
  if (samples - late < wanted) return {};
  parallel_for(structure_.schedule == decode::Schedule::cyclic ? 1 : threads_, samples, [&] {
    return [&](std::size_t i) {
      if (out[i].tpot == kNoLimit) out[i] = drawn_verdict(i, requests);
      return true;
    };
  });
  return out;
}

std::vector<Verdict> Judge::drawn_verdicts(std::int64_t requests) {
  return drawn_verdicts(requests, stock_.goal().sla_tpot, 0);
}

std::vector<scenario::DrawnInput> drawn_inputs(const Stocktaking& stock,
                                               const scenario::InputDraws& inputs) {
  std::vector<scenario::DrawnInput> out;
  const Goal& goal = stock.goal();
  for (const Stock& chip : goal.chips) {
    if (goal.assumptions.step_overhead) break;
    const auto drawn = inputs.drawn_step_overhead({}, chip.prefer_kernels);
    const bool told = drawn && std::any_of(out.begin(), out.end(), [&](const auto& each) {
                        return each.what == drawn->what;
                      });
    if (drawn && !told) out.push_back(*drawn);
  }
  if (const auto releases = inputs.drawn_releases()) out.push_back(*releases);
  return out;
}

Draws::Draws(const Stocktaking& stock, scenario::Library& library, const std::string& file,
             int samples, const scenario::InputDraws& inputs)
    : stock_(stock) {
  const Goal& goal = stock.goal();
  for (std::size_t c = 0; c < stock.chips().size(); ++c) {
    const std::vector<std::string>& preferred = goal.chips[c].prefer_kernels;
    auto& kernels = kernels_.emplace_back();
    auto& overheads = step_overheads_.emplace_back();
    for (int i = 1; i <= samples; ++i) {
      const auto seed = static_cast<std::uint64_t>(i);
      kernels.push_back(library.kernels({stock.chips()[c].kernel_model, preferred},
                                        *stock.chips()[c].spec, file, inputs.calibrations(seed)));
      overheads.push_back(goal.assumptions.step_overhead
                              ? std::nullopt
                              : inputs.step_overhead({}, preferred, seed));
    }
  }
}

std::vector<KernelDraw> Draws::of(const Structure& s) const {
  std::vector<KernelDraw> out;
  const auto& attention = kernels_[s.attention_chip];
  for (std::size_t i = 0; i < attention.size(); ++i) {
    KernelDraw& draw = out.emplace_back();
    draw.kernels.push_back(attention[i]);
    if (s.split()) draw.kernels.push_back(kernels_[s.ffn_chip][i]);
    draw.seed = stock_.goal().seed + i + 1;
    draw.step_overhead = step_overheads_[s.attention_chip][i];
  }
  return out;
}

}  // namespace ridge::plan
