#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/affine.hpp"
#include "engine/engine.hpp"
#include "engine/parameters.hpp"
#include "engine/program.hpp"
#include "engine/sequence_steps.hpp"
#include "engine/steps.hpp"
#include "engine/threshold_step.hpp"
#include "kernels/bit_convolution.hpp"

namespace qtrain::engine {

/// What computes a layer's forward product: the numbers of Precision, one-byte codes, bit planes.
enum class Path { floats, int8, bitwise };

/// A layer's path, and the seconds of those it was chosen from, if they were measured.
struct PathChoice {
  Path path = Path::floats;
  std::vector<std::pair<Path, double>> seconds{};
};

/// What the programs of one engine (training, its short last shard, evaluation) have in common. Affines are
/// shared by position: every program lowers the same graph in the same order.
struct Shared {
  const model::Graph& graph;
  std::vector<Shape> shapes;  ///< per layer, of one image
  Loss loss;
  std::uint64_t seed = 1;
  int threads = 1;
  LowBit low_bit = LowBit::automatic;
  Precision precision = Precision::float32;
  bool keep_statistics = false;
  int shards = 1;  ///< most shards a batch can have
  Parameters& parameters;
  Machine& machine;
  std::map<int, ActivationUnit> units{};  ///< by activation layer
  std::deque<Affine> affines{};
  std::vector<LossPartial> losses{};  ///< [shard]
  /// The shards' gradients of one weight tensor and their sum, made range by range.
  struct WeightGradient {
    struct Range {
      std::size_t first = 0, count = 0;
      std::vector<const float*> partials{};  ///< [shard], filled for each batch
    };
    onednn::Desc desc;                    ///< of every shard's partial
    const ActivationUnit* src = nullptr;  ///< whose scale the partials lack
    std::vector<Range> ranges;
    AlignedBuffer<float> own_sum;               ///< if the partials are not in the parameters' layout
    std::span<float> sum;                       ///< that, or the parameters' own
    std::unique_ptr<onednn::Reorder> to_plain;  ///< from own_sum
  };
  std::map<int, WeightGradient> gradients{};  ///< by slot
  std::unique_ptr<quant::PropagatedQuantizer> propagated{};
  std::map<int, Carried> carried{};              ///< by recurrent layer
  std::map<int, std::string> implementations{};  ///< by layer, see LayerInfo
  std::map<int, PathChoice> paths{};             ///< by layer, of those with codes on both sides
  std::map<std::string, PathChoice> measured{};  ///< by a description of the product
  /// By layer and images a call, 0: any number.
  std::map<std::pair<int, int>, std::unique_ptr<kernels::BitConvolution>> bit_convolutions{};
};

/// float_evaluation: for weights that are no codes, though in training they are.
enum class Mode { training, evaluation, float_evaluation };

/// A program and where it leaves its results.
struct Compiled {
  explicit Compiled(int images) : program(images) {}
  Program program;
  TensorId logits = -1;                            ///< [images][classes], kept
  std::vector<std::pair<int, TensorId>> partials;  ///< weight slot, this shard's gradient
  std::vector<ElementwiseForward*> to_prepare;     ///< before an evaluation
  std::uint64_t prepared = 0;                      ///< for which state of the engine they are
};

/// Lowers the graph to steps for shards of `images` images.
std::unique_ptr<Compiled> compile(Shared& shared, int images, Mode mode);

/// Says by which path a layer computes, once it is compiled.
void describe_path(const Shared& shared, int layer, LayerInfo& row);

}  // namespace qtrain::engine
