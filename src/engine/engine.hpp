#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/threads.hpp"
#include "model/graph.hpp"
#include "quant/activation.hpp"
#include "quant/gradient.hpp"
#include "quant/weight_method.hpp"

namespace qtrain::engine {

enum class LossKind {
  cross_entropy,     ///< -sum_k t_k log softmax(o)_k, t smoothed by label_smoothing
  squared_error,     ///< 1/2 sum_k (o_k - [k = y])^2
  multiclass_hinge,  ///< max(0, 1 - o_y + max_{k != y} o_k); the lowest k wins a tie
  squared_hinge,     ///< sum_k max(0, 1 - t_k o_k)^2 / classes, t = +1 at y, -1 elsewhere
};
struct Loss {
  LossKind kind = LossKind::cross_entropy;
  double label_smoothing = 0;
};

/// Which tensors are quantized and how. Empty factories mean float weights and ReLU.
struct Quantization {
  std::vector<quant::WeightFactory>
      weights;                           ///< one per model::parameters(graph) entry; empty = not quantized
  quant::ActivationFactory activations;  ///< for every activation layer; empty = ReLU
  quant::SteFactory ste;
  /// For the gradients at the outputs of layers with quantized weights; empty = they stay floats.
  quant::PropagatedFactory propagated;
};

/// Number format of the operands of convolutions and linear layers; sums, and all else, are floats.
enum class Precision { float32, bfloat16 };

/// What computes the forward product of a layer whose operands are both codes. All give the same bits.
enum class LowBit {
  automatic,  ///< the fastest that can, by a measurement when the network is compiled
  off,        ///< numbers of `precision`, as where there are no codes
  int8,       ///< bytes, where every sum is exact; elsewhere as off
  bitwise,    ///< bit planes, where every sum is exact; elsewhere as off
};

struct ParameterSlot;

struct Options {
  int threads = 1;
  int shard = 8;                 ///< images a shard: part of the numerics
  int batch = 128;               ///< largest training batch
  std::uint64_t seed = 1;        ///< of the initial weights
  bool keep_statistics = false;  ///< running statistics stay as they are in training
  LowBit low_bit = LowBit::automatic;
  Precision precision = Precision::float32;  ///< part of the numerics
  bool poison = false;                       ///< fill dead arena ranges with NaN (tests)
  /// Slots that stay as they are; empty: none.
  std::function<bool(const ParameterSlot&)> frozen = {};
};

/// One learned tensor in the flat vectors of latents and gradients.
struct ParameterSlot {
  enum class Kind { weight, bias, gamma, beta, learned };
  std::string name;       ///< "stem.conv.weight", "stage1.block1.act1.alpha"
  std::string file_name;  ///< the same, or with the unit of a learned value: "stage1.block1.act1.alpha/2bit"
  Kind kind = Kind::weight;
  Shape shape;                            ///< of the used tensor
  std::size_t offset = 0;                 ///< into latents() and gradients()
  std::size_t size = 0;                   ///< latent values
  quant::WeightMethod* method = nullptr;  ///< of a quantized weight
  int index = 0;                          ///< among all slots
  double learning_rate_factor = 1;
  double decay = 0;           ///< learned: L2 decay
  double gradient_limit = 0;  ///< learned: gradient clamped to +-limit before the step; 0 = none
  float low = 0, high = 0;    ///< learned: value clamped to [low, high] after the step
  bool pulled = false;        ///< learned with a weight: its gradient is made by pull_gradients()
  bool frozen = false;        ///< moved by nothing, neither optimizer nor `settled`
};

/// Running statistics of one batch norm, part of the state.
struct StatisticsSlot {
  std::string name;  ///< "stem.bn.running_mean", "stem.bn.running_variance"
  std::span<float> values;
};

/// What one recurrent layer hands from a step to the next, part of the state.
struct CarriedSlot {
  std::string name;         ///< "lstm1.state"
  std::span<float> values;  ///< [lanes][2][features]: output and cell
};

/// One layer for logs and `timing.json`.
struct LayerInfo {
  std::string name;
  std::string op;
  Shape output;
  std::int64_t parameters = 0;
  std::int64_t multiply_accumulates = 0;
  int weight_bits = 32;      ///< 32: float; 0: no weights
  int activation_bits = 32;  ///< of the layer's input
  std::string path =
      {};  ///< "float32", "bfloat16", "int8", "bitwise" (forward); "": no arithmetic of its own
  /// Of the float forward product: oneDNN's name, such as "brgconv:avx512_core", or "winograd".
  std::string implementation = {};
  /// Seconds a shard of the paths that LowBit::automatic chose from; empty if it had no choice.
  std::vector<std::pair<std::string, double>> measured = {};
};

/// Which weights a quantized layer uses.
enum class Weights {
  used,    ///< w = Q(u), those of training
  final,   ///< w* = F(u), exactly quantized
  latent,  ///< u, the float copy
  set,     ///< what set_used() was given
};

struct BatchResult {
  double loss = 0;  ///< summed over targets: images, or the tokens of all sequences
  int correct = 0;
  int count = 0;  ///< targets
  /// The loss and, after train(), every gradient are finite. Quantizers give NaN a code, so a broken layer
  /// can hide from the loss; it does not from its gradient.
  bool finite = true;
};

/// Seconds by kind of step since the last reset, summed over threads.
struct Profile {
  struct Row {
    std::string kind;  ///< "convolution forward", "normalise + quantize", ...
    double seconds = 0;
    std::int64_t calls = 0;
  };
  std::vector<Row> rows;
};

/// Version of the oneDNN library in use: "2.6.3".
std::string onednn_version();

/// A precision for which oneDNN has no fast convolutions on this CPU is an Error (usage).
void require(Precision precision);

/// A compiled network with its parameters. Results depend on graph, quantization, loss, shard, precision,
/// seed and data: never on `threads`.
class Engine {
 public:
  /// Requires options.precision.
  Engine(const model::Graph& graph, const Quantization& quantization, const Loss& loss,
         const Options& options);
  ~Engine();

  bool latents_finite() const;
  std::span<float> latents();    ///< all learned values, flat
  std::span<float> gradients();  ///< of the last pull_gradients(), mean over the batch; same layout
  const std::vector<ParameterSlot>& slots() const;
  const std::vector<StatisticsSlot>& statistics() const;

  /// Makes the weights used from the latents, for every quantized tensor. Call after every change of latents
  /// and before train() or evaluate(). With Weights::latent only evaluate() may follow; a tensor with several
  /// latents a weight then uses Q(u).
  void use_weights(const quant::WeightContext& context, Weights which = Weights::used);
  /// The weights in use of one slot, plain layout (for quantized tensors Q(u), else the latent itself).
  std::span<const float> used(const ParameterSlot& slot) const;
  /// What used() consists of: scale * code, a row of codes a scale. One scale of 1 where there are no codes.
  std::span<const float> codes(const ParameterSlot& slot) const;
  std::span<const float> scales(const ParameterSlot& slot) const;
  /// Lays down the weights of one slot, scale * code, that use_weights(context, Weights::set) then makes the
  /// used ones; one scale, or as many as output channels. What is not quantized has its latents for that.
  void set_used(const ParameterSlot& slot, std::span<const float> codes, std::span<const float> scales);
  /// Gradient of one slot with respect to the used weights, of the last train(), plain layout.
  std::span<float> used_gradient(const ParameterSlot& slot);
  /// Sets the learned values of the activation quantizers that start from data, in the order of the layers:
  /// each from what its layer sees of this batch, with the weights in use. Layers one of whose slots is in
  /// `loaded` (indices into slots()) keep theirs. Running statistics stay as they are.
  void start_quantizers(std::span<const float> images, int count, const std::vector<int>& loaded);
  bool starts_from_data() const;  ///< whether any quantizer wants start_quantizers
  /// Runs the `settled` hook of each quantized tensor that is not frozen and clamps learned values.
  void settle(const quant::WeightContext& context);

  /// Begins sequences anew in `lanes` lanes: what recurrent layers carry becomes zero. Sample k of a batch
  /// goes on where sample k of the batch before it ended, k counted over all workers. Before every pass over
  /// a text; nothing for graphs without recurrent layers.
  void start_sequences(int lanes);
  /// What is carried now; good until the next start_sequences().
  std::vector<CarriedSlot> carried();

  /// Forward and backward: images [count][C][H][W] with 1 <= count <= options.batch, or tokens [count][T];
  /// labels [count], or [count][T]. Batch
  /// statistics are taken over the whole batch and the running ones updated. Gradients are left in
  /// used_gradient(). `first_image` is the first one's place in the step's batch over all workers: random
  /// numbers of an image follow from it.
  BatchResult train(std::span<const float> images, std::span<const std::int32_t> labels, int first_image = 0);
  /// From the gradients of the used weights to those of the latents, once after train().
  void pull_gradients();
  /// Forward with running statistics.
  BatchResult evaluate(std::span<const float> images, std::span<const std::int32_t> labels);
  /// Logits [count][classes], or [count][T][classes], of evaluate's forward pass.
  std::vector<float> logits(std::span<const float> images, int count);
  /// After a result that is not finite: the first layer, in execution order, whose parameters or output hold
  /// a non-finite number for this batch, or, if none does, "the loss or the backward pass".
  std::string locate_non_finite(std::span<const float> images, std::span<const std::int32_t> labels);

  std::vector<LayerInfo> layers() const;
  std::size_t memory_bytes() const;  ///< arenas, parameters and weight copies
  Profile profile() const;
  void reset_profile();
  int threads() const;
  ThreadPool& pool();  ///< of this engine's threads, for work between its calls

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qtrain::engine
