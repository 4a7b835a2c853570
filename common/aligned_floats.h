// A fixed block of numbers on a cache line boundary: what kernels read and write, and tables lie
// in.
//
// From 2 MiB on a block asks for huge pages (madvise(2), MADV_HUGEPAGE), which it gets where
// transparent huge pages are enabled, "madvise" or "always": with pages of 4 KiB nearly every
// look-up in a big table misses the processor's translation buffer. Memory that is never touched is
// never given, huge pages or not.
#pragma once

#include <algorithm>
#include <cstddef>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace dcn {

inline constexpr std::size_t kCacheLineBytes = 64;

namespace internal {

/// `bytes` bytes, above 0, unset, at a cache line; at a huge page, from the size of one on. Throws
/// std::bad_alloc.
void* AllocateBlock(std::size_t bytes);
/// bytes: as when it was allocated; memory may be null.
void FreeBlock(void* memory, std::size_t bytes);

}  // namespace internal

/// Not initialised when made. Movable, not copyable.
template <typename T>
class AlignedBlock {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  AlignedBlock() : AlignedBlock(0) {}
  explicit AlignedBlock(std::size_t size)
      : size_(size), data_(static_cast<T*>(internal::AllocateBlock(BytesOf(size)))) {}
  ~AlignedBlock() { internal::FreeBlock(data_, BytesOf(size_)); }
  AlignedBlock(AlignedBlock&& other) noexcept
      : size_(std::exchange(other.size_, 0)), data_(std::exchange(other.data_, nullptr)) {}
  AlignedBlock& operator=(AlignedBlock&& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
    return *this;
  }

  T& operator[](std::size_t i) const { return data_[i]; }
  [[nodiscard]] T* get() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<T> span() const { return {data_, size_}; }

  /// Grows to at least `size` elements; the contents are lost when it does.
  void EnsureSize(std::size_t size) {
    if (size > size_) *this = AlignedBlock(size);
  }

 private:
  static std::size_t BytesOf(std::size_t size) {
    return std::max<std::size_t>(size, 1) * sizeof(T);
  }

  std::size_t size_;
  T* data_;
};

using AlignedFloats = AlignedBlock<float>;

}  // namespace dcn
