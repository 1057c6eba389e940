// An architecture: named attention and FFN blocks, and the order in which layers use them.
#pragma once

#include "ridge/base/json.hpp"
#include "ridge/models/attention.hpp"
#include "ridge/models/ffn.hpp"
#include "ridge/models/operator.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ridge::models {

// Indices into ModelSpec::attentions and ModelSpec::ffns.
struct LayerSpec {
  std::size_t attention = 0;
  std::size_t ffn = 0;
};

// The same as the file says it, by the names of its blocks.
struct NamedLayer {
  std::string attention;
  std::string ffn;
};

// `pattern`, `repeat` times: hybrid models interleave their layers.
struct LayerRun {
  std::int64_t repeat = 1;
  std::vector<LayerSpec> pattern;
  std::vector<NamedLayer> named = {};  // what `pattern` is made from
};

// Extra modules that draft further tokens (DeepSeek's MTP): each one layer and a projection.
struct MultiTokenPrediction {
  std::int64_t modules = 0;
  LayerSpec layer = {};
  NamedLayer named = {};  // what `layer` is made from
};

// What the publisher says of the model, for checking ours against.
struct Claims {
  std::optional<double> total_billion;   // parameters
  std::optional<double> active_billion;  // likewise
  std::string source;
};

struct ModelSpec {
  std::string name;   // as typed on the command line
  std::string title;  // as people write it
  std::int64_t hidden = 0;
  std::int64_t vocabulary = 0;
  bool tied_embeddings = false;
  std::int64_t residual_streams = 1;
  // Embeddings of the last few tokens together, read a few rows a token; they lie in the host's
  // memory, and the time to read them is not counted.
  double ngram_parameters = 0;
  // Tokens in the tables of layers with an input of their own (FfnBlock::layer_input); 0: as many
  // as the vocabulary has.
  std::int64_t layer_input_vocabulary = 0;
  std::int64_t context_limit = 0;  // tokens that it was made for; 0: not known
  Precisions precisions;
  Precision cache = Precision::bf16;              // default of the attention blocks
  Precision attention_compute = Precision::bf16;  // likewise
  std::vector<AttentionBlock> attentions;
  std::vector<FfnBlock> ffns;
  std::vector<LayerRun> layer_runs;
  MultiTokenPrediction mtp;
  Claims claims;
  std::map<std::string, std::string> sources;  // where the numbers below a JSON pointer come from

  [[nodiscard]] std::int64_t layers() const;
  // Layers whose attention (FFN) is block `index`.
  [[nodiscard]] std::int64_t layers_with_attention(std::size_t index) const;
  [[nodiscard]] std::int64_t layers_with_ffn(std::size_t index) const;
  // Every layer in order.
  [[nodiscard]] std::vector<LayerSpec> layer_sequence() const;

  // Widths of all layers' own inputs together.
  [[nodiscard]] std::int64_t layer_inputs() const;
  // Their tables, and the projection of a token's embedding that is added to what they hold.
  [[nodiscard]] double layer_input_parameters() const;

  // Embeddings and LM head included, MTP modules not, as publishers count.
  [[nodiscard]] double total_parameters() const;
  // Multiplied with one token: as total, with top_k experts only and without the embedding table.
  [[nodiscard]] double active_parameters() const;
  // Held by one sequence of `context` tokens in all layers.
  [[nodiscard]] Bytes cache_bytes(double context) const;
  // What one more token adds while no sliding window is full yet; recurrent states do not count.
  [[nodiscard]] Bytes cache_bytes_per_token() const;
  // The largest of the attention blocks.
  [[nodiscard]] std::int64_t effective_rank() const;
  // Of all weights, at their precisions.
  [[nodiscard]] Bytes weight_bytes() const;
};

// Appends the final norm and LM head for `tokens` tokens, the vocabulary split over ranks.
void head_operators(const ModelSpec& model, double tokens, std::int64_t tensor_parallel,
                    OperatorList& out);

// A remark where `context` tokens are more than the model was made for; empty where they are not,
// or nobody said for how many.
[[nodiscard]] std::string context_remark(const ModelSpec& model, double context);

// What is wrong with the values of several keys at once. Cheap enough for every point of a sweep.
[[nodiscard]] Problem model_problem(const ModelSpec& model);

// Of a model file (docs/schema/model.schema.json).
[[nodiscard]] const KeyTable& keys_of(const ModelSpec*);
// Reads one, with what follows from it.
void read_model(const JsonNode& node, ModelSpec& out);

// The shipped model of this name, or the file at this path: a model, or the config.json of a
// Hugging Face checkpoint (or its folder), imported with the defaults of ImportOptions. Throws
// UserError.
[[nodiscard]] ModelSpec load_model(const std::string& name_or_path);
// Its JSON, which read_model() accepts.
[[nodiscard]] JsonDocument model_document(const std::string& name_or_path);
[[nodiscard]] std::vector<std::string> model_names();

}  // namespace ridge::models
