#include "run/trained_net.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "quant/packed_weights.hpp"
#include "run/run_file.hpp"
#include "train/checkpoint.hpp"

namespace qtrain::run {
namespace {

constexpr const char* kPosition = "trainer/position";  // only checkpoints have it

/// Keys that decide which tensors a file has.
constexpr std::array<std::string_view, 5> kOfTheNet = {"model", "quantize", "train", "stages",
                                                       "dataset.name"};

std::size_t weights_of(const engine::ParameterSlot& slot) { return element_count(slot.shape); }

NamedTensor bytes_tensor(std::string name, const std::vector<std::byte>& bytes) {
  return {.name = std::move(name),
          .dtype = Dtype::u8,
          .shape = {narrow<std::int64_t>(bytes.size())},
          .bytes = bytes};
}

const NamedTensor& find(const SafetensorsFile& file, const std::string& name) {
  const NamedTensor* tensor = file.find(name);
  if (tensor == nullptr)
    fail(ExitCode::data, "it has no tensor '{}': it is not of this program's training", name);
  return *tensor;
}

/// A file whose tensors are not those of `experiment`: by the words over its spec, if they change any of it.
[[noreturn]] void fail_unfit(const std::string& path, const std::string& spec,
                             const ExperimentSpec& experiment, const std::string& reason) {
  spec::Document own = spec::Document::parse(spec, path);
  std::vector<std::string> keys = differing_keys(read_experiment(own).resolved, experiment.resolved);
  std::erase_if(keys, [](const std::string& key) {
    return std::ranges::none_of(kOfTheNet, [&](std::string_view part) { return key.starts_with(part); });
  });
  if (keys.empty()) fail(ExitCode::data, "{}: {}", path, reason);
  fail(ExitCode::usage, "the words make another net than that of {}: leave out those that change {} ({})",
       path, listed_keys(keys), reason);
}

}  // namespace

std::vector<NamedTensor> packed_tensors(engine::Engine& engine) {
  std::vector<NamedTensor> tensors;
  for (const engine::ParameterSlot& slot : engine.slots()) {
    if (slot.method == nullptr) {
      tensors.push_back(NamedTensor::of(slot.file_name, slot.shape, engine.used(slot)));
      continue;
    }
    const quant::PackedWeights packed =
        quant::pack_weights(engine.codes(slot), engine.scales(slot), narrow<std::size_t>(slot.shape.at(0)));
    const std::vector<std::int64_t> bits = {packed.bits};
    tensors.push_back(bytes_tensor(slot.name + "/numbers", packed.numbers));
    tensors.push_back(train::flat_tensor(slot.name + "/levels", packed.levels));
    tensors.push_back(train::flat_tensor(slot.name + "/scales", packed.scales));
    tensors.push_back(NamedTensor::of(slot.name + "/bits", {1}, std::span<const std::int64_t>(bits)));
  }
  for (const engine::StatisticsSlot& slot : engine.statistics())
    tensors.push_back(train::flat_tensor(slot.name, slot.values));
  return tensors;
}

StoredWeights stored_weights(const SafetensorsFile& file, const engine::ParameterSlot& slot) {
  const std::size_t count = weights_of(slot);
  StoredWeights stored{.codes = std::vector<float>(count), .scales = {1}};
  if (file.find(slot.name + "/bits") != nullptr) {
    quant::PackedWeights packed;
    const std::vector<std::int64_t> bits = find(file, slot.name + "/bits").integers();
    if (bits.size() == 1) packed.bits = narrow<int>(bits.front());
    packed.levels = find(file, slot.name + "/levels").floats();
    packed.scales = find(file, slot.name + "/scales").floats();
    packed.numbers = find(file, slot.name + "/numbers").bytes;
    quant::unpack_codes(packed, narrow<std::size_t>(slot.shape.at(0)), stored.codes);
    stored.scales = std::move(packed.scales);
    return stored;
  }
  stored.codes = find(file, slot.file_name).floats();
  if (stored.codes.size() != count)
    fail(ExitCode::data, "its tensor '{}' has {} values, must have {}", slot.name, stored.codes.size(),
         count);
  if (slot.method == nullptr) return stored;
  const std::vector<float> scales = find(file, slot.name + "/scales").floats();
  if (scales.empty() || count % scales.size() != 0)
    fail(ExitCode::data, "its tensor '{}/scales' has {} values for {} weights", slot.name, scales.size(),
         count);
  StoredWeights divided{.codes = stored.codes, .scales = scales};
  for (std::size_t i = 0; i < count; ++i) {
    const float scale = scales[i / (count / scales.size())];
    divided.codes[i] = scale == 0 ? 0 : std::nearbyint(stored.codes[i] / scale) + 0.0F;  // no -0
    if (divided.codes[i] * scale != stored.codes[i]) return stored;  // no codes: the weights themselves
  }
  return divided;
}

TrainedNet::TrainedNet(const std::string& path, const std::vector<std::string>& overrides, int batch)
    : path_(path), file_(load_run_file(path)), transport_(dist::make_simulated(1)) {
  if (!file_.metadata.contains("spec"))
    fail(ExitCode::data, "{} holds no spec: it is no file of a run, nor an exported one", path);
  spec::Document document = spec::Document::parse(spec(), path, overrides);
  experiment_ = read_experiment(document);
  const bool checkpoint = file_.find(kPosition) != nullptr;
  const int last = narrow<int>(experiment_.stages.size()) - 1;
  const int index = checkpoint ? train::Trainer::stage_of(file_) : last;
  if (index < 0 || index > last)
    fail_unfit(path, spec(), experiment_,
               fmt::format("it stands in stage {}, which its spec has not", index + 1));
  StageSpec& stage = experiment_.stages[narrow<std::size_t>(index)];
  loader_ = stage.dataset;
  if (train::is_language_model(stage.graph))  // a text is read in as many lanes as in the run
    loader_.batch_size = training_stage(stage, experiment_.seed).options.batch;
  if (batch > 0) loader_.batch_size = batch;
  stage.workers = {};  // what workers had of their own does not matter any more
  stage_ = &stage;
  loaded_ = datasets::load(stage.dataset);
  train::Stage setup = training_stage(stage, experiment_.seed);
  setup.transport = transport_.get();
  setup.index = index;
  setup.options.batch = loader_.batch_size;  // training's own stays: epochs are counted by it
  trainer_ = std::make_unique<train::Trainer>(std::move(setup), loaded_.dataset);
  try {
    if (checkpoint) {
      trainer_->restore(file_);
      trainer_->finalize();
    } else {
      take_weights();
    }
  } catch (const Error& error) {
    fail_unfit(path, spec(), experiment_, error.what());
  }
}

void TrainedNet::take_weights() {
  engine::Engine& engine = trainer_->engine();
  for (const engine::ParameterSlot& slot : engine.slots()) {
    const StoredWeights stored = stored_weights(file_, slot);
    engine.set_used(slot, stored.codes, stored.scales);
  }
  for (const engine::StatisticsSlot& slot : engine.statistics())
    train::restore_floats(file_, slot.name, slot.values);
  engine.use_weights({}, engine::Weights::set);
}

}  // namespace qtrain::run
