#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/error.hpp"
#include "run/bench.hpp"

int main(int argc, char** argv) {
  qtrain::run::BenchRequest request;
  CLI::App app("Times ResNet-20 training beside oneDNN's bare convolutions and a peer.", "qtrain_bench");
  app.add_option("--threads", request.threads, "threads of engine and convolutions")
      ->check(CLI::Range(1, 1024));
  app.add_option("--batch", request.batch, "images a batch")->check(CLI::Range(1, 4096));
  app.add_option("--rounds", request.rounds, "rounds of engine, convolutions and peer in turn")
      ->check(CLI::Range(1, 100));
  app.add_option("--steps", request.steps, "training steps a round")->check(CLI::Range(1, 1000));
  app.add_option("--precision", request.precision, "engine.precision: float32 or bfloat16");
  app.add_option("--peer", request.peer, "command that prints a JSON line with train_images_per_second");
  bool methods = false, bits = false, inference = false, language_model = false;
  auto* only_methods = app.add_flag("--methods", methods, "the cost of each method instead");
  app.add_flag("--bits", bits, "the convolutions of bit planes instead")->excludes(only_methods);
  app.add_flag("--inference", inference, "inference by execution path instead")->excludes(only_methods);
  app.add_flag("--language-model", language_model,
               "training of an LSTM instead; the peer is asked for train_tokens_per_second")
      ->excludes(only_methods);
  CLI11_PARSE(app, argc, argv);
  try {
    if (methods)
      qtrain::run::benchmark_methods(request);
    else if (bits)
      qtrain::run::benchmark_bits(request);
    else if (language_model)
      qtrain::run::benchmark_language_model(request);
    else if (inference)
      qtrain::run::benchmark_inference(request);
    else
      qtrain::run::benchmark(request);
    return 0;
  } catch (const qtrain::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
