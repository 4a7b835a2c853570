// The words that trainers and shards exchange, as plain data: tables, keys, steps, gradients.
//
// The same structures serve a shard in this process (server/local_shard.h) and one behind a
// socket. Spans borrow: whoever passes a request keeps what it points to alive until the call that
// finishes the request has returned.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "common/reduction_tree.h"

namespace dcn::ps {

using TableId = std::uint32_t;  // position in the job's list of tables
using Key = std::uint64_t;      // a row's name within its table
using Step = std::uint64_t;     // training steps count from 1; 0 is "before the first"

/// Values of the first read of a row: lane i of row `key` of table `name` is a function of
/// (seed, name, key, i) only.
struct UniformInitializer {
  std::uint64_t seed = 0;
  float limit = 0.05F;  // uniform in [-limit, limit)
  friend bool operator==(const UniformInitializer&, const UniformInitializer&) = default;
};

/// Dense-form Adam (Keras): every row moves at every step, touched or not.
/// Kingma & Ba, arXiv:1412.6980, section 2's efficient form with epsilon outside the correction.
struct AdamOptions {
  float beta_1 = 0.9F;
  float beta_2 = 0.999F;
  float epsilon = 1e-7F;
  friend bool operator==(const AdamOptions&, const AdamOptions&) = default;
};

/// Adam over touched rows only: m and v stand still while a row is not touched. Another algorithm
/// than AdamOptions; the bias correction uses the job's step, as in the dense form.
struct LazyAdamOptions {
  float beta_1 = 0.9F;
  float beta_2 = 0.999F;
  float epsilon = 1e-7F;
  friend bool operator==(const LazyAdamOptions&, const LazyAdamOptions&) = default;
};

/// Adagrad (Duchi, Hazan, Singer, JMLR 2011) as in Keras: a += g^2; w -= lr g / (sqrt(a) + eps).
struct AdagradOptions {
  float initial_accumulator = 0.1F;
  float epsilon = 1e-7F;
  friend bool operator==(const AdagradOptions&, const AdagradOptions&) = default;
};

/// Plain stochastic gradient descent: w -= lr g.
struct SgdOptions {
  friend bool operator==(const SgdOptions&, const SgdOptions&) = default;
};

using OptimizerOptions = std::variant<AdamOptions, LazyAdamOptions, AdagradOptions, SgdOptions>;

/// Wishes that a rank attaches to its push of a step; the step has those of any rank.
using StepFlags = std::uint32_t;
/// The shard's rows, as they are after this step, go into a checkpoint.
inline constexpr StepFlags kTakesSnapshot = 1;
/// The rank was told to stop: all ranks end together.
inline constexpr StepFlags kWantsStop = 2;
inline constexpr StepFlags kKnownStepFlags = kTakesSnapshot | kWantsStop;

/// What a table is. All ranks of a job define the same tables, in the same order.
struct TableDefinition {
  std::string name;             // "embedding/movie_id"
  std::uint32_t dimension = 0;  // floats a row, >= 1
  UniformInitializer initializer;
  OptimizerOptions optimizer;
  friend bool operator==(const TableDefinition&, const TableDefinition&) = default;
};

/// Rows to read from one table: values[i * dimension ...] receives the row of keys[i].
struct RowsToPull {
  TableId table = 0;
  std::span<const Key> keys;  // distinct
  std::span<float> values;    // [keys.size(), dimension]
};

/// Gradients of one table's rows: entry i is the partial sum of row keys[i] at tree node nodes[i].
/// A row stands once for each node of the pushing rank in which it occurs. Nodes index into
/// PushRequest::nodes. Entries may come in any order; by increasing key, and for one key by node,
/// is the fast way.
struct RowGradients {
  TableId table = 0;
  std::span<const Key> keys;             // not distinct: once for each node
  std::span<const std::uint16_t> nodes;  // [keys.size()]
  std::span<const float> values;         // [keys.size(), dimension]
};

/// One rank's part of one step for one shard. A rank without a gradient for the shard pushes an
/// empty list: a step is applied when all ranks have pushed.
struct PushRequest {
  std::uint32_t rank = 0;
  Step step = 0;
  float learning_rate = 0;  // of this step, the same on every rank; goes into the rate history
  std::span<const TreeNode> nodes;          // disjoint, in leaf order (RankNodes)
  std::span<const RowGradients> gradients;  // each table at most once
  StepFlags flags = 0;                      // what this rank wants of the step
};

/// Where a shard writes its part of the job's checkpoints.
struct SnapshotPlace {
  std::string folder;        // of the job's checkpoints, an absolute path
  std::string nonce;         // that the folder's file of that name holds (server/snapshot_place.h)
  std::uint64_t epoch = 0;   // of the job
  std::uint32_t shard = 0;   // this shard's number among all shards of the job
  std::uint32_t shards = 1;  // of the job
};

/// How far a shard's snapshot is.
struct SnapshotReport {
  enum class State : std::uint32_t { kWriting = 1, kDone = 2, kFailed = 3 };
  State state = State::kWriting;
  Step step = 0;
  std::uint64_t rows = 0;
  double stall_seconds = 0;  // that copying rows took from the shard so far
  std::string text;          // done: the file's record (JSON); failed: why; else: what its disk has
                             // not answered, and for how long; empty: nothing
};

/// Rows as a snapshot has them.
struct RowsToRestore {
  TableId table = 0;
  std::span<const Key> keys;                  // distinct
  std::span<const std::uint32_t> last_steps;  // [keys.size()]: the step that a record stands at
  std::span<const float> records;  // [keys.size(), weights and then each state of the optimizer]
};

}  // namespace dcn::ps
