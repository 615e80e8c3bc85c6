#include <algorithm>
#include <cstring>

#include "engine/steps.hpp"

namespace qtrain::engine {

namespace {

/// Pairs of pixel runs: calls visit(src offset, dst offset) for each group of lanes that both tensors hold.
struct ShortcutMap {
  Layout src, dst;
  std::size_t width, stride;

  template <class Visit>
  void for_each(Visit&& visit) const {
    const std::size_t out_width = (width + stride - 1) / stride;
    const std::size_t out_height = dst.pixels / out_width;
    const std::size_t lanes = src.blocks == 1 ? src.channels : src.lanes;
    for (std::size_t n = 0; n < src.images; ++n)
      for (std::size_t c = 0; c < src.channels; c += lanes)
        for (std::size_t y = 0; y < out_height; ++y)
          for (std::size_t x = 0; x < out_width; ++x)
            visit(src.index(n, c, y * stride * width + x * stride), dst.index(n, c, y * out_width + x),
                  lanes);
  }
};

class ShortcutForward final : public Step {
 public:
  ShortcutForward(const std::string& name, TensorId src, TensorId dst, const ShortcutMap& map,
                  std::size_t element_size)
      : Step(name, StepKind::layout, {src}, {dst}), src_(src), dst_(dst), map_(map), size_(element_size) {}
  void run(const RunContext& context) const override {
    const std::byte* src = context.raw(src_);
    std::byte* dst = context.raw(dst_);
    std::memset(dst, 0, map_.dst.size() * size_);
    map_.for_each([&](std::size_t from, std::size_t to, std::size_t lanes) {
      std::memcpy(dst + to * size_, src + from * size_, lanes * size_);
    });
  }

 private:
  TensorId src_, dst_;
  ShortcutMap map_;
  std::size_t size_;
};

class ShortcutBackward final : public Step {
 public:
  ShortcutBackward(const std::string& name, TensorId diff_dst, TensorId diff_src, const ShortcutMap& map,
                   std::size_t element_size)
      : Step(name, StepKind::layout, {diff_dst}, {diff_src}),
        diff_dst_(diff_dst),
        diff_src_(diff_src),
        map_(map),
        size_(element_size) {}
  void run(const RunContext& context) const override {
    const std::byte* diff_dst = context.raw(diff_dst_);
    std::byte* diff_src = context.raw(diff_src_);
    std::memset(diff_src, 0, map_.src.size() * size_);
    map_.for_each([&](std::size_t to, std::size_t from, std::size_t lanes) {
      std::memcpy(diff_src + to * size_, diff_dst + from * size_, lanes * size_);
    });
  }

 private:
  TensorId diff_dst_, diff_src_;
  ShortcutMap map_;
  std::size_t size_;
};

ShortcutMap map_of(const Layout& src, const Layout& dst, int width, int stride) {
  return {src, dst, static_cast<std::size_t>(width), static_cast<std::size_t>(stride)};
}

}  // namespace

std::unique_ptr<Step> shortcut_forward(const std::string& name, TensorId src, const Layout& src_layout,
                                       TensorId dst, const Layout& dst_layout, int width, int stride,
                                       std::size_t element_size) {
  return std::make_unique<ShortcutForward>(name, src, dst, map_of(src_layout, dst_layout, width, stride),
                                           element_size);
}

std::unique_ptr<Step> shortcut_backward(const std::string& name, TensorId diff_dst, const Layout& dst_layout,
                                        TensorId diff_src, const Layout& src_layout, int width, int stride,
                                        std::size_t element_size) {
  return std::make_unique<ShortcutBackward>(name, diff_dst, diff_src,
                                            map_of(src_layout, dst_layout, width, stride), element_size);
}

}  // namespace qtrain::engine
