#include "benchmarks/job_ranks.h"

#include <utility>

#include "benchmarks/benchmark_main.h"
#include "benchmarks/side_by_side.h"
#include "common/check.h"

namespace dcn::benchmarks {

JobRank::JobRank(std::uint32_t rank, std::uint32_t ranks, const std::string& address)
    : rank_(rank) {
  ps::JobConnectionOptions options;
  options.servers.push_back({.addresses = {address}, .incarnation = 0});
  options.job = "benchmark";
  options.rank = rank;
  options.ranks = ranks;
  connection_ = ValueOrThrow(ps::JobConnection::Create(std::move(options)));
}

void JobRank::PushPull(ps::Step step, std::span<const ps::Key> keys,
                       std::span<const float> gradients, std::span<const ps::RowsToPull> pull) {
  if (nodes_.size() < keys.size()) nodes_.resize(keys.size(), 0);
  const TreeNode node{0, rank_};
  const ps::RowGradients push = {
      .table = 0, .keys = keys, .nodes = std::span(nodes_).first(keys.size()), .values = gradients};
  shard_->StartPushPull({.rank = rank_,
                         .step = step,
                         .learning_rate = kLearningRate,
                         .nodes = std::span(&node, 1),
                         .gradients = std::span(&push, 1)},
                        pull);
  ThrowIfError(shard_->Finish());
}

void JobRank::Pull(const ps::RowsToPull& rows) {
  shard_->StartPull(std::span(&rows, 1));
  ThrowIfError(shard_->Finish());
}

JobRanks::JobRanks(const std::string& address, std::uint32_t ranks,
                   const ps::TableDefinition& table) {
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    ranks_.push_back(std::make_unique<JobRank>(rank, ranks, address));
  }
  const std::uint64_t epoch = ValueOrThrow(ranks_[0]->connection_->QueryLastEpoch()) + 1;
  RunSideBySide(size(), [&](int rank) {
    JobRank& own = (*this)[rank];
    ThrowIfError(own.connection_->Connect(epoch));
    own.shard_ = std::move(own.connection_->MakeShards(0)[0]);
    ThrowIfError(own.shard_->CreateTables(std::span(&table, 1)));
  });
}

JobRanks::~JobRanks() {
  // Whether the server hears of it no longer matters: it belongs to the benchmark.
  for (const auto& rank : ranks_) {
    rank->shard_.reset();
    (void)rank->connection_->EndJob();
  }
}

}  // namespace dcn::benchmarks
