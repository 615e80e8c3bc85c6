#pragma once
#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "engine/compile.hpp"

namespace qtrain::engine {

/// A tensor of the program as later steps see it, stored in one way or in several.
struct Value {
  std::array<TensorId, kStorages> tensors = {-1, -1, -1, -1, -1};  ///< by Storage; -1: not stored so (yet)
  ElementwiseForward* producer = nullptr;  ///< the pass that makes it, if it can store it in more ways
  onednn::Desc desc;                       ///< of the floats
  Layout layout;
  const ActivationUnit* unit = nullptr;      ///< whose codes it holds; null: plain values
  bool averaged = false;                     ///< means of codes, which are none
  const ParameterSlot* weights = nullptr;    ///< of the convolution or linear layer it is the raw sum of
  const ActivationUnit* src_unit = nullptr;  ///< of that layer's input
  int layer = -1;                            ///< that layer
  /// Not computed yet: whoever reads it has it computed, an elementwise pass does so itself.
  std::optional<BitProduct> product;
  bool needs_gradient = false;
  std::vector<Stored> diffs;  ///< gradient contributions, with respect to the real (scaled) value

  TensorId in(Storage storage) const { return tensors[static_cast<std::size_t>(storage)]; }
  void put(const Stored& stored) { tensors[static_cast<std::size_t>(stored.storage)] = stored.tensor; }
};

/// A graph layer's result: a value, or (operands not empty) a sum of affine maps not yet computed.
struct Result {
  struct Term {
    int value;
    Affine* affine;  ///< null: raw, nothing known to follow yet
    bool combined;   ///< its batch statistics are ready
  };
  int value = -1;
  std::vector<Term> terms;
};

struct Node {
  enum class Kind { product, elementwise, pool, response_norm, shortcut, relayout, embedding, lstm, dropout };
  Kind kind;
  std::string name;
  int src = -1, dst = -1;  ///< values
  onednn::Built forward{};
  onednn::Window window{};
  model::ResponseNorm response_norm{};
  const ParameterSlot *weights = nullptr, *biases = nullptr;
  bool linear = false, maximum = false;
  TensorId workspace = -1;
  std::vector<Result::Term> terms{};
  ActivationUnit* unit = nullptr;
  int width = 0;
  LstmTensors lstm{};
  TensorId mask = -1;  ///< of dropout
  double rate = 0;
};

/// Turns a graph into a program: walks the layers forward, emitting steps and recording nodes, then the nodes
/// backward. Convolutions leave raw sums; batch norm, add and activation are gathered into one elementwise
/// pass.
class Lowering {
 public:
  Lowering(Shared& shared, int images, Mode mode)
      : shared_(shared),
        images_(images),
        training_(mode == Mode::training),
        low_bit_(shared.low_bit != LowBit::off && mode != Mode::float_evaluation),
        operand_(shared.precision == Precision::bfloat16 ? Storage::bfloat16 : Storage::float32),
        gradient_(shared.propagated ? Storage::float32 : operand_),
        out_(std::make_unique<Compiled>(images)) {}

  std::unique_ptr<Compiled> run();

 private:
  Program& program() { return out_->program; }
  Value& value(int id) { return values_[static_cast<std::size_t>(id)]; }
  Result& result(int layer) { return results_[static_cast<std::size_t>(layer)]; }

  dnnl::memory::dims dims_of(int layer) const;

  int add_value(Value v);

  /// A value in layout `desc`, not stored yet.
  Value make_value(const std::string& name, const onednn::Desc& desc);

  /// A value stored as floats.
  Value make_floats(const std::string& name, const onednn::Desc& desc);

  /// What value `v` is, in another layout and not stored yet.
  Value relaid(int v, const onednn::Desc& desc, const std::string& name);

  void lower(int id, const model::Layer& layer);

  void lower_input(int id);

  void lower_product(int id, const model::Layer& layer);

  void lower_batch_norm(int id, const model::Layer& layer);

  Affine::Source plain_source(int v);

  Affine::Source batch_norm_source(int id, const model::Layer& layer, int v);

  template <class Describe>
  Affine* next_affine(Describe&& describe) {
    if (affine_count_ == shared_.affines.size()) shared_.affines.emplace_back(describe(), shared_.shards);
    return &shared_.affines[affine_count_++];
  }

  /// The layer's result as terms with an affine map each.
  std::vector<Result::Term> terms_of(int layer);

  /// The layer's result as a value in memory.
  int value_of(int layer);

  /// dst = activation(terms).
  int elementwise(const std::string& name, std::vector<Result::Term> terms, ActivationUnit* unit);

  /// Both operands of a product as integers.
  struct ProductCodes {
    quant::CodeRange weights;
    int lowest, highest, step;  ///< activations are lowest, lowest + step, ..., highest
    std::int64_t terms;         ///< of a sum
  };
  /// Empty if one of them has no codes.
  std::optional<ProductCodes> codes_of(const Node& node) const;

  /// As a convolution; a linear layer's shard is one image of a row of `images` pixels.
  kernels::ConvolutionGeometry geometry_of(const Node& node) const;

  /// The product on one-byte codes, or on bit planes; empty where it would not be the same in every bit.
  std::optional<onednn::Built> integer_product(const Node& node, const ProductCodes& codes);
  std::unique_ptr<kernels::BitConvolution> bit_product(const Node& node, const ProductCodes& codes) const;

  /// Whether products of floats are made by Winograd's tiles.
  bool by_winograd(const Node& node) const;
  /// Whether gradients in bfloat16 are.
  bool by_winograd_pairs(const Node& node) const;
  bool forward_by_winograd(const Node& node) const;
  void emit_winograd(const Node& node, StepKind kind, TensorId src, const float* weights, TensorId dst);

  Path path_of(int id, const Node& node);
  PathChoice measure_paths(const Node& node, const ProductCodes& codes, const onednn::Built* integer,
                           const kernels::BitConvolution* bits) const;

  /// The path is one the layer has. Bit planes are not run at once, see Value::product.
  void lower_floats(const Node& node, TensorId dst);
  void lower_integers(const Node& node, TensorId dst);
  void lower_call(const Node& node, const onednn::Built& built, Storage storage, TensorId dst);
  BitProduct lower_bits(int id, const Node& node);

  /// The value as its reader wants it: as it is stored already; else (forward) the pass that makes it stores
  /// it so too; else converted, in the backward half for this reader alone.
  TensorId stored(int v, Storage storage, const std::string& name);

  TensorId floats(int v, const std::string& name) { return stored(v, Storage::float32, name); }

  /// The value in a storage that loses nothing: floats or codes, what there is.
  Stored exact(int v, const std::string& name);

  /// The value as codes of one byte, or in another storage where it has none.
  Stored bytes_or(int v, Storage storage, const std::string& name);

  /// Computes the product of a value that is none yet.
  void compute_product(int v, const std::string& name);

  /// The tensor in that storage: a new one where its own is another.
  TensorId converted(const Stored& src, Storage storage, std::size_t size, const std::string& name);

  /// Emits the pass that computes `dst` from operands: the one place that knows which passes there are.
  void emit_elementwise(const std::string& name, const std::vector<Result::Term>& terms, ActivationUnit* unit,
                        Value& dst);

  std::vector<Operand> operands_of(const std::vector<Result::Term>& terms, const std::string& name);

  void lower_add(int id, const model::Layer& layer);

  void lower_pool(int id, const model::Layer& layer);

  void lower_response_norm(int id, const model::Layer& layer);

  void lower_shortcut(int id, const model::Layer& layer);

  void lower_flatten(int id, const model::Layer& layer);

  SequenceShape sequence_of(int v) const;

  void lower_embedding(int id, const model::Layer& layer);

  void lower_lstm(int id, const model::Layer& layer);

  void lower_dropout(int id, const model::Layer& layer);

  /// The value in layout `desc`, reordered if it is not.
  int in_layout(int v, const onednn::Desc& desc, const std::string& name);

  void call(const std::string& name, StepKind kind, const onednn::Built& built,
            const std::vector<onednn::Call::Argument>& arguments, const std::vector<TensorId>& reads,
            const std::vector<TensorId>& writes);

  void finish_with_loss();

  void backward(Node& node);

  /// All contributions to a value's gradient as one tensor.
  TensorId gradient_of(int v, const std::string& name, Storage storage = Storage::float32);

  TensorId new_diff(int v, const std::string& name, Storage storage = Storage::float32);

  void backward_elementwise(Node& node);

  void flush_backward_sums();

  void backward_product(Node& node);

  void backward_weights(const Node& node, TensorId diff_dst);

  /// A shard's gradient of weights and its layout.
  struct Partial {
    TensorId tensor;
    onednn::Desc desc;
  };
  /// Has the partials of all shards added up to the slot's gradient, times the scale of `unit`.
  void add_partial(const ParameterSlot& slot, const Partial& partial, const ActivationUnit* unit,
                   const std::string& name);
  /// By oneDNN, by products of pairs, or by Winograd's tiles.
  Partial weights_by_call(const Node& node, TensorId diff_dst);
  template <class Gradient>
  Partial weights_by(const Node& node, TensorId diff_dst);

  void backward_data(const Node& node, TensorId diff_dst);
  void data_by_winograd(const Node& node, TensorId diff_dst);

  /// The gradient of a layer with quantized weights, quantized; of others as it is.
  Stored propagated(const Node& node, const Stored& diff_dst);

  void prepare_gradient(Shared::WeightGradient& gradient, const onednn::Desc& desc, const ParameterSlot& slot,
                        const ActivationUnit* unit);

  /// A short shard's primitive may prefer another weight layout than the full ones'; partials must agree.
  TensorId in_partial_layout(TensorId partial, const onednn::Desc& from, const onednn::Desc& to,
                             const std::string& name);

  void backward_pool(Node& node);

  void backward_response_norm(Node& node);

  void backward_shortcut(Node& node);

  void backward_relayout(Node& node);

  void backward_embedding(Node& node);

  void backward_lstm(Node& node);

  void backward_dropout(Node& node);

  Shared& shared_;
  int images_;
  bool training_;
  bool low_bit_;
  Storage operand_;   ///< of convolutions and linear layers, where not one-byte codes
  Storage gradient_;  ///< what steps that can choose hand to each other, going back
  bool in_backward_ = false;
  std::unique_ptr<Compiled> out_;
  std::vector<int> uses_;        ///< by layer
  std::vector<Result> results_;  ///< by layer
  std::deque<Value> values_;
  std::vector<Node> nodes_;
  std::size_t affine_count_ = 0;
  std::vector<std::pair<Affine*, std::size_t>> backward_sums_;
};

}  // namespace qtrain::engine
