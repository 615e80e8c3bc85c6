#pragma once
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "engine/compile.hpp"

namespace qtrain::engine {

/// A tensor of the program as later steps see it: floats, one-byte codes, or both.
struct Value {
  TensorId tensor = -1;  ///< floats; -1: none (yet)
  TensorId codes = -1;   ///< the same values as one-byte codes in the same layout; -1: none
  onednn::Desc desc;     ///< of the floats
  Layout layout;
  const ActivationUnit* unit = nullptr;      ///< whose codes it holds; null: plain values
  const ParameterSlot* weights = nullptr;    ///< of the convolution or linear layer it is the raw sum of
  const ActivationUnit* src_unit = nullptr;  ///< of that layer's input
  int layer = -1;                            ///< that layer
  bool needs_gradient = false;
  std::vector<TensorId> diffs;  ///< gradient contributions, with respect to the real (scaled) value
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
  enum class Kind { product, elementwise, pool, response_norm, shortcut, relayout };
  Kind kind;
  std::string name;
  int src = -1, dst = -1;  ///< values
  onednn::Built forward{};
  onednn::Window window{};
  model::ResponseNorm response_norm{};
  const ParameterSlot* weights = nullptr;
  bool linear = false, maximum = false;
  TensorId workspace = -1;
  std::vector<Result::Term> terms{};
  ActivationUnit* unit = nullptr;
  int width = 0;
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
        low_bit_(shared.low_bit && mode != Mode::float_evaluation),
        out_(std::make_unique<Compiled>(images)) {}

  std::unique_ptr<Compiled> run();

 private:
  Program& program() { return out_->program; }
  Value& value(int id) { return values_[static_cast<std::size_t>(id)]; }
  Result& result(int layer) { return results_[static_cast<std::size_t>(layer)]; }

  dnnl::memory::dims dims_of(int layer) const;

  int add_value(Value v);

  /// A fresh tensor in layout `desc`, of floats or of one-byte codes.
  Value make_value(const std::string& name, const onednn::Desc& desc, bool codes = false);

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

  /// dst = activation(terms). With `codes`, dst is one-byte codes.
  int elementwise(const std::string& name, std::vector<Result::Term> terms, ActivationUnit* unit,
                  bool codes = false);

  /// Whether the codes of an activation layer are best stored as bytes: a convolution will read them so.
  bool stores_codes(int id) const;

  /// Whether a convolution of values in `unit`'s codes is the same in integers: every sum of products fits a
  /// float's mantissa.
  bool fits_integers(int id, const ActivationUnit* unit) const;

  /// Emits the convolution on codes; false if this CPU has none that is exact.
  bool lower_integer_product(int id, const Node& node, TensorId dst);

  static Element element_of(const ActivationUnit& unit);

  /// The value's floats; where it has only codes, a new tensor for the next reader alone.
  TensorId floats(int v, const std::string& name);

  /// The same, for all readers from now on.
  TensorId keep_floats(int v, const std::string& name) { return value(v).tensor = floats(v, name); }

  Operand operand_of(const Result::Term& term);

  std::vector<Operand> operands_of(const std::vector<Result::Term>& terms);

  void lower_add(int id, const model::Layer& layer);

  void lower_pool(int id, const model::Layer& layer);

  void lower_response_norm(int id, const model::Layer& layer);

  void lower_shortcut(int id, const model::Layer& layer);

  void lower_flatten(int id, const model::Layer& layer);

  /// The value in layout `desc`, reordered if it is not.
  int in_layout(int v, const onednn::Desc& desc, const std::string& name);

  void call(const std::string& name, StepKind kind, const onednn::Built& built,
            const std::vector<onednn::Call::Argument>& arguments, const std::vector<TensorId>& reads,
            const std::vector<TensorId>& writes);

  void finish_with_loss();

  void backward(Node& node);

  /// All contributions to a value's gradient as one tensor.
  TensorId gradient_of(int v, const std::string& name);

  TensorId new_diff(int v, const std::string& name);

  void backward_elementwise(Node& node);

  void flush_backward_sums();

  void backward_product(Node& node);

  void backward_weights(const Node& node, TensorId diff_dst);

  void backward_data(const Node& node, TensorId diff_dst);

  void prepare_gradient(Shared::WeightGradient& gradient, const onednn::Desc& desc, const ParameterSlot& slot,
                        const ActivationUnit* unit);

  /// A short shard's primitive may prefer another weight layout than the full ones'; partials must agree.
  TensorId in_partial_layout(TensorId partial, const onednn::Desc& from, const onednn::Desc& to,
                             const std::string& name);

  void backward_pool(Node& node);

  void backward_response_norm(Node& node);

  void backward_shortcut(Node& node);

  void backward_relayout(Node& node);

  Shared& shared_;
  int images_;
  bool training_;
  bool low_bit_;
  std::unique_ptr<Compiled> out_;
  std::vector<int> uses_;        ///< by layer
  std::vector<Result> results_;  ///< by layer
  std::deque<Value> values_;
  std::vector<Node> nodes_;
  std::size_t affine_count_ = 0;
  std::vector<std::pair<Affine*, std::size_t>> backward_sums_;
};

}  // namespace qtrain::engine
