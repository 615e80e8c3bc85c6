#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <deque>
#include <functional>
#include <limits>
#include <vector>

#include "base/aligned.hpp"
#include "base/random.hpp"
#include "base/threads.hpp"
#include "engine/measure.hpp"
#include "engine/onednn.hpp"
#include "kernels/bit_convolution.hpp"
#include "run/bench.hpp"
#include "run/machine.hpp"

namespace qtrain::run {

namespace {

using kernels::BitConvolution;
using kernels::ConvolutionGeometry;

constexpr double kMostGroupSeconds = 2e-3;

/// A network's distinct convolutions but the first, whose input is no code, and how often it has them; images
/// side x side.
struct Layer {
  std::size_t side, channels, outputs, kernel, stride, count;
  ConvolutionGeometry geometry() const { return {side, side, channels, outputs, kernel, stride, kernel / 2}; }
};
struct Network {
  const char* name;
  int tasks;           ///< of a batch
  std::size_t images;  ///< a task
  std::vector<Layer> layers;
};

std::vector<Network> networks(int batch) {
  return {{"ResNet-20, 32x32",
           std::max(batch / 8, 1),
           8,
           {{32, 16, 16, 3, 1, 6},
            {32, 16, 32, 3, 2, 1},
            {16, 32, 32, 3, 1, 5},
            {16, 32, 64, 3, 2, 1},
            {8, 64, 64, 3, 1, 5}}},
          {"ResNet-18, 224x224",
           8,
           1,
           {{56, 64, 64, 3, 1, 4},
            {56, 64, 128, 3, 2, 1},
            {56, 64, 128, 1, 2, 1},
            {28, 128, 128, 3, 1, 3},
            {28, 128, 256, 3, 2, 1},
            {28, 128, 256, 1, 2, 1},
            {14, 256, 256, 3, 1, 3},
            {14, 256, 512, 3, 2, 1},
            {14, 256, 512, 1, 2, 1},
            {7, 512, 512, 3, 1, 3}}}};
}

/// Something to time: the same work for each task, whose tensors are its thread's, so that they stay in its
/// cache.
using Work = std::function<void(int thread)>;

struct Timed {
  Work work;
  double seconds = std::numeric_limits<double>::infinity();  ///< of a batch, the best of all rounds
};

/// Runs all in turn, `rounds` times, each as often as fills some milliseconds.
void time_all(std::deque<Timed>& all, ThreadPool& pool, int tasks, int rounds) {
  for (int round = 0; round < rounds; ++round)
    for (Timed& timed : all) {
      const auto run = [&](int /*task*/, int thread) { timed.work(thread); };
      pool.run(tasks, run);
      double total = 0;
      for (int count = 0; count == 0 || total < kMostGroupSeconds; ++count) {
        const auto start = std::chrono::steady_clock::now();
        pool.run(tasks, run);
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        timed.seconds = std::min(timed.seconds, seconds.count());
        total += seconds.count();
      }
    }
}

/// A oneDNN convolution, a call with tensors of its own for each thread.
using BareForward = std::vector<engine::BareCall>;

BareForward bare_forward(const engine::onednn::Built& built, int threads) {
  BareForward calls;
  for (int thread = 0; thread < threads; ++thread)
    calls.emplace_back(built, DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST);
  return calls;
}

/// Float32, or u8 activations by s8 weights, float sums: src and dst nhwc, or as oneDNN likes best.
std::vector<BareForward> bare_forwards(const Layer& layer, std::size_t images, bool integer, int threads) {
  namespace onednn = engine::onednn;
  const auto dims = [](std::size_t n, std::size_t c, std::size_t h, std::size_t w) {
    return dnnl::memory::dims{static_cast<dnnl::memory::dim>(n), static_cast<dnnl::memory::dim>(c),
                              static_cast<dnnl::memory::dim>(h), static_cast<dnnl::memory::dim>(w)};
  };
  const std::size_t out = layer.geometry().out_height();
  const auto src = dims(images, layer.channels, layer.side, layer.side),
             dst = dims(images, layer.outputs, out, out);
  const auto weights = dims(layer.outputs, layer.channels, layer.kernel, layer.kernel);
  const onednn::Window window{static_cast<int>(layer.kernel), static_cast<int>(layer.stride),
                              static_cast<int>(layer.kernel / 2), 0};
  std::vector<BareForward> all;
  for (const auto layout : {onednn::any, onednn::channels_last})
    all.push_back(bare_forward(
        integer ? onednn::integer_convolution_forward(
                      onednn::in_storage(onednn::channels_last(src), engine::Storage::unsigned_byte), weights,
                      layout(dst), window)
                : onednn::convolution_forward(layout(src), weights, layout(dst), window),
        threads));
  return all;
}

struct Bits {
  const char* name;
  int weights, activations;
  bool ternary = false;
};
constexpr Bits kBits[] = {{"1 x 1", 1, 1}, {"1 x 2", 1, 2}, {"1 x 4", 1, 4},
                          {"2 x 2", 2, 2}, {"2 x 4", 2, 4}, {"ternary x 1", 1, 1, true}};

/// A bit convolution with random weights and activations, and its tensors, one set a thread.
class BitSubject {
 public:
  BitSubject(const Layer& layer, const Bits& bits, std::size_t images, int threads)
      : images_(images),
        convolution_(layer.geometry(), {.planes = bits.weights, .no_zeros = !bits.ternary},
                     {bits.activations}),
        top_(static_cast<float>((1 << bits.activations) - 1)),
        slopes_(layer.outputs, 0.01F),
        offsets_(layer.outputs, 0.5F),
        padded_((layer.outputs + 15) / 16 * 16),
        levels_(2 * padded_, 0),
        flipped_(levels_.size() / 16, 0) {
    RandomStream random(1, Purpose::test);
    const int top = (1 << bits.weights) - 1;
    std::vector<float> weights(layer.outputs * layer.channels * layer.kernel * layer.kernel);
    for (float& w : weights)
      w = static_cast<float>(bits.ternary ? static_cast<int>(random.below(3)) - 1
                                          : 2 * static_cast<int>(random.below(1U << bits.weights)) - top);
    convolution_.pack_weights(weights);
    const ConvolutionGeometry& g = convolution_.geometry();
    for (int thread = 0; thread < threads; ++thread) {
      PerThread& own = threads_.emplace_back(
          PerThread{AlignedBuffer<unsigned char>(images * g.height * g.width * g.channels),
                    AlignedBuffer<unsigned char>(images * convolution_.image_bytes()),
                    AlignedBuffer<float>(images * g.out_height() * g.out_width() * g.outputs),
                    AlignedBuffer<short>(images * g.out_height() * g.out_width() * g.outputs),
                    AlignedBuffer<unsigned char>(g.out_height() * g.out_width() * g.outputs)});
      for (unsigned char& code : own.codes.span())
        code = static_cast<unsigned char>(random.below(1U << bits.activations));
    }
  }
  void pack(int thread) {
    PerThread& own = threads_[static_cast<std::size_t>(thread)];
    convolution_.pack(own.codes.data(), images_, own.planes.data());
  }
  /// As in training: to 16-bit integers where they fit.
  void run(int thread) {
    PerThread& own = threads_[static_cast<std::size_t>(thread)];
    if (convolution_.fits_shorts())
      convolution_.run(own.planes.data(), images_, own.shorts.data());
    else
      convolution_.run(own.planes.data(), images_, own.dst.data());
  }
  /// What evaluation does for a layer: packing, then, some rows at a time, product, batch norm, quantizer;
  /// for codes of one bit these are thresholds.
  void whole(int thread) {
    PerThread& own = threads_[static_cast<std::size_t>(thread)];
    if (top_ == 1) return whole_bits(own);
    const ConvolutionGeometry& g = convolution_.geometry();
    const std::size_t row = g.out_width() * g.outputs, height = g.out_height();
    const std::size_t rows = std::clamp<std::size_t>(kTileSize / row, 1, height);
    const auto& k = kernels::active();
    float* z = own.dst.data();
    for (std::size_t image = 0; image < images_; ++image) {
      convolution_.pack(own.codes.data() + image * g.height * g.width * g.channels, 1, own.planes.data());
      for (std::size_t y = 0; y < height; y += rows) {
        const std::size_t last = std::min(y + rows, height), pixels = (last - y) * g.out_width();
        convolution_.run(own.planes.data(), 1, y, last, z);
        k.affine(z, slopes_.data(), offsets_.data(), z, pixels, g.outputs);
        k.ceil_codes(z, 1.0F, top_, z, pixels * g.outputs);
        k.to_bytes(z, own.next.data() + y * row, pixels * g.outputs);
      }
    }
  }
  double multiply_adds() const { return convolution_.multiply_adds() * static_cast<double>(images_); }

 private:
  struct PerThread {
    AlignedBuffer<unsigned char> codes, planes;
    AlignedBuffer<float> dst;
    AlignedBuffer<short> shorts;
    AlignedBuffer<unsigned char> next;
  };
  void whole_bits(PerThread& own) {
    const ConvolutionGeometry& g = convolution_.geometry();
    const kernels::BitThresholds thresholds{levels_.data(), flipped_.data(), padded_, 0, 1};
    for (std::size_t image = 0; image < images_; ++image) {
      convolution_.pack(own.codes.data() + image * g.height * g.width * g.channels, 1, own.planes.data());
      convolution_.run(thresholds, own.planes.data(), nullptr, own.next.data());
    }
  }
  static constexpr std::size_t kTileSize = 2048;
  std::size_t images_;
  BitConvolution convolution_;
  float top_;
  std::vector<float> slopes_, offsets_;
  std::size_t padded_;  ///< outputs
  std::vector<std::int16_t> levels_;
  std::vector<std::uint16_t> flipped_;
  std::vector<PerThread> threads_;
};

constexpr std::size_t kBurnIterations = 5'000;  ///< of xor, popcount and add in registers

/// Seconds of a batch in oneDNN's convolutions, and in those of bit planes by kBits; bits a second of xor,
/// popcount and add in registers, measured in turn with them, for the clock wanders.
struct LayerTimes {
  double work, float32, int8, peak;
  std::array<double, std::size(kBits)> bare, whole;
};

LayerTimes time_layer(const Network& network, const Layer& layer, ThreadPool& pool, int rounds) {
  std::deque<Timed> all;
  std::deque<BareForward> bare;
  for (const bool integer : {false, true})
    for (BareForward& forward : bare_forwards(layer, network.images, integer, pool.size())) {
      BareForward& kept = bare.emplace_back(std::move(forward));
      all.push_back({[&kept](int thread) { kept[static_cast<std::size_t>(thread)].run(); }});
    }
  std::deque<BitSubject> subjects;
  for (const Bits& bits : kBits) {
    BitSubject& subject = subjects.emplace_back(layer, bits, network.images, pool.size());
    for (int thread = 0; thread < pool.size(); ++thread) subject.pack(thread);
    all.push_back({[&subject](int thread) { subject.run(thread); }});
  }
  for (BitSubject& subject : subjects) all.push_back({[&subject](int thread) { subject.whole(thread); }});
  all.push_back({[](int /*thread*/) { kernels::active().popcount_burn(kBurnIterations); }});
  time_all(all, pool, network.tasks, rounds);
  const double bits = kernels::active().popcount_burn(1) * kBurnIterations * network.tasks;
  LayerTimes times{.work = subjects.front().multiply_adds() * network.tasks,
                   .float32 = std::min(all[0].seconds, all[1].seconds),
                   .int8 = std::min(all[2].seconds, all[3].seconds),
                   .peak = bits / all.back().seconds,
                   .bare = {},
                   .whole = {}};
  for (std::size_t i = 0; i < std::size(kBits); ++i) {
    times.bare[i] = all[4 + i].seconds;
    times.whole[i] = all[4 + std::size(kBits) + i].seconds;
  }
  return times;
}

void print_layer(const Layer& layer, const LayerTimes& times) {
  fmt::print(
      "\n  {}x{}x{} -> {}, {}x{}, stride {}: oneDNN float32 {:.0f} GMAC/s, int8 {:.0f}; peak {:.0f} Gbit/s\n",
      layer.side, layer.side, layer.channels, layer.outputs, layer.kernel, layer.kernel, layer.stride,
      times.work / times.float32 * 1e-9, times.work / times.int8 * 1e-9, times.peak * 1e-9);
  for (std::size_t i = 0; i < std::size(kBits); ++i) {
    const double rate = times.work / times.bare[i], whole = times.work / times.whole[i];
    const double share = 100.0 * kBits[i].weights * kBits[i].activations / times.peak;
    fmt::print("    {:<11} {:6.0f} {:6.1f} % {:7.2f} {:7.2f}   | {:6.0f} {:6.1f} %\n", kBits[i].name,
               rate * 1e-9, share * rate, times.float32 / times.bare[i], times.int8 / times.bare[i],
               whole * 1e-9, share * whole);
  }
}

void time_network(const Network& network, ThreadPool& pool, int rounds) {
  fmt::print(
      "\n{}, {} x {} images\n  {:<13} GMAC/s of peak  /float32 /int8   | whole layer\n"
      "  {:<38}   | GMAC/s of peak\n",
      network.name, network.tasks, network.images, "bits", "weights x activations");
  LayerTimes total{};
  for (const Layer& layer : network.layers) {
    const LayerTimes times = time_layer(network, layer, pool, rounds);
    print_layer(layer, times);
    const auto count = static_cast<double>(layer.count);
    total.float32 += count * times.float32;
    total.int8 += count * times.int8;
    for (std::size_t i = 0; i < std::size(kBits); ++i) total.whole[i] += count * times.whole[i];
  }
  const double images = network.tasks * static_cast<double>(network.images);
  fmt::print("\n  all of them, images/s: oneDNN float32 {:.0f}, int8 {:.0f}; whole layers of bits",
             images / total.float32, images / total.int8);
  for (std::size_t i = 0; i < std::size(kBits); ++i)
    fmt::print("{} {} {:.0f}", i == 0 ? "" : ",", kBits[i].name, images / total.whole[i]);
  fmt::print("\n");
}

}  // namespace

void benchmark_bits(const BenchRequest& request) {
  ThreadPool pool(request.threads, [] { engine::onednn::use_threads(1); });
  fmt::print("{}, {} threads, {}: convolutions of bit planes, best of {} rounds\n", cpu_model(),
             request.threads, kernels::active().isa, request.rounds);
  fmt::print(
      "peak: xor, popcount and add in registers, measured in turn with each layer; 1 x 4 is by lookup "
      "tables\n");
  fmt::print("whole layer: packing from u8, product, batch norm, quantizer, to u8\n");
  for (const Network& network : networks(request.batch)) time_network(network, pool, request.rounds);
}

}  // namespace qtrain::run
