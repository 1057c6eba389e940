#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

struct CUstream_st;  // What cudaStream_t points to; keeps this header free of CUDA's.

/// What ridge-bench needs to know of a kernel family. A family is a table entry, see
/// registry.host.cu; its grid, cases and plans are host code, its `check` and `prepare` live in a
/// .cu file.
namespace ridge::kernels::bench {

using Stream = CUstream_st*;

/// Named fields of a shape, in order: integers, reals, words. The names are the field's standard
/// ones and are listed in docs/measurement-format.md.
class Shape {
 public:
  using Value = std::variant<std::int64_t, double, std::string>;
  struct Field {
    std::string name;
    Value value;
  };

  Shape() = default;
  Shape(std::initializer_list<Field> fields) : fields_(fields) {}
  explicit Shape(std::vector<Field> fields) : fields_(std::move(fields)) {}

  const std::vector<Field>& fields() const { return fields_; }
  bool has(std::string_view name) const;

  /// Throw std::invalid_argument when the field is missing or of another type.
  std::int64_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  const std::string& word(std::string_view name) const;

  /// "batch=64 context_tokens=8192 kv_dtype=bf16": unique per shape, stable across versions.
  std::string to_string() const;

 private:
  const Value* find(std::string_view name) const;
  std::vector<Field> fields_;
};

/// The least a launch must move and compute; never what a kernel happens to waste.
struct Work {
  double bytes_read = 0;     ///< From device memory, each input once.
  double bytes_written = 0;  ///< To device memory, each output once.
  double flop = 0;           ///< A multiply-add counts 2.
};

/// When a point's turn comes in a run, which may be cut short.
enum class Turn {
  kCeiling,  ///< First, and even if a kernel is wrong: what everything else is held against.
  kTarget,   ///< Then: the shapes that say whether a kernel does what it was made for.
  kGrid,     ///< Then the rest of the grid.
};

/// One thing to measure.
struct Point {
  std::string kernel;  ///< Which implementation: "ridge", "simple", "cublaslt", ...
  Shape shape;
  Work work;
  Turn turn = Turn::kGrid;
};

/// One comparison with the reference.
struct Case {
  std::string kernel;
  std::string name;  ///< A claim, e.g. "a request of length 0 yields zeros and -inf".
  Shape shape;
  bool is_new = false;  ///< No GPU has run it yet.
};

/// How large the grid is: --quick (enough to calibrate every operator), --full, or --new (what no
/// GPU has run yet, beside what it would take the place of).
enum class Extent { kQuick, kFull, kNew };

/// What a case found. `message` says what differed where: enough to start debugging from.
struct CheckReport {
  bool passed = false;
  double relative_error = 0;  ///< ||out - ref|| / ||ref||
  double tolerance = 0;
  std::string message;
};

/// A prepared launch that the timer replays. Inputs are random, resident, and of `sets()`
/// independent copies that the timer rotates over, as many as input_sets() says unless the shape is
/// meant to hit the L2.
class Workload {
 public:
  virtual ~Workload() = default;
  virtual int sets() const = 0;
  /// Enqueues one execution over input set `set`; called during graph capture, so it may not
  /// allocate or synchronize.
  virtual void launch(int set, Stream stream) = 0;
  /// Whether launches are timed as replays of a graph; otherwise they are enqueued one by one.
  virtual bool in_graph() const { return true; }
};

/// Facts of the device at hand that families size their work by.
struct DeviceFacts {
  int sm_count = 0;
  std::uint64_t l2_bytes = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t free_bytes = 0;
  int capability = 0;  ///< 10 x major + minor: 90 is Hopper.
};

/// How many copies of inputs of `bytes` each to rotate over, so that a copy has left the L2 when
/// its turn comes again: at least two, together at least four times the L2, at most `most`.
int input_sets(double bytes, const DeviceFacts& device, int most = 1024);

/// The values of the shape's fields that are named, as a key: "head_dim=256 kv_dtype=bf16".
std::string fields_of(const Shape& shape, const std::vector<std::string_view>& names);

struct Family {
  std::string_view name;     ///< As in the measurement file, e.g. "decode_attention".
  std::string_view summary;  ///< One line for --list.

  /// The fields of a shape that choose the compiled kernel. A kernel found wrong on one of its
  /// instances is not measured there; the others are.
  std::vector<std::string_view> instance_fields;

  /// Points to measure. Host only.
  std::vector<Point> (*grid)(Extent extent, const DeviceFacts& device);
  /// The launch plan of a point as text. Host only; works without a GPU.
  std::string (*explain)(const Point& point, const DeviceFacts& device);
  /// Comparisons to make. Host only.
  std::vector<Case> (*cases)(Extent extent, const DeviceFacts& device);
  /// Runs one comparison on the device.
  CheckReport (*check)(const Case& test, const DeviceFacts& device);
  /// Allocates and fills what a point needs. Throws CudaError if the device cannot.
  std::unique_ptr<Workload> (*prepare)(const Point& point, const DeviceFacts& device);

  /// Whether the device can run a kernel of this family on a shape; null where every one can.
  bool (*runs)(std::string_view kernel, const Shape& shape, const DeviceFacts& device) = nullptr;

  bool has_new = false;  ///< Whether it has anything for Extent::kNew.
};

}  // namespace ridge::kernels::bench
