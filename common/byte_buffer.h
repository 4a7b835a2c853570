// Bytes that are written over as soon as there is room for them: growing does not fill with zeros.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace dcn {

/// std::allocator, but for values that are made without an initializer: those stay unset, where
/// their type leaves it so. See std::allocator_traits::construct.
template <typename T>
class UnsetAllocator : public std::allocator<T> {
 public:
  template <typename U>
  struct rebind {  // NOLINT(readability-identifier-naming): the standard's name
    using other = UnsetAllocator<U>;
  };

  using std::allocator<T>::allocator;
  UnsetAllocator() = default;
  template <typename U>
  // NOLINTNEXTLINE(google-explicit-constructor): allocators of other types convert
  UnsetAllocator(const UnsetAllocator<U>& other)
      : std::allocator<T>(static_cast<const std::allocator<U>&>(other)) {}

  template <typename U>
  void construct(U* place) {
    ::new (static_cast<void*>(place)) U;
  }
  template <typename U, typename... Arguments>
  void construct(U* place, Arguments&&... arguments) {
    ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
  }
};

/// Bytes that resize() adds are unset.
using ByteBuffer = std::vector<std::byte, UnsetAllocator<std::byte>>;

}  // namespace dcn
