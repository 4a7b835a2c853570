// The workers of one job beside each other in this process, each with a connection of its own to
// the only shard of a server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ps/client/job_connection.h"
#include "ps/protocol.h"
#include "ps/shard_client.h"

namespace dcn::benchmarks {

/// One worker of a job with one table. Rank r's gradients are leaf r of the step's tree.
/// Thread safety: none; ranks may be used by different threads.
class JobRank {
 public:
  static constexpr float kLearningRate = 0.01F;

  JobRank(std::uint32_t rank, std::uint32_t ranks, const std::string& address);

  /// Pushes `gradients` [keys.size(), dimension] for `step` and pulls `pull`, which may be empty,
  /// as of that step: waits until all ranks have pushed theirs. keys: distinct, increasing.
  void PushPull(ps::Step step, std::span<const ps::Key> keys, std::span<const float> gradients,
                std::span<const ps::RowsToPull> pull);
  void Pull(const ps::RowsToPull& rows);

 private:
  friend class JobRanks;
  const std::uint32_t rank_;
  std::unique_ptr<ps::JobConnection> connection_;
  std::unique_ptr<ps::ShardClient> shard_;
  std::vector<std::uint16_t> nodes_;  // the only node, for every key
};

/// All of them, connected; the job is theirs from beginning to end.
class JobRanks {
 public:
  /// address: of a server with one shard and no job. ranks: >= 1.
  JobRanks(const std::string& address, std::uint32_t ranks, const ps::TableDefinition& table);
  /// Ends the job.
  ~JobRanks();
  JobRanks(const JobRanks&) = delete;
  JobRanks& operator=(const JobRanks&) = delete;

  [[nodiscard]] int size() const { return static_cast<int>(ranks_.size()); }
  [[nodiscard]] JobRank& operator[](int rank) { return *ranks_[static_cast<std::size_t>(rank)]; }

 private:
  std::vector<std::unique_ptr<JobRank>> ranks_;
};

}  // namespace dcn::benchmarks
