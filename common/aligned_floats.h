// A fixed block of floats on a cache line boundary: what kernels read and write.
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <span>
#include <utility>

namespace dcn {

/// Not initialised when made. Movable, not copyable.
class AlignedFloats {
 public:
  AlignedFloats() : AlignedFloats(0) {}
  explicit AlignedFloats(std::size_t size)
      : size_(size),
        data_(static_cast<float*>(
            ::operator new(std::max<std::size_t>(size, 1) * sizeof(float), kAlignment))) {}
  ~AlignedFloats() { ::operator delete(data_, kAlignment); }
  AlignedFloats(AlignedFloats&& other) noexcept
      : size_(std::exchange(other.size_, 0)), data_(std::exchange(other.data_, nullptr)) {}
  AlignedFloats& operator=(AlignedFloats&& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
    return *this;
  }

  [[nodiscard]] float* get() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<float> span() const { return {data_, size_}; }

  /// Grows to at least `size` floats; the contents are lost when it does.
  void EnsureSize(std::size_t size) {
    if (size > size_) *this = AlignedFloats(size);
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  std::size_t size_;
  float* data_;
};

}  // namespace dcn
