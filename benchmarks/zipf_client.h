// One of several workers that pull from and push to one shard at the same time: frozen batches of
// Zipf-distributed keys, used in turn, over and over.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "benchmarks/job_ranks.h"
#include "ps/protocol.h"

namespace dcn::benchmarks {

/// Thread safety: none; clients may be used by different threads.
class ZipfClient {
 public:
  static constexpr std::size_t kBatches = 8;
  static constexpr std::size_t kBatchDraws = 8192;  // about half of them distinct keys
  static constexpr double kUniverse = 1e7;          // keys

  /// rank: its way to the shard; outlives this. number: of the rank, for its own keys.
  ZipfClient(JobRank& rank, int number, std::size_t dimension);

  /// The keys of a batch, batch % kBatches: distinct, increasing.
  [[nodiscard]] std::span<const ps::Key> keys(std::size_t batch) const {
    return keys_[batch % kBatches];
  }

  void Pull(std::size_t batch);
  /// Pushes the gradients of batch step - 1 and pulls batch `step` as of `step`.
  void PushPull(ps::Step step);

  /// What was pushed for the row in `step`; empty: nothing.
  [[nodiscard]] std::span<const float> Gradient(ps::Step step, ps::Key key) const;
  /// The row as the last request read it; empty: it did not ask for that row.
  [[nodiscard]] std::span<const float> Pulled(ps::Key key) const;

  /// Seconds that each request took since the last ForgetRequests, and the rows that these asked
  /// for.
  [[nodiscard]] const std::vector<double>& latencies() const { return latencies_; }
  [[nodiscard]] std::size_t rows() const { return rows_; }
  void ForgetRequests();

 private:
  [[nodiscard]] std::span<const float> RowIn(std::size_t batch, ps::Key key,
                                             const std::vector<float>& values) const;
  [[nodiscard]] ps::RowsToPull Wanted(std::size_t batch);

  JobRank& rank_;
  const std::size_t dimension_;
  std::array<std::vector<ps::Key>, kBatches> keys_;
  std::vector<float> gradients_;  // [keys, dimension], by position in any batch
  std::vector<float> pulled_;     // [keys, dimension], of the last pulled batch
  std::size_t pulled_batch_ = 0;
  std::vector<double> latencies_;
  std::size_t rows_ = 0;
};

}  // namespace dcn::benchmarks
