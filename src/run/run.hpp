#pragma once
#include <string>
#include <vector>

namespace qtrain::run {

/// What the command line says about a run.
struct Request {
  std::string spec;                    ///< path of the spec
  std::vector<std::string> overrides;  ///< `a.b=value` words
  std::string out;                     ///< run folder; "": runs/<name>-<hash>-s<seed>
  bool resume = false;
  bool skip_done = false;
  bool quiet = false;
};

/// Runs the experiment to its end and leaves its outputs; returns the exit code. Mistakes and failures are
/// Errors.
int run_experiment(const Request& request);

/// Checks specs, `overrides` laid over each; returns 0 or, after printing every mistake on stderr, 2.
int check_specs(const std::vector<std::string>& paths, const std::vector<std::string>& overrides);

/// Compiles the network and prints layers, shapes, parameters, multiply-accumulates, paths, memory and the
/// estimated time of an epoch. Reads no data.
void dry_run(const Request& request);

/// What the command line says about an evaluation.
struct EvaluationRequest {
  std::string path;                    ///< of a checkpoint, the final weights of a run, or an exported file
  std::vector<std::string> overrides;  ///< laid over the spec in it
  std::string low_bit;                 ///< engine.low_bit; "": as in the spec
  int batch = 0;                       ///< images or lanes a batch; 0: as in the spec
  bool json = false;
};

/// Evaluates the exactly quantized network on the test data and prints accuracy, loss, of a language model
/// perplexity, and speed.
int evaluate_file(const EvaluationRequest& request);

/// Writes the network of a checkpoint or final weights to `out`, its quantized weights packed.
int export_file(const std::string& path, const std::string& out);

/// The groups of things a spec can name: weights, activations, ste, ...
std::vector<std::string> list_groups();
/// Names and equations of one group, or of all for "".
std::string list_text(const std::string& group);

/// The spec reference as Markdown, from the documentation that reading a spec records.
std::string reference_text();

}  // namespace qtrain::run
