#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "datasets/dataset.hpp"
#include "engine/engine.hpp"
#include "run/experiment.hpp"
#include "train/trainer.hpp"

namespace qtrain::run {

using Json = nlohmann::ordered_json;

/// exp(loss) of a loss in nats a token; null if that is no finite number.
Json perplexity(const Json& loss);

/// One row of `.epochs` and one line of history.jsonl. Language models have perplexities beside their losses.
Json epoch_row(const train::EpochRecord& record, bool language_model);

/// `.dataset`: what was asked for and what was used.
Json dataset_section(const datasets::DatasetSpec& asked, const datasets::Loaded& loaded);

/// `.model`: parameters, multiply-accumulates and, per layer, shapes, bits and the codebook of quantized
/// weights (their distinct values in use, if at most 16). Call with exactly quantized weights in use.
Json model_section(const model::Graph& graph, const engine::Engine& engine);

/// `.communication`: bytes that workers sent and received, per step and in all, and their share of what
/// float32 would take; null when nothing was exchanged.
Json communication_section(const dist::WorkerSpec& workers, const std::vector<Json>& rows);

/// What the rows of a run have besides what all have.
struct RowKinds {
  bool language_model = false;  ///< perplexities
  bool tested = false;          ///< the test split, validation being on images held out
};

/// `.result` from `initial` (the evaluation of a last stage without epochs) if not null, else from the last
/// row. `status` is "done" or "diverged". `best_epoch`, of the last stage, has the highest val_accuracy, of a
/// language model the lowest val_perplexity, the last of equals. Test numbers at the best val are of the
/// epoch whose validation was best with the same weights, exactly quantized ones or those of training.
Json result_section(const std::string& status, const std::vector<Json>& rows, const Json& initial,
                    const RowKinds& kinds);

/// `.expected`: null without an expectation, else it and whether `.result`, of a run that was done, meets it.
Json expected_section(const ExperimentSpec& experiment, const Json& result);

/// Adds host, cpu and versions.
void add_machine(Json& timing);

/// What timing.json holds of one run.
Json timing_document(const model::Graph& graph, const engine::Engine& engine, const train::Clock& clock,
                     double seconds);

/// The table shown at the end of a run, a line an entry.
std::vector<std::string> result_table(const Json& metrics);

}  // namespace qtrain::run
