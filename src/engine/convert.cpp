#include "engine/convert.hpp"

#include <cstring>

#include "base/error.hpp"
#include "engine/steps.hpp"
#include "kernels/kernels.hpp"

namespace qtrain::engine {

void load(Storage storage, const std::byte* x, float* y, std::size_t size) {
  const auto& k = kernels::active();
  switch (storage) {
    case Storage::float32:
      std::memcpy(y, x, size * sizeof(float));
      return;
    case Storage::bfloat16:
      return k.from_bfloat16(reinterpret_cast<const unsigned short*>(x), y, size);
    case Storage::unsigned_byte:
      return k.from_unsigned_bytes(reinterpret_cast<const unsigned char*>(x), y, size);
    case Storage::signed_byte:
      return k.from_signed_bytes(reinterpret_cast<const unsigned char*>(x), y, size);
    case Storage::signed_short:
      return k.from_shorts(reinterpret_cast<const short*>(x), y, size);
  }
}

void store(const float* x, Storage storage, std::byte* y, std::size_t size) {
  const auto& k = kernels::active();
  switch (storage) {
    case Storage::float32:
      std::memcpy(y, x, size * sizeof(float));
      return;
    case Storage::bfloat16:
      return k.to_bfloat16(x, reinterpret_cast<unsigned short*>(y), size);
    case Storage::unsigned_byte:
    case Storage::signed_byte:
      return k.to_bytes(x, reinterpret_cast<unsigned char*>(y), size);
    case Storage::signed_short:
      QTRAIN_CHECK(false, "only bit planes make 16-bit integers");
  }
}

namespace {

class Convert final : public Step {
 public:
  Convert(const std::string& name, const Stored& src, const Stored& dst, std::size_t size)
      : Step(name, StepKind::layout, {src.tensor}, {dst.tensor}), src_(src), dst_(dst), size_(size) {
    const bool floats = src.storage == Storage::float32 || dst.storage == Storage::float32;
    QTRAIN_CHECK(floats || (size_of(src.storage) == 1 && dst.storage == Storage::bfloat16),
                 "{}: only floats become codes", name);
  }
  void run(const RunContext& context) const override {
    const std::byte* src = context.raw(src_.tensor);
    std::byte* dst = context.raw(dst_.tensor);
    if (src_.storage == Storage::float32)
      store(reinterpret_cast<const float*>(src), dst_.storage, dst, size_);
    else if (dst_.storage == Storage::float32)
      load(src_.storage, src, reinterpret_cast<float*>(dst), size_);
    else
      bytes_to_bfloat16(reinterpret_cast<const unsigned char*>(src), reinterpret_cast<unsigned short*>(dst));
  }

 private:
  void bytes_to_bfloat16(const unsigned char* src, unsigned short* dst) const {
    const auto& k = kernels::active();
    if (src_.storage == Storage::unsigned_byte)
      k.bfloat16_from_unsigned_bytes(src, dst, size_);
    else
      k.bfloat16_from_signed_bytes(src, dst, size_);
  }

  Stored src_, dst_;
  std::size_t size_;
};

}  // namespace

std::unique_ptr<Step> convert_step(const std::string& name, const Stored& src, const Stored& dst,
                                   std::size_t size) {
  return std::make_unique<Convert>(name, src, dst, size);
}

}  // namespace qtrain::engine
