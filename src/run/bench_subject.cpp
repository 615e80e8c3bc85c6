#include "run/bench_subject.hpp"

#include <chrono>

#include "base/random.hpp"

namespace qtrain::run {

namespace {

constexpr std::int64_t kStepsPerEpoch = 20;  ///< so that a method's rules by epoch are at work too

template <class Work>
double seconds(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

engine::Engine make_engine(const ExperimentSpec& experiment, int threads, int batch) {
  train::Stage stage = training_stage(experiment.stages.front(), experiment.seed);
  stage.options.threads = threads;
  stage.options.batch = batch;
  return {*stage.graph, stage.quantization, stage.loss, stage.options};
}

}  // namespace

BenchSubject::BenchSubject(const ExperimentSpec& experiment, int threads, int batch)
    : stage_(experiment.stages.front()),
      batch_(batch),
      engine_(make_engine(experiment, threads, batch)),
      updater_(engine_, stage_.train.optimizer),
      images_(static_cast<std::size_t>(batch) * element_count(stage_.graph.input)) {
  const model::Graph& graph = stage_.graph;
  const auto classes = static_cast<std::uint32_t>(graph.classes);
  const bool text = train::is_language_model(graph);
  RandomStream random(1, Purpose::test);
  for (float& x : images_) x = text ? static_cast<float>(random.below(classes)) : random.normal();
  for (int n = 0; n < batch_ * graph.targets; ++n)
    labels_.push_back(static_cast<std::int32_t>(random.below(classes)));
  engine_.start_sequences(batch_);
}

double BenchSubject::train_seconds() {
  quant::WeightContext context;
  context.step = step_++;
  context.steps_per_epoch = kStepsPerEpoch;
  context.learning_rate = context.base_learning_rate = stage_.train.optimizer.learning_rate;
  context.second_moment = updater_.second_moment();
  const double step = seconds([&] {
    engine_.use_weights(context);
    passes_ += seconds([&] { engine_.train(images_, labels_); });
    engine_.pull_gradients();
    updater_.step(context.learning_rate, context.step);
    engine_.settle(context);
  });
  whole_ += step;
  return step;
}

void BenchSubject::reset_times() {
  engine_.reset_profile();
  whole_ = passes_ = 0;
}

BenchSubject::Times BenchSubject::times() const {
  return {.whole = whole_, .updates = whole_ - passes_, .passes = engine_.profile()};
}

double BenchSubject::evaluate_seconds() {
  return seconds([&] { engine_.evaluate(images_, labels_); });
}

}  // namespace qtrain::run
