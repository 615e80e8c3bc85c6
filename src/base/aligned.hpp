#pragma once
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>

namespace qtrain {

/// Owning array of trivial elements, zero-initialised, aligned to a cache line (64 bytes).
template <class T>
class AlignedBuffer {
 public:
  static constexpr std::align_val_t kAlignment{64};

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size)
      : data_(static_cast<T*>(::operator new(size * sizeof(T), kAlignment))), size_(size) {
    if (size > 0) std::memset(static_cast<void*>(data_.get()), 0, size * sizeof(T));
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  std::span<T> span() { return {data_.get(), size_}; }
  std::span<const T> span() const { return {data_.get(), size_}; }
  T& operator[](std::size_t i) { return data_.get()[i]; }
  const T& operator[](std::size_t i) const { return data_.get()[i]; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete(p, kAlignment); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace qtrain
