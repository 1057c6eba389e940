#include "ridge/hwmodels/calibrated/fit.hpp"

#include "ridge/base/error.hpp"
#include "ridge/base/statistics.hpp"
#include "ridge/hwmodels/calibrated/kernel_facts.hpp"
#include "ridge/hwmodels/calibrated/least_squares.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <type_traits>

#include <Eigen/Dense>
#include <fmt/format.h>

namespace ridge::hw::calibrated {

namespace {

// |ln(predicted / measured)| beyond which a row is named, and it is all the same how far off it is.
constexpr double kOutlier = 0.5;
constexpr std::size_t kNamedOutliers = 10;
// The residual's trees are taken in steps, as many as help.
constexpr std::size_t kTreesPerStep = 7;
constexpr std::size_t kTreeSteps = 16;
constexpr std::size_t kLeastToLearnFrom = 20;
// Of kernels that were chosen by a trial: how far the median of those chosen in one go may lie
// above what is learned of the others, as a logarithm, and how often that is learned. The choices
// that a trial should have made and those that it makes by chance lie 1.3 to 3 times apart, with
// few between.
constexpr double kPoorChoice = 0.15;
constexpr std::size_t kTreesToTell = 2 * kTreesPerStep;
constexpr int kTimesLearned = 4;
// Four ways, of which the one is taken that predicts unseen shapes best. Slowly in few thresholds:
// a few shapes tell little at a time. Faster, and fast, in many and pulled little by each: hundreds
// of shapes tell a library's rules, between measurements of which every tenth is off by as much. Of
// few measurements, by trees that ask less. All but the fast way doubt what a question explains,
// since few shapes do not tell it from others that explain nearly the same.
constexpr std::array<BoostOptions, 4> kLearning = {
    {{.rate = 0.25, .clip = 0.1, .least_weight = 12.0, .bins = 24, .doubt = 0.3},
     {.rate = 0.5, .clip = 0.03, .least_weight = 4.0, .bins = 63, .doubt = 0.3},
     {.rate = 1.0, .clip = 0.03, .least_weight = 12.0, .bins = 63},
     {.rate = 0.5, .clip = 0.1, .least_weight = 12.0, .bins = 24, .depth = 4, .doubt = 0.3}}};
constexpr std::size_t kWayOfMany = 1;      // where it is not tried which
constexpr std::size_t kSmallSeries = 600;  // rows from which on trees need not ask less

// Evenly random rows, in order; all of them if there are no more than `count`.
std::vector<std::size_t> sample(std::vector<std::size_t> rows, std::size_t count, Random& random) {
  if (rows.size() <= count) return rows;
  for (std::size_t i = 0; i < count; ++i) {
    std::swap(rows[i], rows[i + random.below(rows.size() - i)]);
  }
  rows.resize(count);
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::size_t distinct(const std::vector<std::uint32_t>& groups) {
  return std::set<std::uint32_t>(groups.begin(), groups.end()).size();
}

// Below this many shapes, leaving one out leaves too little; its batch sizes are left out in turn.
constexpr std::size_t kLeastShapes = 4;

template <typename Form>
class Fitter {
 public:
  Fitter(const CurveKey& key, const Series& series, const Machine& machine,
         const FitOptions& options)
      : series_(series),
        shapes_(std::get<std::vector<typename Form::Shape>>(series.shapes)),
        machine_(machine),
        options_(options),
        random_(options.seed) {
    Facts<typename Form::Choice> facts = facts_of(key);
    choices_ = std::move(facts.choices);
    for (const ParameterInfo& info : Form::parameters()) {
      const Bounds bounds = bounds_of(info, machine, key.format, facts.matrix_share);
      const double start =
          info.expected_share > 0.0 ? info.expected_share * bounds.upper : info.initial;
      problem_.lower.push_back(bounds.lower);
      problem_.upper.push_back(bounds.upper);
      problem_.start.push_back(std::clamp(start, bounds.lower, bounds.upper));
    }
    if (options.prior != nullptr) {
      const std::span<const double> expected = values_of(options.prior->fitted);
      RIDGE_INVARIANT(std::holds_alternative<Fitted<Form>>(options.prior->fitted),
                      "a prior is of the form that is fitted");
      for (std::size_t j = 0; j < problem_.start.size(); ++j) {
        problem_.start[j] = std::clamp(expected[j], problem_.lower[j], problem_.upper[j]);
      }
    }
    problem_.expected = problem_.start;
    by_trial_ = tuned_by_trial(key.kernel) && series.choice_group.size() == series.size();
    log_us_.reserve(series.size());
    for (const double us : series.us) log_us_.push_back(std::log(us));
  }

  FitResult run(Curve curve) {
    std::vector<std::size_t> all(series_.size());
    std::iota(all.begin(), all.end(), std::size_t{0});

    std::vector<std::size_t> candidates(choices_.size());
    std::iota(candidates.begin(), candidates.end(), std::size_t{0});
    candidates = best_choices(all, std::move(candidates), 3);
    const std::vector<std::size_t> well = chosen_well(all, candidates);
    curve.held_out.poorly_chosen =
        1.0 - static_cast<double>(well.size()) / static_cast<double>(all.size());
    const Fitted<Form> full = solve(well, candidates, 2);
    curve.fitted = full;
    curve.ranges = ranges();

    FitResult result;
    const HeldOut held_out = cross_validate(all, candidates, curve);
    if (held_out.trees > 0) {
      curve.residual = learned(full, well, held_out.way).first(held_out.trees);
    }
    for (const std::size_t row : all) {
      result.points.push_back(
          {.measured_us = series_.us[row], .predicted_us = held_out.predicted[row]});
    }
    std::vector<double> predicted(series_.size());
    for (const std::size_t row : all) predicted[row] = predict(curve, row);
    curve.held_out.in_sample_p50 = in_sample(predicted);
    name_outliers(predicted, curve);
    curve.spread = spread(well, full);
    set_draws(curve, held_out);
    result.curve = std::move(curve);
    return result;
  }

 private:
  [[nodiscard]] Facts<typename Form::Choice> facts_of(const CurveKey& key) const {
    if constexpr (requires { Form::facts(key, options_.chip); })
      return Form::facts(key, options_.chip);
    else
      return Form::facts(key);
  }
  [[nodiscard]] double predict(const Fitted<Form>& fitted, std::size_t row) const {
    return Form::time(machine_, fitted.choice, fitted.p, shapes_[row]).us;
  }
  // Within the ranges, as every row is that they are of.
  [[nodiscard]] double predict(const Curve& curve, std::size_t row) const {
    return curve.estimate(machine_, *std::get_if<Fitted<Form>>(&curve.fitted), shapes_[row], 0.0)
        .us;
  }

  // What the form says of a row, and what is learned beside it is learned of.
  struct Physical {
    double log_us = 0.0;
    FeaturesOf<Form> features;
  };
  [[nodiscard]] Physical physical(const Fitted<Form>& fitted, std::size_t row) const {
    const auto plan = plan_of(machine_, fitted, shapes_[row]);
    const double us = time_of(machine_, fitted, shapes_[row], plan).us;
    return {.log_us = std::log(us),
            .features = features_of(machine_, fitted, shapes_[row], plan, us)};
  }

  // What `fitted` leaves of these rows, learned in this one of kLearning.
  [[nodiscard]] Residual learned(const Fitted<Form>& fitted, const std::vector<std::size_t>& rows,
                                 std::size_t way, std::size_t trees = kTreesPerStep * kTreeSteps) {
    BoostOptions learning = kLearning[way];
    learning.trees = trees;
    learning.seed = options_.seed;
    constexpr std::size_t kCount = Form::kFeatures.size() + 1;
    const std::vector<std::size_t> some = sample(rows, options_.residual_rows, random_);
    std::vector<double> features;
    std::vector<double> target;
    features.reserve(some.size() * kCount);
    for (const std::size_t row : some) {
      const Physical of_row = physical(fitted, row);
      features.insert(features.end(), of_row.features.begin(), of_row.features.end());
      target.push_back(log_us_[row] - of_row.log_us);
    }
    return boost(features, kCount, target, learning);
  }

  LeastSquaresProblem problem(const std::vector<std::size_t>& rows, std::size_t choice) const {
    LeastSquaresProblem p = problem_;
    p.residuals = rows.size();
    p.evaluate = [this, &rows, choice](std::span<const double> values, std::span<double> r) {
      Fitted<Form> fitted{.choice = choices_[choice]};
      std::copy(values.begin(), values.end(), fitted.p.begin());
      for (std::size_t i = 0; i < rows.size(); ++i) {
        r[i] = std::log(predict(fitted, rows[i])) - log_us_[rows[i]];
      }
    };
    return p;
  }

  // The `keep` choices with the least cost after a short fit on few rows.
  std::vector<std::size_t> best_choices(const std::vector<std::size_t>& rows,
                                        std::vector<std::size_t> candidates, std::size_t keep) {
    if (candidates.size() <= keep) return candidates;
    const std::vector<std::size_t> few = sample(rows, options_.search_rows, random_);
    LeastSquaresOptions quick;
    quick.iterations = 8;
    std::vector<std::pair<double, std::size_t>> cost;
    for (const std::size_t c : candidates) {
      cost.emplace_back(minimize(problem(few, c), quick).cost, c);
    }
    std::sort(cost.begin(), cost.end());
    cost.resize(keep);
    std::vector<std::size_t> best;
    for (const auto& [value, c] : cost) best.push_back(c);
    return best;
  }

  // Fits each candidate choice from `starts` on few rows and finishes the best on more.
  Fitted<Form> solve(const std::vector<std::size_t>& rows,
                     const std::vector<std::size_t>& candidates, int starts) {
    const std::vector<std::size_t> few = sample(rows, options_.search_rows, random_);
    const std::vector<std::size_t> many = sample(rows, options_.fit_rows, random_);
    LeastSquaresOptions medium;
    medium.iterations = 20;
    double least = std::numeric_limits<double>::infinity();
    std::size_t choice = candidates.front();
    std::vector<double> start;
    for (const std::size_t c : candidates) {
      LeastSquaresProblem p = problem(few, c);
      for (int s = 0; s < starts; ++s) {
        if (s > 0) {
          for (std::size_t j = 0; j < p.start.size(); ++j) {
            p.start[j] =
                std::clamp(problem_.start[j] * random_.lognormal(0.7), p.lower[j], p.upper[j]);
          }
        }
        const LeastSquaresResult attempt = minimize(p, medium);
        if (attempt.cost < least) {
          least = attempt.cost;
          choice = c;
          start = attempt.p;
        }
      }
    }
    LeastSquaresProblem p = problem(many, choice);
    p.start = start;
    const LeastSquaresResult best = minimize(p);
    Fitted<Form> fitted{.choice = choices_[choice]};
    std::copy(best.p.begin(), best.p.end(), fitted.p.begin());
    return fitted;
  }

  // Of these rows those whose kernels a trial chose well: all where none did. An autotuner that
  // takes a slow kernel by chance takes it for all numbers of tokens of a combination, and nothing
  // in the shape tells; a curve between the two would be right for neither.
  [[nodiscard]] std::vector<std::size_t> chosen_well(const std::vector<std::size_t>& rows,
                                                     const std::vector<std::size_t>& candidates) {
    std::vector<std::size_t> well = rows;
    if (!by_trial_) return well;
    const Random before = random_;  // a series without poor choices is fitted as any other
    for (int time = 0; time < kTimesLearned; ++time) {
      const Fitted<Form> fitted = solve(well, candidates, 1);
      // Few trees: many learn the poor choices by heart.
      const Residual residual = learned(fitted, well, kWayOfMany, kTreesToTell);
      std::map<std::uint32_t, std::vector<double>> off;
      for (const std::size_t row : rows) {
        const Physical of_row = physical(fitted, row);
        off[series_.choice_group[row]].push_back(log_us_[row] - of_row.log_us -
                                                 residual(of_row.features));
      }
      std::map<std::uint32_t, double> median;
      std::vector<double> all;
      for (auto& [group, values] : off) {
        all.push_back(median[group] = quantile(std::move(values), 0.5));
      }
      // Most may have been chosen poorly, but hardly three quarters.
      const double well_chosen = quantile(std::move(all), 0.25);
      well.clear();
      for (const std::size_t row : rows) {
        if (median.at(series_.choice_group[row]) <= well_chosen + kPoorChoice) well.push_back(row);
      }
    }
    random_ = before;
    return well;
  }

  // By row: what the fold that had not seen it predicts, and which fold that is.
  struct HeldOut {
    std::vector<double> predicted;
    std::vector<std::size_t> fold;
    // Of the residual: as many trees as help, and how they are learned.
    std::size_t trees = 0;
    std::size_t way = 0;
  };
  // Logarithm of each row's prediction, by steps of the residual's trees.
  using LogByStep = std::vector<std::array<double, kTreeSteps + 1>>;
  // Of one fold, by way to learn and step: how far off its rows are, summed.
  using Loss = std::array<std::array<double, kTreeSteps + 1>, kLearning.size()>;
  struct HowLearned {
    std::size_t way = 0;
    std::size_t step = 0;
  };

  HeldOut cross_validate(const std::vector<std::size_t>& all,
                         const std::vector<std::size_t>& candidates, Curve& curve) {
    const bool by_shape = distinct(series_.shape_group) >= kLeastShapes;
    const std::vector<std::uint32_t>& group = by_shape ? series_.shape_group : series_.batch_group;
    std::vector<std::uint32_t> groups(group);
    std::sort(groups.begin(), groups.end());
    groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
    for (std::size_t i = groups.size(); i > 1; --i) {
      std::swap(groups[i - 1], groups[random_.below(i)]);
    }
    // A small series has the time for more folds, and loses less to each; of few shapes each is
    // left out by itself.
    constexpr std::size_t kMedium = 6000;
    constexpr std::size_t kFewShapes = 12;
    auto folds = static_cast<std::size_t>(options_.folds);
    if (series_.size() < kSmallSeries) folds = 2 * folds;
    if (series_.size() < kMedium && groups.size() <= kFewShapes) folds = groups.size();
    folds = std::min(groups.size(), folds);
    HeldOut result{.predicted = std::vector<double>(series_.size()),
                   .fold = std::vector<std::size_t>(series_.size())};
    std::array<LogByStep, kLearning.size()> log_us;
    log_us.fill(LogByStep(series_.size()));
    std::vector<Loss> loss(folds);
    const bool learn = options_.learn_residual && series_.size() >= kLeastToLearnFrom;
    for (std::size_t fold = 0; fold < folds; ++fold) {
      std::set<std::uint32_t> left_out;
      for (std::size_t g = fold; g < groups.size(); g += folds) left_out.insert(groups[g]);
      std::vector<std::size_t> seen;
      std::vector<std::size_t> unseen;
      for (const std::size_t row : all) {
        (left_out.contains(group[row]) ? unseen : seen).push_back(row);
      }
      seen = chosen_well(seen, candidates);
      const Fitted<Form> fitted = solve(seen, candidates, 1);
      for (const std::size_t row : unseen) result.fold[row] = fold;
      for (std::size_t way = 0; way < ways_to_learn(); ++way) {
        const Residual residual = learn ? learned(fitted, seen, way) : Residual{};
        for (const std::size_t row : unseen) {
          log_us[way][row] = predict_by_step(fitted, residual, row);
          for (std::size_t step = 0; step <= kTreeSteps; ++step) {
            loss[fold][way][step] +=
                std::min(kOutlier, std::abs(log_us[way][row][step] - log_us_[row]));
          }
        }
      }
    }
    // How a fold's residual is learned, the other folds decide: none has a say in its own error.
    std::vector<HowLearned> how(folds);
    if (learn) {
      for (std::size_t fold = 0; fold < folds; ++fold) how[fold] = best_learning(loss, fold);
      const HowLearned best = best_learning(loss, folds);
      result.way = best.way;
      result.trees = best.step * kTreesPerStep;
    }
    for (const std::size_t row : all) {
      const HowLearned& of = how[result.fold[row]];
      result.predicted[row] = std::exp(log_us[of.way][row][of.step]);
    }
    std::vector<double> error(series_.size());
    for (const std::size_t row : all) {
      error[row] = std::abs(result.predicted[row] / series_.us[row] - 1.0);
    }
    curve.held_out.p50 = quantile(error, 0.5);
    curve.held_out.p90 = quantile(error, 0.9);
    curve.held_out.worst = *std::max_element(error.begin(), error.end());
    curve.held_out.measurements = static_cast<std::int64_t>(series_.size());
    curve.held_out.groups = static_cast<std::int64_t>(groups.size());
    curve.held_out.folds = static_cast<std::int64_t>(folds);
    curve.held_out.by_shape = by_shape;
    if constexpr (requires { Form::rows(shapes_.front()); }) {
      curve.held_out.by_rows = by_rows(error);
    }
    return result;
  }

  // Below 16 rows all in one, then by doublings, the last of them open.
  [[nodiscard]] std::vector<RowsError> by_rows(const std::vector<double>& error) const {
    constexpr std::array<double, 9> kFrom = {1, 16, 32, 64, 128, 256, 512, 1024, 2048};
    std::vector<RowsError> result;
    for (std::size_t i = 0; i < kFrom.size(); ++i) {
      const bool last = i + 1 == kFrom.size();
      std::vector<double> some;
      double most = kFrom[i];
      for (std::size_t row = 0; row < error.size(); ++row) {
        const double rows = Form::rows(shapes_[row]);
        if (rows < kFrom[i] || (!last && rows >= kFrom[i + 1])) continue;
        some.push_back(error[row]);
        most = std::max(most, rows);
      }
      if (some.empty()) continue;
      result.push_back({.from = kFrom[i],
                        .to = last ? most : kFrom[i + 1] - 1.0,
                        .p50 = quantile(some, 0.5),
                        .p90 = quantile(some, 0.9),
                        .measurements = static_cast<std::int64_t>(some.size())});
    }
    return result;
  }

  [[nodiscard]] std::array<double, kTreeSteps + 1> predict_by_step(const Fitted<Form>& fitted,
                                                                   const Residual& residual,
                                                                   std::size_t row) const {
    std::array<double, kTreeSteps + 1> log_us{};
    const auto [form_log_us, features] = physical(fitted, row);
    double sum = form_log_us;
    for (std::size_t step = 0; step <= kTreeSteps; ++step) {
      log_us[step] = sum;
      for (std::size_t t = 0; t < kTreesPerStep; ++t) {
        const std::size_t tree = step * kTreesPerStep + t;
        if (tree < residual.trees().size()) sum += residual.trees()[tree](features);
      }
    }
    return log_us;
  }

  // The first so many of kLearning.
  [[nodiscard]] std::size_t ways_to_learn() const {
    return series_.size() < kSmallSeries ? kLearning.size() : kLearning.size() - 1;
  }

  // The way to learn and the number of trees, in steps, that predict unseen shapes best, by the
  // losses of all folds but one. More caution (fewer trees within 3 % or within one standard error
  // of the best; none where they gain less than a twentieth) errs by more on what it has not seen:
  // where trees help most shapes and harm a few, a threshold is crossed by leaving out one of those
  // that they help.
  [[nodiscard]] HowLearned best_learning(const std::vector<Loss>& loss, std::size_t without) const {
    HowLearned best;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t way = 0; way < ways_to_learn(); ++way) {
      for (std::size_t step = 0; step <= kTreeSteps; ++step) {
        double sum = 0.0;
        for (std::size_t fold = 0; fold < loss.size(); ++fold) {
          if (fold != without) sum += loss[fold][way][step];
        }
        if (sum < least) {
          least = sum;
          best = {.way = way, .step = step};
        }
      }
    }
    return best;
  }

  // How far the common factor must be drawn for 90 % of held-out measurements to lie within
  // their 90 % intervals, and how many do where the other folds decide.
  void set_draws(Curve& curve, const HeldOut& held_out) {
    std::vector<std::size_t> rows(series_.size());
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    rows = sample(std::move(rows), options_.fit_rows, random_);
    const std::vector<double> variance = drawn_variance(curve, rows);
    const bool by_shape = curve.held_out.by_shape;
    std::vector<Miss> all;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t row = rows[i];
      const double off = std::log(held_out.predicted[row] / series_.us[row]);
      all.push_back({.off = off,
                     .group = by_shape ? series_.shape_group[row] : series_.batch_group[row],
                     .sigma = std::sqrt(std::max(
                         0.0, off * off / (kNinetyPercent * kNinetyPercent) - variance[i]))});
    }
    curve.held_out.draw_sigma = sigma_to_draw(all);
    std::size_t covered = 0;
    for (std::size_t fold = 0; fold < static_cast<std::size_t>(curve.held_out.folds); ++fold) {
      std::vector<Miss> others;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        if (held_out.fold[rows[i]] != fold) others.push_back(all[i]);
      }
      const double sigma = others.empty() ? 0.0 : sigma_to_draw(others);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        covered += held_out.fold[rows[i]] == fold && all[i].sigma <= sigma ? 1 : 0;
      }
    }
    curve.held_out.coverage_90 = static_cast<double>(covered) / static_cast<double>(rows.size());
  }

  // Of a held-out measurement: the logarithm that its prediction is off by, what was left out with
  // it, and the sigma at which it would just be covered.
  struct Miss {
    double off;
    std::uint32_t group;
    double sigma;
  };

  // Such that nine of ten are covered, and as much more as so few that err independently leave
  // open: Student's quantile over the normal one.
  [[nodiscard]] static double sigma_to_draw(const std::vector<Miss>& misses) {
    std::vector<double> sigma;
    for (const Miss& miss : misses) sigma.push_back(miss.sigma);
    const double freedom = std::max(1.0, independent(misses) - 1.0);
    // Of the 95th percentile, by Cornish and Fisher's expansion: within 2 % from three degrees of
    // freedom on, but 5 % low at two (2.76 for 2.92) and 27 % at one (4.59 for 6.31). So a curve of
    // which one or two err independently is drawn too narrowly: 2.8 times as wide as its misses
    // say, not 3.8. Accepted, since of so few their number is itself a rough estimate.
    constexpr double z = kNinetyPercent;
    constexpr double z3 = z * z * z;
    const double student = z + (z3 + z) / (4.0 * freedom) +
                           (5.0 * z3 * z * z + 16.0 * z3 + 3.0 * z) / (96.0 * freedom * freedom);
    return quantile(std::move(sigma), 0.9) * student / z;
  }

  // As how many measurements that err independently these count, of which those of a group err
  // together: their number over 1 + (size of a group - 1) x correlation within one, the correlation
  // from the scatter between and within groups.
  [[nodiscard]] static double independent(const std::vector<Miss>& misses) {
    struct Sums {
      double count = 0;
      double off = 0;
    };
    std::map<std::uint32_t, Sums> groups;
    double squares = 0.0;
    for (const Miss& miss : misses) {
      const double off = std::clamp(miss.off, -kOutlier, kOutlier);
      groups[miss.group].count += 1.0;
      groups[miss.group].off += off;
      squares += off * off;
    }
    const auto count = static_cast<double>(misses.size());
    const auto number = static_cast<double>(groups.size());
    if (number < 2.0 || count <= number) return number;
    double between = 0.0;  // about zero: a bias that all groups have is an error of each
    double sizes = 0.0;
    for (const auto& [group, sums] : groups) {
      between += sums.off * sums.off / sums.count;
      sizes += sums.count * sums.count;
    }
    const double size = sizes / count;  // of the group that a measurement is in
    const double within_square = (squares - between) / (count - number);
    const double between_square = between / number;
    const double common = std::max(0.0, (between_square - within_square) / size);
    const double correlation = common > 0.0 ? common / (common + within_square) : 0.0;
    return count / (1.0 + (size - 1.0) * correlation);
  }

  // Variance of the logarithm of each row's time when the parameters are drawn again.
  [[nodiscard]] std::vector<double> drawn_variance(const Curve& curve,
                                                   const std::vector<std::size_t>& rows) const {
    constexpr int kDraws = 32;
    std::vector<double> variance(rows.size());
    const auto& center = std::get<Fitted<Form>>(curve.fitted);
    for (int draw = 0; draw < kDraws; ++draw) {
      Random random(options_.seed, static_cast<std::uint64_t>(draw));
      const Curve drawn = resampled(curve, machine_, random);
      const auto& fitted = std::get<Fitted<Form>>(drawn.fitted);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        const double shift = std::log(predict(fitted, rows[i]) / predict(center, rows[i]));
        variance[i] += shift * shift / kDraws;
      }
    }
    return variance;
  }

  [[nodiscard]] double in_sample(const std::vector<double>& predicted) const {
    std::vector<double> error(series_.size());
    for (std::size_t row = 0; row < series_.size(); ++row) {
      error[row] = std::abs(predicted[row] / series_.us[row] - 1.0);
    }
    return quantile(std::move(error), 0.5);
  }

  void name_outliers(const std::vector<double>& predicted, Curve& curve) {
    std::vector<std::pair<double, std::size_t>> wild;
    for (std::size_t row = 0; row < series_.size(); ++row) {
      const double off = std::abs(std::log(predicted[row]) - log_us_[row]);
      if (off > kOutlier) wild.emplace_back(-off, row);
    }
    std::sort(wild.begin(), wild.end());
    curve.outlier_count = static_cast<std::int64_t>(wild.size());
    wild.resize(std::min(wild.size(), kNamedOutliers));
    for (const auto& [off, row] : wild) {
      const Origin origin = series_.origin[row];
      curve.outliers.push_back(
          {.where = fmt::format("{}:{}", curve.sources[origin.file].file, origin.line),
           .measured_us = series_.us[row],
           .predicted_us = predicted[row]});
    }
  }

  // Lower Cholesky factor of the covariance of ln(parameters).
  std::vector<double> spread(const std::vector<std::size_t>& all, const Fitted<Form>& fitted) {
    const std::vector<std::size_t> rows = sample(all, options_.fit_rows, random_);
    std::size_t choice = 0;
    for (std::size_t c = 0; c < choices_.size(); ++c) {
      if (choices_[c] == fitted.choice) choice = c;
    }
    std::vector<unsigned> group;
    for (const std::size_t row : rows) group.push_back(series_.shape_group[row]);
    const std::vector<double> values(fitted.p.begin(), fitted.p.end());
    std::vector<double> flat = covariance(problem(rows, choice), values, group);
    const auto n = static_cast<Eigen::Index>(values.size());
    Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> matrix(
        flat.data(), n, n);
    // Eigenvalues are clipped to what a fit can still be said to know: a factor of e either way.
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(matrix);
    const Eigen::VectorXd clipped = solver.eigenvalues().cwiseMax(1e-12).cwiseMin(1.0);
    Eigen::MatrixXd bounded =
        solver.eigenvectors() * clipped.asDiagonal() * solver.eigenvectors().transpose();
    const Eigen::MatrixXd factor = bounded.llt().matrixL();
    matrix = factor;
    return flat;
  }

  std::vector<Range> ranges() const {
    std::vector<Range> result;
    for (const std::string_view name : Form::kRanges) {
      result.push_back(
          {.name = std::string(name), .min = std::numeric_limits<double>::infinity(), .max = 0.0});
    }
    for (const auto& shape : shapes_) {
      const auto values = Form::ranged(shape);
      for (std::size_t i = 0; i < values.size(); ++i) {
        result[i].min = std::min(result[i].min, values[i]);
        result[i].max = std::max(result[i].max, values[i]);
      }
    }
    return result;
  }

  const Series& series_;
  const std::vector<typename Form::Shape>& shapes_;
  const Machine& machine_;
  const FitOptions& options_;
  std::vector<typename Form::Choice> choices_;
  bool by_trial_ = false;  // one chose the kernels
  Random random_;
  LeastSquaresProblem problem_;
  std::vector<double> log_us_;
};

}  // namespace

std::string refusal(const CurveKey& key, const Series& series) {
  const std::size_t parameters = parameters_of(form_of(key.family)).size();
  const std::size_t least = 2 * parameters;
  if (series.size() < least) {
    return fmt::format(
        "{}: {} measurements are too few to fit {} parameters; at least {} are "
        "needed",
        key.slot(), series.size(), parameters, least);
  }
  const std::size_t groups = std::max(distinct(series.shape_group), distinct(series.batch_group));
  if (groups < kLeastShapes) {
    return fmt::format(
        "{}: the {} measurements cover {} {}; nothing could be left out to test the "
        "fit, so at least {} shapes or batch sizes are needed",
        key.slot(), series.size(), groups, groups == 1 ? "shape" : "shapes", kLeastShapes);
  }
  return {};
}

FitResult fit(const CurveKey& key, const Series& series, const Machine& machine,
              const MeasurementSet& set, const FitOptions& options) {
  if (const std::string reason = refusal(key, series); !reason.empty()) throw UserError(reason);
  Curve curve;
  curve.key = key;
  std::vector<std::int64_t> rows(set.files.size());
  for (const Origin& origin : series.origin) ++rows[origin.file];
  for (std::size_t f = 0; f < set.files.size(); ++f) {
    curve.sources.push_back({.file = set.files[f].path, .rows = rows[f]});
  }
  FitResult result = std::visit(
      [&](const auto& shapes) {
        using Form = typename std::decay_t<decltype(shapes)>::value_type::Form;
        return Fitter<Form>(key, series, machine, options).run(std::move(curve));
      },
      series.shapes);
  std::erase_if(result.curve.sources, [](const Provenance& p) { return p.rows == 0; });
  return result;
}

}  // namespace ridge::hw::calibrated
