#include "run/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <csignal>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/words.hpp"
#include "run/json_text.hpp"
#include "run/run_file.hpp"
#include "run/signals.hpp"
#include "train/weights.hpp"

namespace qtrain::run {
namespace {

constexpr const char* kCheckpoint = "checkpoint.safetensors";

[[noreturn]] void fail_foreign(const std::string& key) {
  fail(ExitCode::data, "{} holds no '{}' of this program: start the run anew", kCheckpoint, key);
}

/// A metadata entry that must be JSON; an Error (data) if it is not.
Json metadata_json(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata.find(key);
  Json value = found == file.metadata.end() ? Json(Json::value_t::discarded)
                                            : Json::parse(found->second, nullptr, false);
  if (value.is_discarded()) fail_foreign(key);
  return value;
}

/// One that must be a list of what `is` says.
Json metadata_list(const SafetensorsFile& file, const std::string& key, bool (Json::*is)() const noexcept) {
  Json list = metadata_json(file, key);
  if (!list.is_array() || !std::ranges::all_of(list, [is](const Json& item) { return (item.*is)(); }))
    fail_foreign(key);
  return list;
}

std::string accuracies(const train::EpochRecord& record) {
  const auto percent = [](double fraction) { return fmt::format("{:.2f} %", 100 * fraction); };
  const std::string test =
      record.test ? fmt::format("  quantized test {:>7}", percent(record.test->quantized_accuracy)) : "";
  return fmt::format("train {:>7}  val {:>7}  quantized {:>7}{}", percent(record.train_accuracy),
                     percent(record.val_accuracy), percent(record.quantized_val_accuracy), test);
}

std::string perplexities(const train::EpochRecord& record) {
  return fmt::format("train ppl {:.2f}  val ppl {:.2f}  quantized ppl {:.2f}", std::exp(record.train_loss),
                     std::exp(record.val_loss), std::exp(record.quantized_val_loss));
}

}  // namespace

Session::Session(const ExperimentSpec& experiment, std::int64_t seed, const datasets::Loaded& loaded,
                 const std::filesystem::path& path, Folder* folder, dist::Transport& transport,
                 Console& console)
    : experiment_(experiment),
      seed_(seed),
      loaded_(loaded),
      path_(path),
      folder_(folder),
      transport_(transport),
      console_(console),
      language_model_(train::is_language_model(experiment.stages.front().graph)),
      resolved_(resolved_for_seed(experiment, seed)) {}

void Session::resume() {
  if (std::filesystem::exists(path_ / kCheckpoint)) {
    checkpoint_ = load_run_file(path_ / kCheckpoint);
    std::vector<std::string> keys = differing_keys(metadata_json(checkpoint_, "spec"), resolved_);
    const bool other_count =
        std::erase_if(keys, [](const std::string& key) { return key.ends_with("workers.count"); }) > 0;
    if (!keys.empty())
      fail(ExitCode::usage, "{} is of another spec, choose another folder with --out; these keys differ: {}",
           (path_ / kCheckpoint).string(), listed_keys(keys));
    if (other_count)
      console_.warn("going on with another number of workers: not the numbers of an uninterrupted run");
    if (metadata_json(checkpoint_, "dataset") != dataset_section(experiment_.stages.front().dataset, loaded_))
      fail(ExitCode::data, "{} was trained on other data: use the same data set files",
           (path_ / kCheckpoint).string());
    for (const Json& row : metadata_list(checkpoint_, "history", &Json::is_object)) history_.push_back(row);
    if (checkpoint_.metadata.contains("init")) initial_net_.sha256 = metadata_json(checkpoint_, "init");
    const Json clock = metadata_list(checkpoint_, "clock", &Json::is_number);
    if (clock.size() != 5) fail_foreign("clock");
    clock_ = {clock.at(0), clock.at(1), clock.at(2), clock.at(3)};
    earlier_seconds_ = clock.at(4);
    first_stage_ = train::Trainer::stage_of(checkpoint_);
    if (first_stage_ < 0 || first_stage_ >= static_cast<int>(experiment_.stages.size()))
      fail(ExitCode::data, "{} stands in stage {}, which is not: start the run anew", kCheckpoint,
           first_stage_ + 1);
    console_.say(fmt::format("resuming after {}", counted(history_.size(), "epoch")));
    if (is_of_another_program(checkpoint_))
      console_.warn("going on with another build of the program: not the numbers of an uninterrupted run");
  }
  if (folder_ != nullptr) folder_->write_history(history_);
}

const Json& Session::find_initial_net() {
  if (checkpoint_.tensors.empty()) initial_net_ = load_initial_net(experiment_.stages.front());
  return initial_net_.sha256;
}

/// A single process looks at its own signals; several go by what they agreed on.
bool Session::must_stop() const { return transport_.alone() ? stop_signal() != 0 : stop_agreed_; }

int Session::epochs_before(int stage) const {
  int epochs = 0;
  for (int i = 0; i < stage; ++i) epochs += experiment_.stages[static_cast<std::size_t>(i)].train.epochs;
  return epochs;
}

std::int64_t Session::steps_before(int stage) const {
  std::int64_t steps = 0;
  for (int i = 0; i < stage; ++i) {
    const StageSpec& before = experiment_.stages[static_cast<std::size_t>(i)];
    const int of_epoch = before.loader.steps_per_epoch(*datasets::find(loaded_.dataset.name));
    steps += std::int64_t{before.train.epochs} * of_epoch;
  }
  return steps;
}

double Session::seconds() const {
  return earlier_seconds_ +
         std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
}

train::Trainer Session::make_trainer(int stage) const {
  train::Stage setup = training_stage(experiment_.stages[static_cast<std::size_t>(stage)], seed_);
  setup.transport = &transport_;
  setup.index = stage;
  setup.first_epoch = epochs_before(stage);
  setup.first_step = steps_before(stage);
  return train::Trainer(std::move(setup), loaded_.dataset);
}

/// Puts the trainer where the checkpoint, the stage before, or `model.init` and `quantize.init` say.
void Session::start_stage(train::Trainer& trainer, int stage) {
  const StageSpec& first = experiment_.stages.front();
  if (!checkpoint_.tensors.empty())
    trainer.restore(checkpoint_);
  else if (stage > 0)
    trainer.start_from(carried_, fmt::format("the end of stage {}", stage));
  else if (!first.model.init.empty())
    trainer.start_from(initial_tensors(initial_net_, first, trainer.engine()), first.model.init);
  checkpoint_ = {};
  initial_net_.weights = initial_net_.quantizers = {};
}

/// Which path each layer that had a choice takes, and why.
void Session::log_paths(const engine::Engine& engine) {
  for (const engine::LayerInfo& layer : engine.layers()) {
    if (layer.measured.empty()) continue;
    std::string times;
    for (const auto& [path, time] : layer.measured) times += fmt::format(", {} {:.3f}", path, 1e3 * time);
    console_.log(fmt::format("{} computes {}; milliseconds a shard{}", layer.name, layer.path, times));
  }
}

int Session::run() {
  const int stages = static_cast<int>(experiment_.stages.size());
  for (int stage = first_stage_; stage < stages; ++stage) {
    train::Trainer trainer = make_trainer(stage);
    start_stage(trainer, stage);
    log_paths(trainer.engine());
    trainer.add_to_clock(clock_);
    if (const std::optional<int> code = run_stage(trainer, stage)) return *code;
    carried_ = trainer.carried();
    clock_ = trainer.clock();
  }
  return static_cast<int>(ExitCode::done);
}

/// The exit code when stopped or diverged; the latter leaves metrics.
std::optional<int> Session::run_stage(train::Trainer& trainer, int stage) {
  const train::Asked asked = [] {
    return (stop_signal() != 0 ? train::Requests::stop : 0U) |
           (take_checkpoint_request() ? train::Requests::checkpoint : 0U);
  };
  const auto watch = [&](const train::Progress& progress) { return after_batch(trainer, progress); };
  const bool last_stage = stage + 1 == static_cast<int>(experiment_.stages.size());
  try {
    bool stopped = false;
    while (!stopped && !trainer.finished()) {
      const std::optional<train::EpochRecord> record = trainer.run_epoch(watch, asked);
      if (record) finish_epoch(trainer, *record);
      stopped = !record || (must_stop() && !(last_stage && trainer.finished()));
      if (stopped && !record) save_checkpoint(trainer);
    }
    if (!stopped && last_stage && experiment_.stages.back().train.epochs == 0) {
      const std::optional<train::EpochRecord> record = trainer.evaluate(watch);
      stopped = !record;
      if (record) initial_ = epoch_row(*record, language_model_);
      for (const char* of_training : {"train_loss", "train_perplexity", "train_accuracy"})
        initial_.erase(of_training);
      if (record) save_checkpoint(trainer);
    }
    if (stopped) {
      const int signal = stop_signal() != 0 ? stop_signal() : SIGTERM;
      const char* name = signal == SIGINT ? "SIGINT" : "SIGTERM";
      console_.warn(fmt::format("stopped by {} after {}, the checkpoint is written: go on with --resume",
                                name, trainer.place()));
      return 128 + signal;
    }
  } catch (const train::Diverged& diverged) {
    const Json failure = {{"epoch", diverged.epoch}, {"step", diverged.step}, {"layer", diverged.layer}};
    console_.warn(diverged.what());
    write_outputs(trainer, "diverged", failure);
    return static_cast<int>(ExitCode::diverged);
  }
  if (last_stage) write_outputs(trainer, "done", nullptr);
  return std::nullopt;
}

bool Session::after_batch(train::Trainer& trainer, const train::Progress& progress) {
  const int epochs = epochs_before(static_cast<int>(experiment_.stages.size()));
  const double done = progress.epoch - 1 + static_cast<double>(progress.batch) / progress.batches;
  const datasets::Dataset& data = loaded_.dataset;
  const double targets =
      language_model_ ? static_cast<double>(data.train_text.tokens.size()) : data.train.count;
  console_.progress(progress, language_model_ ? "tokens" : "images", epochs, (epochs - done) * targets);
  if ((progress.requests & train::Requests::checkpoint) != 0) {
    save_checkpoint(trainer);
    console_.say(fmt::format("checkpoint written at epoch {}, batch {}", progress.epoch, progress.batch));
  }
  stop_agreed_ = stop_agreed_ || (progress.requests & train::Requests::stop) != 0;
  return !must_stop();
}

void Session::finish_epoch(train::Trainer& trainer, const train::EpochRecord& record) {
  history_.push_back(epoch_row(record, language_model_));
  if (folder_ != nullptr) folder_->append_history(history_.back());
  save_checkpoint(trainer);
  const int epochs = epochs_before(static_cast<int>(experiment_.stages.size()));
  const train::Clock& clock = trainer.clock();
  const double rate =
      clock.train_seconds > 0 ? static_cast<double>(clock.train_targets) / clock.train_seconds : 0;
  const double epoch_seconds = seconds() / static_cast<double>(history_.size());
  console_.say(fmt::format("epoch {:>3}/{}  loss {:.4f}  {}  {:.0f} {}/s  left {}", record.epoch, epochs,
                           record.train_loss, language_model_ ? perplexities(record) : accuracies(record),
                           rate, language_model_ ? "tokens" : "images",
                           duration_text(epoch_seconds * (epochs - record.epoch))));
}

void Session::save_checkpoint(train::Trainer& trainer) {
  const train::Clock& clock = trainer.clock();
  const Json times = {clock.train_seconds, clock.eval_seconds, clock.train_targets, clock.eval_targets,
                      seconds()};
  SafetensorsFile file;
  file.tensors = trainer.save();
  if (folder_ == nullptr) return;
  file.metadata["spec"] = compact_text(resolved_);
  file.metadata["dataset"] = compact_text(dataset_section(experiment_.stages.front().dataset, loaded_));
  if (!initial_net_.sha256.is_null()) file.metadata["init"] = compact_text(initial_net_.sha256);
  file.metadata["history"] = compact_text(history_);
  file.metadata["clock"] = compact_text(times);
  sign_by_program(file);
  save_run_file(*folder_ / kCheckpoint, file);
}

void Session::write_outputs(train::Trainer& trainer, const std::string& status, const Json& failure) {
  if (folder_ == nullptr) return;
  const StageSpec& last = experiment_.stages.back();
  if (status == "done") trainer.finalize();
  metrics_["schema"] = 1;
  metrics_["name"] = experiment_.name;
  metrics_["spec"] = resolved_;
  metrics_["dataset"] = dataset_section(last.dataset, loaded_);
  if (!initial_net_.sha256.is_null()) metrics_["init_sha256"] = initial_net_.sha256;
  metrics_["model"] = model_section(last.graph, trainer.engine());
  const Json communication = communication_section(last.workers, history_);
  if (!communication.is_null()) metrics_["communication"] = communication;
  metrics_["epochs"] = history_;
  metrics_["result"] =
      result_section(status, history_, initial_,
                     {.language_model = language_model_, .tested = loaded_.dataset.held_out.count > 0});
  if (!failure.is_null()) metrics_["result"]["failure"] = failure;
  metrics_["expected"] = expected_section(experiment_, metrics_["result"]);
  if (status == "done") {
    SafetensorsFile file;
    file.tensors = train::used_tensors(trainer.engine());
    file.metadata["spec"] = compact_text(resolved_);
    save_run_file(*folder_ / "final.safetensors", file);
  }
  write_whole(*folder_ / "timing.json",
              indented_text(timing_document(last.graph, trainer.engine(), trainer.clock(), seconds())));
  write_whole(*folder_ / "metrics.json", indented_text(metrics_));
}

}  // namespace qtrain::run
