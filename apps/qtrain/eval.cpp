#include <memory>

#include "commands.hpp"
#include "run/run.hpp"

namespace qtrain::cli {

void add_eval(CLI::App& app, Action& action) {
  const auto request = std::make_shared<run::EvaluationRequest>();
  const auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* verb = app.add_subcommand("eval", "accuracy and speed of a trained net, exactly quantized");
  verb->add_option("FILE", *words,
                   "checkpoint.safetensors, final.safetensors or an exported file, and path=value words laid "
                   "over its spec")
      ->required()
      ->type_name("FILE [path=value ...]");
  verb->add_option("--low-bit", request->low_bit, "execution path of quantized layers, as engine.low_bit")
      ->type_name("PATH");
  verb->add_option("--batch", request->batch,
                   "images a batch (default: as in training); of a text the lanes it is read in, which "
                   "changes its numbers")
      ->type_name("N")
      ->check(CLI::Range(1, 65536));
  verb->add_flag("--json", request->json, "print JSON");
  verb->callback([&action, request, words] {
    request->path = words->front();
    request->overrides.assign(words->begin() + 1, words->end());
    action = [request] { return run::evaluate_file(*request); };
  });
}

void add_export(CLI::App& app, Action& action) {
  const auto from = std::make_shared<std::string>();
  const auto to = std::make_shared<std::string>();
  CLI::App* verb = app.add_subcommand("export", "write a trained net with its quantized weights packed");
  verb->add_option("FILE", *from, "checkpoint.safetensors or final.safetensors")
      ->required()
      ->type_name("FILE");
  verb->add_option("OUT", *to, "file to write")->required()->type_name("OUT.safetensors");
  verb->callback([&action, from, to] { action = [from, to] { return run::export_file(*from, *to); }; });
}

}  // namespace qtrain::cli
