#pragma once
#include <memory>
#include <string>
#include <vector>

#include "run/experiment.hpp"
#include "run/run.hpp"
#include "tensor/safetensors.hpp"
#include "train/trainer.hpp"

namespace qtrain::run {

/// A trained network from a checkpoint, from the weights that a finished run left, or from an exported file,
/// with its exactly quantized weights in use.
class TrainedNet {
 public:
  /// Reads the file and the spec in it, over which `overrides` are laid (`engine.threads=1`,
  /// `dataset.limit.test=64`), and the data, to be evaluated `batch` at a time, 0: as in training. An Error
  /// (data) says what does not fit.
  explicit TrainedNet(const std::string& path, const std::vector<std::string>& overrides = {}, int batch = 0);
  TrainedNet(const TrainedNet&) = delete;
  TrainedNet& operator=(const TrainedNet&) = delete;

  const StageSpec& stage() const { return *stage_; }
  const std::vector<std::string>& warnings() const { return experiment_.warnings; }  ///< of its spec
  const datasets::Loaded& data() const { return loaded_; }
  const datasets::DatasetSpec& loader() const { return loader_; }  ///< for evaluation
  engine::Engine& engine() { return trainer_->engine(); }
  const std::string& spec() const { return file_.metadata.at("spec"); }  ///< JSON, as in the file

 private:
  void take_weights();

  std::string path_;
  SafetensorsFile file_;
  ExperimentSpec experiment_;
  const StageSpec* stage_ = nullptr;
  datasets::DatasetSpec loader_;
  datasets::Loaded loaded_;
  std::unique_ptr<dist::Transport> transport_;
  std::unique_ptr<train::Trainer> trainer_;
};

/// The tensors of an exported file: of each quantized weight w its numbers, levels, scales and bits
/// (quant/packed_weights.hpp) as "w/numbers", "w/levels", "w/scales", "w/bits"; all else as floats.
std::vector<NamedTensor> packed_tensors(engine::Engine& engine);
/// Weights scale * code, a row of codes a scale.
struct StoredWeights {
  std::vector<float> codes, scales;
};
/// The weights of a slot in a file of packed ones, or of plain ones with their scales; an Error (data) if
/// they are not there or do not fit.
StoredWeights stored_weights(const SafetensorsFile& file, const engine::ParameterSlot& slot);

}  // namespace qtrain::run
