// First values of embedding rows: a pure function of (seed, table name, key, lane).
//
// So a row has the same first value on whichever shard it lives, whenever it is first touched, and
// a row that was never touched need not be stored at all.
#pragma once

#include <span>
#include <string_view>

#include "common/random.h"
#include "ps/protocol.h"

namespace dcn::ps {

/// Fills rows of one table, uniform in [-limit, limit). Copyable, immutable, safe to share.
///
/// Philox has a 64-bit key and a 128-bit counter. Seed and table name make the key, the row's key
/// is one half of the counter (RandomStream's stream), the lane / 4 the other: two rows of a table
/// never share a word, whatever their keys and width.
class RowInitializer {
 public:
  RowInitializer(const UniformInitializer& options, std::string_view table_name);

  /// out: [dimension]. A shorter span receives the first values of a longer one.
  void Fill(Key key, std::span<float> out) const;

 private:
  std::uint64_t seed_;
  float limit_;
};

}  // namespace dcn::ps
