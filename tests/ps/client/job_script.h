// A job as several ranks run it, drawn at random from a seed: steps, reads, assignments. Running it
// against two kinds of shards shows whether they are the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/random.h"
#include "common/status.h"
#include "common/thread_pool.h"
#include "ps/partition.h"
#include "ps/server/local_shard.h"
#include "ps/server/shard.h"
#include "ps/shard_client.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/push_parts.h"

namespace dcn::ps::testing {

/// Every optimizer, and sizes that fit no vector register.
inline const std::vector<TableDefinition>& ScriptTables() {
  static const std::vector<TableDefinition> tables = {{"adam", 32, {.seed = 1}, AdamOptions{}},
                                                      {"lazy", 7, {.seed = 2}, LazyAdamOptions{}},
                                                      {"adagrad", 3, {.seed = 3}, AdagradOptions{}},
                                                      {"sgd", 1, {.seed = 4}, SgdOptions{}}};
  return tables;
}

/// One rank's clients, by shard of the job.
using RankClients = std::vector<ShardClient*>;

/// Runs the phases of a round for every rank; a rank's phases one after the other.
using RoundRunner =
    std::function<void(std::size_t ranks, const std::vector<std::function<void(std::size_t)>>&)>;

/// All ranks on one thread, phase by phase.
inline void RunPhaseByPhase(std::size_t ranks,
                            const std::vector<std::function<void(std::size_t)>>& phases) {
  for (const auto& phase : phases) {
    for (std::size_t rank = 0; rank < ranks; ++rank) phase(rank);
  }
}

/// Each rank on a thread of its own.
inline RoundRunner RunOnThreads(ThreadPool& pool) {
  return [&pool](std::size_t ranks, const std::vector<std::function<void(std::size_t)>>& phases) {
    pool.ParallelFor(ranks, [&phases](int /*thread*/, std::size_t rank) {
      for (const auto& phase : phases) phase(rank);
    });
  };
}

class JobScript {
 public:
  /// What came of it: the bits of every value that was read, by rank, in order.
  using Outcome = std::vector<std::vector<std::uint32_t>>;

  JobScript(std::uint64_t seed, std::size_t rounds) : seed_(seed), rounds_(rounds) {}

  /// clients: by rank. An error: the first one, by rank; a rank that has one does nothing more.
  [[nodiscard]] Result<Outcome> Run(const std::vector<RankClients>& clients,
                                    const RoundRunner& run) const {
    std::vector<RankState> ranks(clients.size());
    for (std::size_t rank = 0; rank < clients.size(); ++rank) ranks[rank].shards = clients[rank];
    run(ranks.size(), {[&](std::size_t rank) { CreateTables(ranks[rank]); }});
    Step step = 0;
    for (std::size_t round = 0; round < rounds_; ++round) {
      const RandomStream random(seed_, round);
      const std::uint32_t kind = random.Word(0) % 4;
      const std::size_t chosen = random.Word(1) % ranks.size();
      if (kind == 0) {
        Assign(ranks[chosen], RandomStream(seed_ + 1, round));
        continue;
      }
      if (kind != 1) ++step;
      const auto start = [&, round, step](std::size_t rank) {
        const RandomStream own(seed_ + 2 + rank, round);
        kind == 1 ? StartPull(ranks[rank], own)
                  : StartPushPull(ranks[rank], own, static_cast<std::uint32_t>(rank),
                                  static_cast<std::uint32_t>(ranks.size()), step);
      };
      run(ranks.size(), {start, [&](std::size_t rank) { Finish(ranks[rank]); }});
    }
    Outcome outcome;
    for (RankState& rank : ranks) {
      DCN_RETURN_IF_ERROR(rank.error);
      outcome.push_back(std::move(rank.bits));
    }
    return outcome;
  }

  /// What comes of it with shards in this process.
  [[nodiscard]] Result<Outcome> RunLocally(std::uint32_t ranks, std::size_t shards) const {
    std::vector<std::unique_ptr<Shard>> owned;
    std::vector<std::unique_ptr<LocalShard>> locals;
    std::vector<RankClients> clients(ranks);
    for (std::size_t shard = 0; shard < shards; ++shard) {
      owned.push_back(std::make_unique<Shard>(ranks));
      for (std::uint32_t rank = 0; rank < ranks; ++rank) {
        locals.push_back(std::make_unique<LocalShard>(*owned.back(), rank));
        clients[rank].push_back(locals.back().get());
      }
    }
    return Run(clients, RunPhaseByPhase);
  }

 private:
  static constexpr Key kKeys = 60;
  static constexpr std::uint32_t kLeaves = 16;

  // What a rank has under way in one shard.
  struct Request {
    std::unique_ptr<PushParts> push;
    std::vector<std::vector<Key>> keys;  // by table
    std::vector<std::vector<float>> values;
    std::vector<RowsToPull> pull;
  };
  struct RankState {
    RankClients shards;
    std::vector<Request> requests;  // by shard
    std::vector<std::uint32_t> bits;
    Status error;
  };

  static void Note(RankState& rank, const Status& status) {
    if (rank.error.ok()) rank.error = status;
  }

  static void CreateTables(RankState& rank) {
    for (ShardClient* const shard : rank.shards) Note(rank, shard->CreateTables(ScriptTables()));
  }

  // Some of the keys of a table that live in a shard.
  static std::vector<Key> SomeKeys(const RandomStream& random, std::size_t shard,
                                   std::size_t shards, TableId table) {
    std::vector<Key> keys;
    for (Key key = 0; key < kKeys; ++key) {
      if (ShardOf(table, key, static_cast<std::uint32_t>(shards)) != shard) continue;
      if (random.Word(1000 + table * kKeys + key) % 3 == 0) keys.push_back(key);
    }
    return keys;
  }

  static void Assign(RankState& rank, const RandomStream& random) {
    if (!rank.error.ok()) return;
    const std::size_t shard = random.Word(0) % rank.shards.size();
    const TableId table = random.Word(1) % static_cast<std::uint32_t>(ScriptTables().size());
    const std::vector<Key> keys = SomeKeys(random, shard, rank.shards.size(), table);
    std::vector<float> values(keys.size() * ScriptTables()[table].dimension);
    random.FillUniform(1.0F, 4000, values);
    Note(rank, rank.shards[shard]->Assign(table, keys, values));
  }

  static void PreparePull(RankState& rank, const RandomStream& random) {
    rank.requests.clear();
    rank.requests.resize(rank.shards.size());
    for (std::size_t shard = 0; shard < rank.shards.size(); ++shard) {
      Request& request = rank.requests[shard];
      for (TableId table = 0; table < ScriptTables().size(); ++table) {
        if (random.Word(10 + shard * 10 + table) % 5 == 0) continue;  // not every table
        request.keys.push_back(SomeKeys(random, shard, rank.shards.size(), table));
        request.values.emplace_back(request.keys.back().size() * ScriptTables()[table].dimension);
        request.pull.push_back({.table = table, .keys = {}, .values = {}});
      }
      for (std::size_t i = 0; i < request.pull.size(); ++i) {
        request.pull[i].keys = request.keys[i];
        request.pull[i].values = request.values[i];
      }
    }
  }

  static void StartPull(RankState& rank, const RandomStream& random) {
    if (!rank.error.ok()) return;
    PreparePull(rank, random);
    for (std::size_t shard = 0; shard < rank.shards.size(); ++shard) {
      rank.shards[shard]->StartPull(rank.requests[shard].pull);
    }
  }

  static void StartPushPull(RankState& rank, const RandomStream& random, std::uint32_t number,
                            std::uint32_t ranks, Step step) {
    if (!rank.error.ok()) return;
    PreparePull(rank, random);
    const std::vector<TreeNode> nodes = RankNodes(number, ranks, kLeaves);
    for (std::size_t shard = 0; shard < rank.shards.size(); ++shard) {
      Request& request = rank.requests[shard];
      request.push =
          std::make_unique<PushParts>(number, step, step % 7 == 0 ? 0.003F : 0.01F, nodes);
      AddGradients(*request.push, random, shard, rank.shards.size(), nodes);
      rank.shards[shard]->StartPushPull(request.push->Request(), request.pull);
    }
  }

  static void AddGradients(PushParts& push, const RandomStream& random, std::size_t shard,
                           std::size_t shards, const std::vector<TreeNode>& nodes) {
    std::uint64_t word = 100'000;
    for (TableId table = 0; table < ScriptTables().size(); ++table) {
      for (Key key = 0; key < kKeys; ++key) {
        for (const TreeNode& node : nodes) {
          word += 4;
          if (ShardOf(table, key, static_cast<std::uint32_t>(shards)) != shard) continue;
          if (random.Uniform(word) * static_cast<double>(key + 2) > 1) continue;
          std::vector<float> values(ScriptTables()[table].dimension);
          random.FillUniform(0.1F, 1'000'000 + word * 32, values);
          push.Add(table, key, node, values);
        }
      }
    }
  }

  static void Finish(RankState& rank) {
    if (!rank.error.ok()) return;
    for (std::size_t shard = 0; shard < rank.shards.size(); ++shard) {
      Note(rank, rank.shards[shard]->Finish());
    }
    for (const Request& request : rank.requests) {
      for (const std::vector<float>& values : request.values) {
        const auto bits = Bits(values);
        rank.bits.insert(rank.bits.end(), bits.begin(), bits.end());
      }
    }
  }

  const std::uint64_t seed_;
  const std::size_t rounds_;
};

}  // namespace dcn::ps::testing
