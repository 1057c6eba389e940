// Measured latencies, sorted into series: one series for every curve that can be fitted.
#pragma once

#include "ridge/hwmodels/calibrated/family.hpp"
#include "ridge/hwmodels/calibrated/forms.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace ridge::hw::calibrated {

struct Origin {
  std::uint32_t file = 0;  // index into MeasurementSet::files
  std::uint32_t line = 0;  // CSV line; index of the measurement in JSON
};

struct Series {
  Shapes shapes;
  std::vector<double> us;
  // Rows of one shape (heads, dimensions, n x k, model, ...) share a number: cross-validation
  // leaves out whole shapes, never single rows.
  std::vector<std::uint32_t> shape_group;
  // Finer: the shape and its batch. Used where a series holds too few shapes to leave one out.
  std::vector<std::uint32_t> batch_group;
  // Rows whose kernels were chosen in one go (kernel_facts.hpp, tuned_by_trial) share a number:
  // those of one shape, parallelism and routing. Empty where a file cannot tell.
  std::vector<std::uint32_t> choice_group;
  std::vector<Origin> origin;

  [[nodiscard]] std::size_t size() const { return us.size(); }
};

// All of a layer's attention on one GPU, run as one graph: projections, norms, rotary embedding,
// cache, indexer, attention; no exchange between GPUs, and not the norm ahead of it.
struct MeasuredModule {
  enum class Kind : std::uint8_t {
    sparse_latent,          // MLA over the tokens that its indexer chooses
    sparse_latent_reusing,  // over those that an earlier layer chose
    compressed_sparse,      // over a window and the compressed tokens that its indexer chooses
    compressed,             // over a window and all compressed tokens
    block_sparse,           // heads of K and V, over the blocks that its indexer chooses
  };
  // As its table has them, one GPU's of heads; 0 where it does not say.
  struct Dimensions {
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;
    std::int64_t head_dim = 0;
    std::int64_t index_heads = 0;
    std::int64_t index_dim = 0;
    std::int64_t top_k = 0;  // tokens, or blocks of them
    std::int64_t block = 0;  // tokens
    std::int64_t ratio = 0;
    std::int64_t window = 0;
  };

  Kind kind = Kind::sparse_latent;
  std::string kernel;  // as its engine calls it
  std::string model;   // as its table calls it
  Format products = Format::any;
  Format cache = Format::any;
  Dimensions dimensions;
  double batch = 1;
  double kv_len = 1;
  double us = 0;
  Origin origin;
};
// "module_shared_index": the part that tables call it.
[[nodiscard]] std::string_view name_of(MeasuredModule::Kind kind);
[[nodiscard]] std::span<const Named<MeasuredModule::Kind>> module_names();

struct MeasurementFile {
  std::string path;    // as given
  std::string device;  // as the file names it; empty where it does not
  std::size_t rows = 0;
};

struct MeasurementSet {
  // What was measured, where who reads knows: facts of public tables may differ by it.
  std::string chip{};
  std::vector<MeasurementFile> files;
  std::map<CurveKey, Series> series;
  // No curve is made of these: their kernels have curves of their own.
  std::vector<MeasuredModule> modules{};
  // Measurements that no curve is made of, by what they are, in words: to be told, not hidden.
  std::map<std::string, std::size_t> skipped;

  [[nodiscard]] std::size_t rows() const;
  // The one device of all files that name one; empty if none does. Throws UserError, naming the
  // files, where they name several.
  [[nodiscard]] std::string device() const;
  // What no curve is made of, in words, a line each; without modules, for who asks of them.
  [[nodiscard]] std::vector<std::string> left_aside(bool with_modules = true) const;
};

// Reads CSV (by its columns) and the kernel benchmark's JSON (by extension ".json"). Throws
// UserError with every problem: unknown or missing columns, words for numbers, latencies that are
// not positive. docs/calibration.md lists the columns. `chip`: the name of what was measured, empty
// where it is unknown.
[[nodiscard]] MeasurementSet read_measurements(std::span<const std::filesystem::path> files,
                                               std::string_view chip = {});

// The files that these names stand for: a folder for the .csv and .json files in it. Throws
// UserError for a folder without any.
[[nodiscard]] std::vector<std::filesystem::path> measurement_files(
    std::span<const std::string> names);

// The parts of it, for callers with the text at hand.
void read_measurement_csv(std::string_view text, const std::string& name, MeasurementSet& into);
void read_measurement_json(std::string_view text, const std::string& name, MeasurementSet& into);

// Of such a JSON file (docs/schema/measurement.schema.json), which the benchmark and the script of
// the peers write.
[[nodiscard]] const KeyTable& measurement_keys();

}  // namespace ridge::hw::calibrated
