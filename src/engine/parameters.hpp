#pragma once
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "base/aligned.hpp"
#include "base/threads.hpp"
#include "engine/engine.hpp"
#include "engine/onednn.hpp"
#include "kernels/bit_convolution.hpp"

namespace qtrain::engine {

/// All learned values: latents and gradients as two flat vectors, the used weights of each tensor in plain
/// layout (as they are and as codes times scales), and copies of them in the layouts primitives asked for.
class Parameters {
 public:
  Parameters(const model::Graph& graph, const Quantization& quantization, std::uint64_t seed);

  std::span<float> latents() { return latents_.span(); }
  std::span<float> gradients() { return gradients_.span(); }
  const std::vector<ParameterSlot>& slots() const { return slots_; }

  /// Slot of a layer's parameter; nullptr when it has none of that kind.
  const ParameterSlot* find(int layer, ParameterSlot::Kind kind) const;
  /// Adds the learned values of an activation layer and returns the first slot's index; binds nothing. Only
  /// before allocate().
  void add_learned(int layer, const std::string& layer_name,
                   const std::vector<quant::LearnedParameter>& learned);
  /// Fixes the layout, draws the initial weights, binds methods. Called once, after the last add_learned().
  void allocate(const std::function<bool(const ParameterSlot&)>& frozen);
  /// Learned values of a layer's quantizer, concatenated, and where their gradients go.
  std::span<float> learned_values(int layer);
  std::span<float> learned_gradients(int layer);
  /// Whether any slot of `indices` is a learned value of the layer's quantizer.
  bool any_learned(int layer, const std::vector<int>& indices) const;

  /// Running statistics of a batch norm layer: mean 0 and variance 1 at the start.
  struct Statistics {
    std::vector<float> mean, variance;
  };
  Statistics& statistics(int layer) { return statistics_.at(layer); }

  float* value(const ParameterSlot& slot) { return latents_.data() + slot.offset; }
  float* gradient(const ParameterSlot& slot) { return gradients_.data() + slot.offset; }

  enum class Content { codes, used };
  /// A copy of a weight's codes or used values in layout and type `desc`, filled now and at every use();
  /// equal requests share it.
  const void* copy(const ParameterSlot& slot, Content content, const onednn::Desc& desc);
  /// Has `packed` take a weight's codes, now if there are any, and at every use() that makes some.
  void keep_packed(const ParameterSlot& slot, kernels::BitConvolution& packed);
  /// Scale of a weight's codes by output channel (all ones for a float weight); stable pointer.
  const float* scales(const ParameterSlot& slot) const { return weights_[weight_index(slot)].scales.data(); }
  std::span<const float> used(const ParameterSlot& slot) const;
  std::span<const float> codes(const ParameterSlot& slot) const;
  std::span<const float> distinct_scales(const ParameterSlot& slot) const;  ///< one, or one an output channel
  void set_used(const ParameterSlot& slot, std::span<const float> codes, std::span<const float> scales);
  std::span<float> used_gradient(const ParameterSlot& slot);

  /// The weights in use, codes, scales and every copy.
  void use(const quant::WeightContext& context, Weights which, ThreadPool& pool);
  /// gu = J^T gw for every quantized slot, gw being its used_gradient; context of the last use().
  void pull(ThreadPool& pool);
  std::int64_t step() const { return context_.total_step(); }  ///< of the last use()
  void settle(const quant::WeightContext& context, ThreadPool& pool);
  std::size_t memory_bytes() const;

 private:
  struct Copy {
    Content content;
    onednn::Desc desc;
    AlignedBuffer<unsigned short> rounded;  ///< the plain source in bfloat16, if desc is
    AlignedBuffer<std::byte> data;
    std::unique_ptr<onednn::Reorder> reorder;  ///< empty: plain layout, shared with the source
  };
  struct Weight {
    int slot = 0;
    std::unique_ptr<quant::WeightMethod> method;
    std::size_t elements = 0;
    AlignedBuffer<float> used, codes, used_gradient;  ///< empty for a float weight: the latent serves
    std::vector<float> scales;
    bool has_codes = false;  ///< whether `codes` are some, times scales the used values
    std::deque<Copy> copies;
    std::vector<kernels::BitConvolution*> packed;
    std::vector<int> learned_slots;
  };

  /// Whether the slot has used values of its own: every weight, and a quantized bias.
  bool is_weight(const ParameterSlot& slot) const {
    return weight_of_slot_[static_cast<std::size_t>(slot.index)] >= 0;
  }
  std::size_t weight_index(const ParameterSlot& slot) const;
  quant::WeightContext context_for(const Weight& weight, const quant::WeightContext& context) const;
  void add(ParameterSlot slot, int layer);
  void initialize(std::uint64_t seed);
  void refresh(Weight& weight, const quant::WeightContext& context, Weights which);
  const float* source(const Weight& weight, Content content) const;
  void fill(const Weight& weight, Copy& copy) const;

  const model::Graph& graph_;
  std::uint64_t seed_;
  std::vector<ParameterSlot> slots_;
  std::vector<int> layer_of_slot_;
  std::vector<std::vector<float>> initial_of_slot_;  ///< of learned slots
  std::deque<Weight> weights_;
  std::vector<int> weight_of_slot_;
  std::map<int, Statistics> statistics_;
  AlignedBuffer<float> latents_, gradients_;
  quant::WeightContext context_;
};

}  // namespace qtrain::engine
