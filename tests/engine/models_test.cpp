#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <tuple>
#include <unordered_map>

#include "base/cast.hpp"
#include "base/error.hpp"
#include "base/random.hpp"
#include "engine/engine.hpp"
#include "engine/onednn.hpp"
#include "kernels/bit_convolution.hpp"
#include "model/graph.hpp"
#include "spec/reader.hpp"

// The products of every layer of every model, at its own size: floats, bytes and bit planes give equal
// integers.
namespace qtrain::engine {
namespace {

using Geometry =
    std::tuple<std::size_t, std::size_t, std::size_t, std::size_t, std::size_t, std::size_t, std::size_t,
               std::size_t>;  ///< members of ConvolutionGeometry in turn

void add_products(const model::Graph& graph, std::set<Geometry>& geometries) {
  const auto shapes = model::infer_shapes(graph);
  for (std::size_t k = 0; k < graph.layers.size(); ++k) {
    const model::Layer& layer = graph.layers[k];
    if (layer.op != model::Op::convolution && layer.op != model::Op::linear) continue;
    const Shape& in = shapes[static_cast<std::size_t>(layer.inputs[0])];
    const auto size = [](auto n) { return narrow<std::size_t>(n); };
    if (layer.op == model::Op::linear)
      geometries.insert({1, 3, size(in[0]), size(layer.channels), 1, 1, 0, 0});
    else
      geometries.insert({size(in[1]), size(in[2]), size(in[0]), size(layer.channels), size(layer.kernel),
                         size(layer.stride), size(layer.padding), size(layer.end_padding)});
  }
}

std::set<Geometry> all_products() {
  std::set<Geometry> geometries;
  for (const model::Entry& entry : model::registry())
    for (const Shape& input : {Shape{1, 28, 28}, Shape{3, 32, 32}, Shape{3, 224, 224}}) {
      if (input[1] == 224 && std::string(entry.name) != "resnet18") continue;
      spec::Document document = spec::Document::parse("{}", "test.yaml");
      spec::Reader keys = document.root();
      const model::Graph graph = entry.read(keys, input, 10);
      if (!document.diagnostics().text().empty()) continue;
      try {
        add_products(graph, geometries);
      } catch (const Error&) {
        continue;  // an image too small for this model
      }
    }
  return geometries;
}

std::vector<float> random_codes(std::size_t size, int lowest, int step, std::uint32_t count,
                                RandomStream& random) {
  std::vector<float> codes(size);
  for (float& code : codes) code = static_cast<float>(lowest + step * static_cast<int>(random.below(count)));
  return codes;
}

dnnl::memory::dims dims(std::initializer_list<std::size_t> sizes) { return {sizes.begin(), sizes.end()}; }

/// The convolution by oneDNN, of floats or of bytes.
std::vector<float> by_onednn(const kernels::ConvolutionGeometry& g, const std::vector<float>& weights,
                             const std::vector<float>& codes, bool bytes) {
  const Shape shape{narrow<std::int64_t>(g.outputs), narrow<std::int64_t>(g.channels),
                    narrow<std::int64_t>(g.kernel), narrow<std::int64_t>(g.kernel)};
  const onednn::Window window{narrow<int>(g.kernel), narrow<int>(g.stride), narrow<int>(g.padding),
                              narrow<int>(g.end_padding)};
  const onednn::Desc src = onednn::channels_last(dims({1, g.channels, g.height, g.width}));
  const onednn::Desc dst = onednn::channels_last(dims({1, g.outputs, g.out_height(), g.out_width()}));
  const onednn::Built built = bytes ? onednn::integer_convolution_forward(
                                          onednn::in_storage(src, Storage::unsigned_byte), shape, dst, window)
                                    : onednn::convolution_forward(src, shape, dst, window);
  if (bytes && !onednn::sums_exactly(built)) return {};
  std::unordered_map<int, dnnl::memory> arguments;
  const auto add = [&](int role, const onednn::Desc& desc) {
    return static_cast<unsigned char*>(
        arguments.emplace(role, dnnl::memory(desc, onednn::cpu())).first->second.get_data_handle());
  };
  unsigned char* x = add(DNNL_ARG_SRC, built.src);
  for (std::size_t i = 0; i < codes.size(); ++i)
    if (bytes)
      x[i] = static_cast<unsigned char>(codes[i]);
    else
      std::memcpy(x + i * sizeof(float), &codes[i], sizeof(float));
  onednn::Reorder(onednn::plain(shape), weights.data(), built.weights, add(DNNL_ARG_WEIGHTS, built.weights))
      .run();
  const auto* y = reinterpret_cast<const float*>(add(DNNL_ARG_DST, built.dst));
  add(DNNL_ARG_SCRATCHPAD, onednn::Desc(dims({std::max<std::size_t>(built.scratchpad, 1)}),
                                        dnnl::memory::data_type::u8, dnnl::memory::format_tag::a));
  dnnl::stream stream(onednn::cpu());
  built.primitive.execute(stream, arguments);
  stream.wait();
  return {y, y + g.out_height() * g.out_width() * g.outputs};
}

std::vector<float> by_planes(const kernels::ConvolutionGeometry& g, int weight_bits, int bits,
                             const std::vector<float>& weights, const std::vector<float>& codes) {
  kernels::BitConvolution convolution(g, {weight_bits}, {bits});
  convolution.pack_weights(weights);
  std::vector<unsigned char> planes(convolution.image_bytes());
  convolution.pack(codes.data(), 1, planes.data());
  std::vector<float> y(g.out_height() * g.out_width() * g.outputs);
  convolution.run(planes.data(), 1, y.data());
  return y;
}

}  // namespace

TEST_CASE("every layer of every model, 1 to 4 bits on either side: one result") {
  onednn::use_threads(1);
  const std::set<Geometry> geometries = all_products();
  CHECK(geometries.size() > 40);
  for (const auto& [height, width, channels, outputs, kernel, stride, padding, end_padding] : geometries) {
    const kernels::ConvolutionGeometry g{height, width,  channels, outputs,
                                         kernel, stride, padding,  end_padding};
    CAPTURE(fmt::format("{}x{}x{} -> {}, {}x{}, stride {}", height, width, channels, outputs, kernel, kernel,
                        stride));
    RandomStream random(1, Purpose::test);
    std::vector<std::vector<float>> weights, codes;
    for (int bits = 1; bits <= 4; ++bits) {
      const int top = (1 << bits) - 1;
      weights.push_back(random_codes(outputs * channels * kernel * kernel, -top, 2,
                                     static_cast<std::uint32_t>(top) + 1, random));
      codes.push_back(
          random_codes(height * width * channels, 0, 1, static_cast<std::uint32_t>(top) + 1, random));
    }
    for (std::size_t w = 0; w < 4; ++w)
      for (std::size_t x = 0; x < 4; ++x) {
        const std::vector<float> expected = by_onednn(g, weights[w], codes[x], false);
        const std::vector<float> integers = by_onednn(g, weights[w], codes[x], true);
        REQUIRE((integers.empty() || integers == expected));
        REQUIRE(by_planes(g, static_cast<int>(w) + 1, static_cast<int>(x) + 1, weights[w], codes[x]) ==
                expected);
      }
  }
}

TEST_CASE(
    "no float product of a model of images falls to oneDNN's reference, which is a thousand times slower") {
  if (kernels::available().size() < 2) return;  // an old CPU
  for (const model::Entry& entry : model::registry())
    for (const Shape& input : {Shape{1, 28, 28}, Shape{3, 32, 32}}) {
      if (entry.takes != model::Input::images) continue;
      for (const char* keys_text : {"{}", "{width: large}"}) {
        spec::Document document = spec::Document::parse(keys_text, "test.yaml");
        spec::Reader keys = document.root();
        model::Graph graph;
        try {
          graph = entry.read(keys, input, 10);
          model::infer_shapes(graph);
        } catch (const Error&) {
          continue;  // an image too small for this model
        }
        if (!document.diagnostics().text().empty()) continue;
        const Engine engine(graph, {}, {}, {.threads = 1, .shard = 2, .batch = 2});
        for (const LayerInfo& layer : engine.layers()) {
          INFO(entry.name, " on ", to_string(input), ", layer ", layer.name, ": ", layer.implementation);
          CHECK((layer.implementation.empty() == (layer.weight_bits == 0)));
          CHECK(layer.implementation.find("ref") == std::string::npos);
        }
      }
    }
}

}  // namespace qtrain::engine
