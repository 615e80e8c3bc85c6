// Two classes in subspaces of R^4 that meet at an angle, and a network with one quantized hidden layer: the
// synthetic experiment of Long, Yin, Xin, "Learning Quantized Neural Nets by Coarse Gradient Method for
// Non-Linear Classification", Research in the Mathematical Sciences 2021 (arXiv:2011.11256).
//
//   class 1 in span(e1, sin(t) e2 + cos(t) e3), class 2 in span(e3, e4); t: the angle
//   880 points of each: r (cos(f) a + sin(f) b), r in {1, 1.1, ..., 2}, f = j pi / 40, j = 1..80
//   h_j = <w_j, x>, o_i = sum_j v_ij sigma(h_j)       sigma(h) = min(max(ceil(h), 0), q), q = 2^bits - 1
//   v_1j = 1/2 in the first half of the hidden units, v_2j = 1/2 in the second, else 0; not trained
//   l = max(0, 1 - o_y + o_other)                     predicted: the class of the larger o, 1 in a tie
//   w_j = w_j + rate mean( (v_yj - v_other,j) 1{l > 0} g'(h_j) x )      over all points; g': the STE
//
// noise is the standard deviation of what is added to each coordinate of a point, init_deviation that of the
// initial w_j. A run ends at the first iteration with zero loss, or after `iterations`. A row is the state
// before a step; norm is Frobenius'. The STEs of the paper's class are relu, reverse_exponential and
// log_tailed_relu; clipped_relu is that of relu as long as no h exceeds q; identity lies outside.
//
// Remembered, not read: the setting, but for the abstract. Ours: init_deviation and the limit of iterations.
#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "labs/lab.hpp"
#include "labs/ste_list.hpp"
#include "labs/subspace_net.hpp"

namespace qtrain::labs {
namespace {

struct Options {
  std::vector<double> angles = {90, 60, 45, 30, 15};
  SteList stes{.names = {"relu"}, .make = {}};
  SubspaceSetting net;
  double learning_rate = 1;
  int iterations = 3000;
  LogSteps log;
};

class SubspaceClassifier final : public Lab {
 public:
  explicit SubspaceClassifier(Options options) : options_(std::move(options)) {}

  std::vector<Json> cases() const override {
    std::vector<Json> list;
    for (const std::string& ste : options_.stes.names)
      for (const double angle : options_.angles) list.push_back({{"ste", ste}, {"angle", angle}});
    return list;
  }
  LabRun run(std::size_t index, std::uint64_t seed, const Watch& watch) const override {
    const std::size_t angles = options_.angles.size();
    SubspaceNet net(options_.net, options_.angles[index % angles], options_.stes.make[index / angles](),
                    seed);
    LabRun run;
    for (int t = 0;; ++t) {
      watch();
      const SubspaceNet::Outcome now = net.forward();
      const bool converged = now.loss == 0;
      const bool ends = converged || t == options_.iterations || !std::isfinite(net.norm());
      if (ends || options_.log.contains(t))
        run.rows.push_back(
            {{"iteration", t}, {"loss", now.loss}, {"accuracy", now.accuracy}, {"norm", net.norm()}});
      if (ends) {
        run.result = {{"converged", converged}, {"iterations", converged ? Json(t) : Json()}};
        for (const char* key : {"loss", "accuracy", "norm"}) run.result[key] = run.rows.back()[key];
        return run;
      }
      net.step(options_.learning_rate);
    }
  }

 private:
  Options options_;
};

}  // namespace

namespace problems {

std::unique_ptr<Lab> read_subspace_classifier(spec::Reader& keys) {
  Options options;
  keys.field("angles", options.angles, {.low = 0, .high = 180},
             "degrees between the classes' subspaces, each run by itself");
  if (options.angles.empty()) keys.mistake("angles", "is empty, must hold at least one");
  options.stes.read(keys, {"relu", "reverse_exponential", "log_tailed_relu", "clipped_relu", "identity"});
  keys.field("bits", options.net.bits, spec::between(1, 8), "bits of a hidden unit");
  keys.field("width", options.net.width, spec::between(2, 1024), "hidden units, half of them a class");
  if (options.net.width % 2 != 0)
    keys.mistake("width",
                 fmt::format("is {}, must be even: half of the units serve a class", options.net.width));
  keys.field("noise", options.net.noise, spec::non_negative,
             "standard deviation of noise on each coordinate");
  keys.field("init_deviation", options.net.init_deviation, spec::non_negative,
             "standard deviation of initial weights");
  keys.field("learning_rate", options.learning_rate, spec::positive, "rate of a step");
  keys.field("iterations", options.iterations, spec::at_least(0), "most iterations");
  options.log.read(keys);
  return std::make_unique<SubspaceClassifier>(std::move(options));
}

}  // namespace problems
}  // namespace qtrain::labs
