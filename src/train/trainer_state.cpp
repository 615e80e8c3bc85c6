// What a checkpoint holds of a stage, and how it is taken back.
#include <algorithm>
#include <array>
#include <iterator>

#include "base/cast.hpp"
#include "train/checkpoint.hpp"
#include "train/trainer.hpp"

namespace qtrain::train {
namespace {

// stage, epoch, batch, step, correct, count, then the five numbers of the traffic
constexpr const char* kPosition = "trainer/position";
constexpr const char* kLoss = "trainer/loss";  // sum of the epoch so far
constexpr std::size_t kPositionSize = 11;
// Of validation, only for schedules that want it.
constexpr const char* kLowest = "trainer/lowest_loss";
constexpr const char* kPlateaus = "trainer/plateaus";

std::string state_name(const engine::ParameterSlot& slot, std::size_t index) {
  return "method/" + slot.name + "/" + std::to_string(index);
}

}  // namespace

std::vector<NamedTensor> Trainer::save() {
  std::vector<NamedTensor> tensors;
  for (const engine::ParameterSlot& slot : engine_.slots()) {
    const std::span<const float> u = engine_.latents().subspan(slot.offset, slot.size);
    const Shape flat = {narrow<std::int64_t>(slot.size)};
    tensors.push_back(
        NamedTensor::of(slot.file_name, element_count(slot.shape) == slot.size ? slot.shape : flat, u));
  }
  for (const engine::StatisticsSlot& slot : engine_.statistics())
    tensors.push_back(flat_tensor(slot.name, slot.values));
  updater_.save(tensors);
  average_.save(tensors);
  weight_watch_.save(tensors);
  for (const engine::ParameterSlot& slot : engine_.slots()) {
    if (slot.method == nullptr) continue;
    const std::vector<std::span<float>> states = slot.method->state();
    for (std::size_t i = 0; i < states.size(); ++i)
      tensors.push_back(flat_tensor(state_name(slot, i), states[i]));
  }
  std::ranges::move(workers_.save(), std::back_inserter(tensors));
  if (within_epoch()) std::ranges::move(workers_.save_carried(lanes()), std::back_inserter(tensors));
  if (stage_.schedule->schedule->wants_validation()) {
    tensors.push_back(NamedTensor::of(kLowest, {1}, std::span<const double>(&validation_.lowest, 1)));
    tensors.push_back(
        NamedTensor::of(kPlateaus, {1}, std::span<const std::int64_t>(&validation_.plateaus, 1)));
  }
  const std::array<std::int64_t, kPositionSize> position = {stage_.index,
                                                            position_.epoch,
                                                            position_.batch,
                                                            position_.step,
                                                            sums_.correct,
                                                            sums_.count,
                                                            traffic_.steps,
                                                            traffic_.sent,
                                                            traffic_.sent_in_floats,
                                                            traffic_.received,
                                                            traffic_.received_in_floats};
  tensors.push_back(NamedTensor::of(kPosition, {kPositionSize}, std::span<const std::int64_t>(position)));
  tensors.push_back(NamedTensor::of(kLoss, {1}, std::span<const double>(&sums_.loss, 1)));
  return tensors;
}

void Trainer::restore(const SafetensorsFile& file) {
  for (const engine::ParameterSlot& slot : engine_.slots())
    restore_floats(file, slot.file_name, engine_.latents().subspan(slot.offset, slot.size));
  for (const engine::StatisticsSlot& slot : engine_.statistics())
    restore_floats(file, slot.name, slot.values);
  updater_.restore(file);
  average_.restore(file);
  weight_watch_.restore(file);
  for (const engine::ParameterSlot& slot : engine_.slots()) {
    if (slot.method == nullptr) continue;
    const std::vector<std::span<float>> states = slot.method->state();
    for (std::size_t i = 0; i < states.size(); ++i) restore_floats(file, state_name(slot, i), states[i]);
  }
  workers_.restore(file);
  const std::vector<std::int64_t> position = checkpoint_tensor(file, kPosition, kPositionSize).integers();
  if (position[0] != stage_.index)
    fail(ExitCode::data, "the checkpoint is of stage {}, not {}", position[0], stage_.index);
  const std::int64_t batches = train_loader_.batches_per_epoch();
  const bool possible = position[1] >= 0 && position[1] <= stage_.epochs && position[2] >= 0 &&
                        position[2] <= batches &&
                        (position[2] == 0 || position[3] == position[1] * batches + position[2]);
  if (!possible)
    fail(ExitCode::data,
         "the checkpoint stands at epoch {}, batch {}, step {}, which cannot be: start the run anew",
         position[1], position[2], position[3]);
  // Steps are counted anew: another number of workers may make other batches of an epoch.
  position_ = {.epoch = position[1], .batch = position[2], .step = position[1] * batches + position[2]};
  if (within_epoch()) workers_.restore_carried(file, lanes());
  if (stage_.schedule->schedule->wants_validation())
    validation_ = {.lowest = checkpoint_tensor(file, kLowest, 1).doubles()[0],
                   .plateaus = checkpoint_tensor(file, kPlateaus, 1).integers()[0]};
  traffic_ = {.steps = position[6],
              .sent = position[7],
              .sent_in_floats = position[8],
              .received = position[9],
              .received_in_floats = position[10]};
  sums_ = {
      .loss = checkpoint_tensor(file, kLoss, 1).doubles()[0], .correct = position[4], .count = position[5]};
}

int Trainer::stage_of(const SafetensorsFile& file) {
  return narrow<int>(checkpoint_tensor(file, kPosition, kPositionSize).integers()[0]);
}

}  // namespace qtrain::train
