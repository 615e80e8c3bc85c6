#include "kernels/passes.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <limits>
#include <vector>

#include "kernels/samples.hpp"

namespace qtrain::kernels {
namespace {

constexpr PassValues kAllValues[] = {PassValues::floats, PassValues::shorts, PassValues::unsigned_bytes,
                                     PassValues::bfloat16};
constexpr TileSize kTiles[] = {{1, 16}, {2, 48}, {3, 16}, {4, 32}, {7, 16}, {32, 16}, {33, 64}, {259, 16}};

/// A tensor's values in memory of their type, one element off its alignment, and as floats.
class Values {
 public:
  Values(PassValues type, std::size_t size, std::uint32_t stream) : type_(type), floats_(size) {
    const auto& k = reference_kernels();
    RandomStream random(40, Purpose::test, stream);
    const std::vector<float> special = special_values(size, stream);
    for (float& value : floats_) {
      if (type == PassValues::shorts) value = static_cast<float>(random.below(65536)) - 32768;
      if (type == PassValues::unsigned_bytes) value = static_cast<float>(random.below(256));
    }
    if (type == PassValues::floats) floats_ = special;
    if (type == PassValues::bfloat16) {
      halves_ = to_bfloat16(k, special);
      k.from_bfloat16(halves_.data(), floats_.data(), size);
      halves_ = after_one(halves_);
    }
    all_ = after_one(floats_);
    for (const float value : all_) {
      shorts_.push_back(type == PassValues::shorts ? static_cast<short>(value) : short{0});
      bytes_.push_back(type == PassValues::unsigned_bytes ? static_cast<unsigned char>(value) : 0);
    }
  }
  PassSource source() const {
    if (type_ == PassValues::shorts) return {shorts_.data() + 1, type_};
    if (type_ == PassValues::unsigned_bytes) return {bytes_.data() + 1, type_};
    if (type_ == PassValues::bfloat16) return {halves_.data() + 1, type_};
    return {all_.data() + 1, type_};
  }
  const std::vector<float>& floats() const { return floats_; }

 private:
  PassValues type_;
  std::vector<float> floats_, all_;
  std::vector<short> shorts_;
  std::vector<unsigned char> bytes_;
  Halves halves_;
};

/// Maps that bring shorts and bytes about into [-4, 4].
struct Map {
  std::vector<float> a, b;
  Map(PassValues type, std::size_t lanes, std::uint32_t stream)
      : a(plain_values(lanes, stream)), b(plain_values(lanes, stream + 1)) {
    for (float& value : a)
      value *= type == PassValues::shorts ? 1e-4F : type == PassValues::floats ? 1 : 0.02F;
  }
};

/// What every pass reads, and y = affine(z) or affine_add(z, r) by those kernels.
struct Operands {
  TileSize tile;
  Values z, r;
  Map z_map, r_map;
  bool adds;
  std::vector<float> y;

  Operands(TileSize size, PassValues z_type, PassValues r_type, bool with_r)
      : tile(size),
        z(z_type, size.pixels * size.lanes, 1),
        r(r_type, size.pixels * size.lanes, 2),
        z_map(z_type, size.lanes, 3),
        r_map(r_type, size.lanes, 5),
        adds(with_r),
        y(size.pixels * size.lanes) {
    const auto& k = reference_kernels();
    if (adds)
      k.affine_add(z.floats().data(), z_map.a.data(), z_map.b.data(), r.floats().data(), r_map.a.data(),
                   r_map.b.data(), y.data(), tile.pixels, tile.lanes);
    else
      k.affine(z.floats().data(), z_map.a.data(), z_map.b.data(), y.data(), tile.pixels, tile.lanes);
  }
  PassOperand of_z() const { return {z.source(), z_map.a.data(), z_map.b.data()}; }
  PassOperand of_r() const {
    return adds ? PassOperand{r.source(), r_map.a.data(), r_map.b.data()} : PassOperand{};
  }
};

/// Calls body for all tiles and types of z and r, and without r.
template <class Body>
void for_all_operands(const Body& body) {
  for (const TileSize tile : kTiles)
    for (const PassValues z : kAllValues) {
      body(Operands(tile, z, PassValues::floats, false));
      for (const PassValues r : kAllValues) body(Operands(tile, z, r, true));
    }
}

/// A result of either type, with marks around it.
struct Result {
  PassValues type;
  Guarded<float> floats;
  Guarded<unsigned short> halves;
  Result(PassValues values, std::size_t size) : type(values), floats(size), halves(size) {}
  void* data() {
    return type == PassValues::floats ? static_cast<void*>(floats.data()) : static_cast<void*>(halves.data());
  }
  bool holds(const std::vector<float>& expected) const {
    if (!floats.intact() || !halves.intact()) return false;
    if (type == PassValues::floats) return same_bits(floats.values(), expected);
    return halves.values() == to_bfloat16(reference_kernels(), expected);
  }
};

}  // namespace

TEST_CASE("passes: codes are those of affine, or affine_add, and ceil_codes") {
  for_all_operands([](const Operands& o) {
    const std::size_t size = o.y.size();
    for (const float step : {0.25F, 1.06667042F}) {
      std::vector<float> codes(size);
      reference_kernels().ceil_codes(o.y.data(), step, 15, codes.data(), size);
      for (const Kernels* set : available()) {
        Guarded<unsigned char> got(std::vector<unsigned char>(size, 99));
        set->code_pass({o.of_z(), o.of_r(), step, 15, got.data()}, o.tile.pixels, o.tile.lanes);
        const std::vector<unsigned char> values = got.values();
        CAPTURE(std::string(set->isa));
        CHECK(std::equal(values.begin(), values.end(), codes.begin(),
                         [](unsigned char a, float b) { return static_cast<float>(a) == b; }));
        CHECK(got.intact());
      }
    }
  });
}

TEST_CASE("passes: folded codes are the reference's, which are ceilings") {
  for (const TileSize tile : kTiles)
    for (const bool adds : {false, true}) {
      const std::size_t size = tile.pixels * tile.lanes;
      RandomStream random(41, Purpose::test);
      std::vector<short> z(size);
      std::vector<unsigned char> r(size), expected(size);
      std::vector<float> slopes = plain_values(tile.lanes, 1), r_slopes = plain_values(tile.lanes, 2),
                         offsets = plain_values(tile.lanes, 3);
      for (float& slope : slopes) slope *= 0.1F;
      slopes[0] = 1;
      offsets[0] = 0;
      for (std::size_t i = 0; i < size; ++i) {
        z[i] = static_cast<short>(random.below(4) == 0 ? random.below(65536) : random.below(256));
        r[i] = static_cast<unsigned char>(random.below(256));
        if (!adds && i % tile.lanes == 0)  // a channel whose map is z
          expected[i] = static_cast<unsigned char>(std::clamp<int>(z[i], 0, 15));
      }
      const auto run = [&](const Kernels& k, unsigned char* codes) {
        k.folded_pass(
            {z.data(), adds ? r.data() : nullptr, slopes.data(), r_slopes.data(), offsets.data(), 15, codes},
            tile.pixels, tile.lanes);
      };
      std::vector<unsigned char> reference(size);
      run(reference_kernels(), reference.data());
      for (std::size_t i = 0; !adds && i < size; i += tile.lanes) CHECK(reference[i] == expected[i]);
      for (const Kernels* set : available()) {
        CAPTURE(std::string(set->isa));
        Guarded<unsigned char> got(size);
        run(*set, got.data());
        CHECK(got.values() == reference);
        CHECK(got.intact());
      }
    }
}

TEST_CASE("passes: gradients through a window, and their sums, are those of window and products") {
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  for_all_operands([](const Operands& o) {
    const auto& k = reference_kernels();
    const std::size_t size = o.y.size(), lanes = o.tile.lanes;
    const std::vector<float> shift = plain_values(lanes, 9);
    for (const PassValues type : {PassValues::floats, PassValues::bfloat16})
      for (const bool two : {false, true})
        for (const float high : {1.5F, kInfinite}) {
          const Values first(type, size, 7), second(type, size, 8);
          std::vector<float> g = first.floats();
          if (two) k.add(g.data(), second.floats().data(), g.data(), size);
          k.window(o.y.data(), 0, high, g.data(), size);
          const float slope = two ? 0.5F : 1.0F;
          for (float& value : g) value *= slope;
          // Sums of z and products of both for z, of g alone for r.
          std::vector<double> sums(lanes, 1), products(lanes, 2), r_sums(lanes, 3);
          k.products(g.data(), o.z.floats().data(), shift.data(), sums.data(), products.data(), o.tile.pixels,
                     lanes);
          k.lane_sums(g.data(), r_sums.data(), o.tile.pixels, lanes);
          for (const Kernels* set : available()) {
            Result got(type, size);
            std::vector<double> own(lanes, 1), own_products(lanes, 2), own_r(lanes, 3);
            const PassSums of_r{nullptr, own_r.data(), nullptr};
            set->window_pass({{first.source(), two ? second.source() : PassSource{}},
                              o.of_z(),
                              o.of_r(),
                              {shift.data(), own.data(), own_products.data()},
                              o.adds ? of_r : PassSums{},
                              0,
                              high,
                              slope,
                              got.data(),
                              type},
                             o.tile.pixels, lanes);
            CAPTURE(std::string(set->isa));
            CHECK(got.holds(g));
            CHECK(same_bits(own, sums));
            CHECK(same_bits(own_products, products));
            CHECK(same_bits(own_r, o.adds ? r_sums : std::vector<double>(lanes, 3)));
          }
        }
  });
}

TEST_CASE("passes: gradients through batch norm are those of affine_pair, in place too") {
  for_all_operands([](const Operands& o) {
    if (o.adds) return;
    const std::size_t size = o.y.size(), lanes = o.tile.lanes;
    const std::vector<float> p = plain_values(lanes, 11), r = plain_values(lanes, 12);
    const std::vector<float>& q = o.z_map.a;
    for (const PassValues g_type : {PassValues::floats, PassValues::bfloat16})
      for (const PassValues type : {PassValues::floats, PassValues::bfloat16}) {
        const Values g(g_type, size, 7);
        std::vector<float> expected(size);
        reference_kernels().affine_pair(g.floats().data(), o.z.floats().data(), p.data(), q.data(), r.data(),
                                        expected.data(), o.tile.pixels, lanes);
        for (const Kernels* set : available()) {
          CAPTURE(std::string(set->isa));
          Result got(type, size);
          set->pair_pass({g.source(), o.z.source(), p.data(), q.data(), r.data(), got.data(), type},
                         o.tile.pixels, lanes);
          CHECK(got.holds(expected));
          if (g_type != PassValues::floats || type != PassValues::floats) continue;
          Guarded<float> in_place(g.floats());
          set->pair_pass(
              {{in_place.data(), g_type}, o.z.source(), p.data(), q.data(), r.data(), in_place.data(), type},
              o.tile.pixels, lanes);
          CHECK(same_bits(in_place.values(), expected));
        }
      }
  });
}

}  // namespace qtrain::kernels
