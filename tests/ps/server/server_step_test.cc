// Steps through a server on a socket and through ranks in its process: whoever comes first, however
// often a request is repeated, the rows are those of one Shard object.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "ps/server/server.h"
#include "ps/server/shard.h"
#include "tests/ps/float_bits.h"
#include "tests/ps/push_parts.h"
#include "tests/ps/server/raw_client.h"

namespace dcn::ps {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using testing::Bits;
using testing::CreateTablesBody;
using ::testing::HasSubstr;
using testing::PushParts;
using testing::PushPullBody;
using testing::RawClient;
using testing::ValuesOf;

constexpr std::uint32_t kLeaves = 8;
constexpr Key kKeys = 30;
constexpr Step kSteps = 6;
constexpr std::uint32_t kAllShards = ~std::uint32_t{0};
const std::vector<TableDefinition> kTables = {{"a", 4, {.seed = 1}, AdamOptions{}},
                                              {"b", 3, {.seed = 1}, AdagradOptions{}}};

// The part of a rank that belongs to one of `shards` shards, or all of it: a row of every table for
// about half of the keys.
PushParts Part(std::uint32_t rank, std::uint32_t ranks, Step step, std::uint32_t shard,
               std::uint32_t shards) {
  const auto nodes = RankNodes(rank, ranks, kLeaves);
  PushParts part(rank, step, 0.01F, nodes);
  const RandomStream random(step, rank);
  std::uint64_t index = 0;
  for (TableId table = 0; table < kTables.size(); ++table) {
    for (Key key = 0; key < kKeys; ++key) {
      for (const TreeNode& node : nodes) {
        const double chance = random.Uniform(index++);
        std::vector<float> values(kTables[table].dimension);
        for (float& value : values) value = static_cast<float>(random.Uniform(index++) - 0.5);
        if (chance < 0.5 || (shard != kAllShards && key % shards != shard)) continue;
        part.Add(table, key, node, values);
      }
    }
  }
  return part;
}

// All keys of a shard, with room for their values.
class AllRows {
 public:
  AllRows(std::uint32_t shard, std::uint32_t shards) {
    for (Key key = 0; key < kKeys; ++key) {
      if (shard == kAllShards || key % shards == shard) keys_.push_back(key);
    }
    for (TableId table = 0; table < kTables.size(); ++table) {
      values_.emplace_back(keys_.size() * kTables[table].dimension);
      rows_.push_back({table, keys_, values_.back()});
    }
  }
  [[nodiscard]] std::span<const RowsToPull> rows() const { return rows_; }
  void Take(const std::vector<float>& values) {
    std::size_t at = 0;
    for (std::vector<float>& of_table : values_) {
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(at), of_table.size(),
                  of_table.begin());
      at += of_table.size();
    }
    ASSERT_EQ(at, values.size());
  }
  // Adds the rows' bits under (table, key).
  void AddTo(std::map<std::pair<TableId, Key>, std::vector<std::uint32_t>>& all) const {
    for (TableId table = 0; table < kTables.size(); ++table) {
      const std::size_t dimension = kTables[table].dimension;
      for (std::size_t i = 0; i < keys_.size(); ++i) {
        const auto first = values_[table].begin() + static_cast<std::ptrdiff_t>(i * dimension);
        all[{table, keys_[i]}] =
            Bits(std::vector<float>(first, first + static_cast<std::ptrdiff_t>(dimension)));
      }
    }
  }

 private:
  std::vector<Key> keys_;
  std::vector<std::vector<float>> values_;
  std::vector<RowsToPull> rows_;
};

using RowBits = std::map<std::pair<TableId, Key>, std::vector<std::uint32_t>>;

// What one Shard makes of the same pushes.
RowBits RowsOfOneShard(std::uint32_t ranks, Step steps = kSteps) {
  Shard shard(ranks);
  EXPECT_TRUE(shard.CreateTables(kTables).ok());
  for (Step step = 1; step <= steps; ++step) {
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      PushParts part = Part(rank, ranks, step, kAllShards, 1);
      EXPECT_TRUE(shard.Push(part.Request()).ok());
    }
  }
  AllRows all(kAllShards, 1);
  EXPECT_TRUE(shard.Pull(all.rows()).ok());
  RowBits bits;
  all.AddTo(bits);
  return bits;
}

class ServerStepTest : public ::testing::Test {
 protected:
  void StartServer(std::uint32_t shards, std::chrono::milliseconds grace = 3000ms) {
    shards_ = shards;
    auto server = Server::Start({.shards = shards, .reconnect_grace = grace});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(*server);
  }

  static Hello Worker(std::uint32_t rank, std::uint32_t ranks) {
    return {.role = Role::kWorker, .rank = rank, .ranks = ranks, .job = "x", .token = {}};
  }

  std::unique_ptr<RawClient> Connect(std::uint32_t rank, std::uint32_t ranks) {
    auto client = std::make_unique<RawClient>(server_->port());
    const auto welcome = client->SayHello(Worker(rank, ranks), 1);
    if (!welcome.ok()) throw std::runtime_error(welcome.status().ToString());
    for (std::uint32_t shard = 0; shard < shards_; ++shard) {
      const auto answer = client->Ask(MessageType::kCreateTables, CreateTablesBody(shard, kTables));
      if (answer.type != MessageType::kDone) throw std::runtime_error("tables were refused");
    }
    return client;
  }

  std::unique_ptr<HostedRank> ConnectLocal(std::uint32_t rank, std::uint32_t ranks) {
    auto hosted = server_->ConnectLocal(Worker(rank, ranks), 1);
    if (!hosted.ok()) throw std::runtime_error(hosted.status().ToString());
    return std::move(*hosted);
  }

  static Body StepBody(std::uint32_t rank, std::uint32_t ranks, Step step, std::uint32_t shard,
                       std::uint32_t shards) {
    PushParts part = Part(rank, ranks, step, shard, shards);
    return PushPullBody(shard, part.Request(), AllRows(shard, shards).rows());
  }

  std::uint32_t shards_ = 0;
  std::unique_ptr<Server> server_;
};

// --- arrival
// ---------------------------------------------------------------------------------------

struct Arrival {
  std::uint32_t ranks;
  std::uint32_t shards;
  bool backwards;
};

class ArrivalTest : public ServerStepTest, public ::testing::WithParamInterface<Arrival> {};

TEST_P(ArrivalTest, GivesTheRowsOfOneShard) {
  const auto [ranks, shards, backwards] = GetParam();
  StartServer(shards);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) clients.push_back(Connect(rank, ranks));
  RowBits bits;
  for (Step step = 1; step <= kSteps; ++step) {
    // By rank and shard, the ids under which the answers come, in any order.
    std::vector<std::map<std::uint64_t, std::uint32_t>> shard_of(ranks);
    for (std::uint32_t i = 0; i < ranks; ++i) {
      const std::uint32_t rank = backwards ? ranks - 1 - i : i;
      for (std::uint32_t shard = 0; shard < shards; ++shard) {
        const auto id =
            clients[rank]->Send(MessageType::kPushPull, StepBody(rank, ranks, step, shard, shards));
        shard_of[rank][id] = shard;
      }
      if (i + 1 == ranks) break;
      // The pushes have arrived: their order is the test's.
      EXPECT_EQ(clients[rank]->Ask(MessageType::kPing).type, MessageType::kPong);
    }
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      for (std::uint32_t count = 0; count < shards; ++count) {
        const auto answer = clients[rank]->Receive();
        AllRows rows(shard_of[rank].at(answer.id), shards);
        rows.Take(ValuesOf(answer));
        if (rank == 0) rows.AddTo(bits);
        RowBits of_this;
        rows.AddTo(of_this);
        for (const auto& [row, row_bits] : of_this) EXPECT_EQ(row_bits, bits.at(row));
      }
    }
  }
  EXPECT_EQ(bits, RowsOfOneShard(ranks));
}

INSTANTIATE_TEST_SUITE_P(All, ArrivalTest,
                         ::testing::Values(Arrival{1, 1, false}, Arrival{1, 3, false},
                                           Arrival{2, 1, false}, Arrival{2, 1, true},
                                           Arrival{2, 3, false}, Arrival{2, 3, true},
                                           Arrival{3, 2, true}),
                         [](const auto& test) {
                           return std::to_string(test.param.ranks) + "_ranks_" +
                                  std::to_string(test.param.shards) + "_shards" +
                                  (test.param.backwards ? "_backwards" : "");
                         });

// --- repetitions
// -----------------------------------------------------------------------------------

TEST_F(ServerStepTest, ARepeatedPushThatWaitsIsAnsweredOnceOnTheNewConnection) {
  StartServer(1);
  auto first = Connect(0, 2);
  auto other = Connect(1, 2);
  const Body body = StepBody(0, 2, 1, 0, 1);
  first->Send(MessageType::kPushPull, body, 77);
  ASSERT_EQ(first->Ask(MessageType::kPing).type, MessageType::kPong);  // the push has arrived
  first = Connect(0, 2);
  first->Send(MessageType::kPushPull, body, 77);
  const auto last = other->Ask(MessageType::kPushPull, StepBody(1, 2, 1, 0, 1));
  const auto answer = first->Receive();
  EXPECT_EQ(answer.id, 77U);
  EXPECT_EQ(Bits(ValuesOf(answer)), Bits(ValuesOf(last)));
  EXPECT_EQ(first->Ask(MessageType::kPing).type, MessageType::kPong);  // nothing came before

  AllRows rows(0, 1);
  rows.Take(ValuesOf(answer));
  RowBits bits;
  rows.AddTo(bits);
  EXPECT_EQ(bits, RowsOfOneShard(2, 1));
}

TEST_F(ServerStepTest, ARepeatedPushOfAnAppliedStepIsAnsweredAndNotAppliedAgain) {
  StartServer(1);
  auto first = Connect(0, 2);
  auto other = Connect(1, 2);
  const Body body = StepBody(0, 2, 1, 0, 1);
  first->Send(MessageType::kPushPull, body, 77);
  const auto last = other->Ask(MessageType::kPushPull, StepBody(1, 2, 1, 0, 1));
  first = Connect(0, 2);  // without having read the answer
  for (int i = 0; i < 3; ++i) {
    first->Send(MessageType::kPushPull, body, 77);
    const auto answer = first->Receive();
    EXPECT_EQ(answer.id, 77U);
    EXPECT_EQ(Bits(ValuesOf(answer)), Bits(ValuesOf(last)));
  }
}

TEST_F(ServerStepTest, RefusesAPushForAnotherRank) {
  StartServer(1);
  auto client = Connect(0, 2);
  const Status status =
      RawClient::FailureOf(client->Ask(MessageType::kPushPull, StepBody(1, 2, 1, 0, 1)));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("rank 1"));
}

// --- losses
// ----------------------------------------------------------------------------------------

TEST_F(ServerStepTest, ALostRankBreaksTheEpochAndAnswersWhoWaits) {
  StartServer(2, 50ms);
  auto waiting = Connect(0, 3);
  auto idle = Connect(1, 3);
  auto lost = Connect(2, 3);
  waiting->Send(MessageType::kPushPull, StepBody(0, 3, 1, 0, 2));
  waiting->Send(MessageType::kPushPull, StepBody(0, 3, 1, 1, 2));
  lost.reset();
  for (int i = 0; i < 2; ++i) {
    const Status status = RawClient::FailureOf(waiting->Receive());
    EXPECT_EQ(status.code(), StatusCode::kUnavailable);
    EXPECT_THAT(status.message(), HasSubstr("rank 2 of job 'x' was lost"));
  }
  const Status later =
      RawClient::FailureOf(idle->Ask(MessageType::kPushPull, StepBody(1, 3, 1, 0, 2)));
  EXPECT_THAT(later.message(), HasSubstr("rank 2 of job 'x' was lost"));
  const Status end = RawClient::FailureOf(idle->Ask(MessageType::kEndJob));
  EXPECT_THAT(end.message(), HasSubstr("rank 2 of job 'x' was lost"));
  RawClient back(server_->port());
  EXPECT_THAT(back.SayHello(Worker(2, 3), 1).status().message(), HasSubstr("was lost"));

  // The next epoch is welcome at once.
  RawClient next(server_->port());
  EXPECT_TRUE(next.SayHello(Worker(0, 3), 2).ok());
}

TEST_F(ServerStepTest, StopAnswersWhoWaits) {
  StartServer(1);
  auto waiting = Connect(0, 2);
  waiting->Send(MessageType::kPushPull, StepBody(0, 2, 1, 0, 1));
  ASSERT_EQ(waiting->Ask(MessageType::kPing).type, MessageType::kPong);
  const Status stopped = server_->Stop(std::chrono::steady_clock::now() + 10s);
  EXPECT_TRUE(stopped.ok()) << stopped.ToString();
  const Status status = RawClient::FailureOf(waiting->Receive());
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("stopped"));
}

// --- ranks in the server's process
// -----------------------------------------------------------------

TEST_F(ServerStepTest, AHostedRankAndARemoteOneTrainTogether) {
  StartServer(2);
  const auto hosted = ConnectLocal(0, 2);
  ASSERT_EQ(hosted->shards(), 2U);
  auto remote = Connect(1, 2);
  std::vector<std::unique_ptr<ShardClient>> clients;
  for (std::uint32_t shard = 0; shard < 2; ++shard) {
    clients.push_back(hosted->MakeShard(shard, 10s));
    ASSERT_TRUE(clients.back()->CreateTables(kTables).ok());
  }
  RowBits bits;
  for (Step step = 1; step <= kSteps; ++step) {
    std::vector<PushParts> parts;
    std::vector<PushRequest> requests;
    std::vector<AllRows> rows;
    for (std::uint32_t shard = 0; shard < 2; ++shard) {
      parts.push_back(Part(0, 2, step, shard, 2));
      rows.emplace_back(shard, 2);
    }
    for (PushParts& part : parts) requests.push_back(part.Request());
    const auto start = [&] {
      for (std::uint32_t shard = 0; shard < 2; ++shard) {
        clients[shard]->StartPushPull(requests[shard], rows[shard].rows());
      }
    };
    const auto send = [&] {
      for (std::uint32_t shard = 0; shard < 2; ++shard) {
        remote->Send(MessageType::kPushPull, StepBody(1, 2, step, shard, 2));
      }
      ASSERT_EQ(remote->Ask(MessageType::kPing).type, MessageType::kPong);
    };
    if (step % 2 == 0) {
      start();
      for (std::uint32_t shard = 0; shard < 2; ++shard) {
        remote->Send(MessageType::kPushPull, StepBody(1, 2, step, shard, 2));
      }
    } else {
      send();
      start();
    }
    for (std::uint32_t shard = 0; shard < 2; ++shard) {
      const Status status = clients[shard]->Finish();
      ASSERT_TRUE(status.ok()) << status.ToString();
      rows[shard].AddTo(bits);
      EXPECT_EQ(RawClient::FailureOf(remote->Receive()).ToString(), "ok");
    }
  }
  EXPECT_EQ(bits, RowsOfOneShard(2));
  clients.clear();
  EXPECT_TRUE(hosted->EndJob(std::chrono::steady_clock::now() + 10s).ok());
  EXPECT_TRUE(*server_->IsJobHeld());
  EXPECT_EQ(remote->Ask(MessageType::kEndJob).type, MessageType::kDone);
  EXPECT_FALSE(*server_->IsJobHeld());
}

TEST_F(ServerStepTest, AHostedRequestGivesUpAndNamesWhoIsMissing) {
  StartServer(1);
  const auto hosted = ConnectLocal(0, 2);
  const auto client = hosted->MakeShard(0, 20ms);
  ASSERT_TRUE(client->CreateTables(kTables).ok());
  {
    PushParts part = Part(0, 2, 1, 0, 1);
    const PushRequest request = part.Request();
    AllRows rows(0, 1);
    client->StartPushPull(request, rows.rows());
    const Status status = client->Finish();
    EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded);
    EXPECT_EQ(status.message(),
              "push-pull of step 1, shard 0 of this process: no answer within 20 ms: waits for the "
              "push of rank 1");
  }
  // What the request pointed to is gone; the push is not, and the step goes on.
  auto remote = Connect(1, 2);
  const auto answer = remote->Ask(MessageType::kPushPull, StepBody(1, 2, 1, 0, 1));
  AllRows rows(0, 1);
  rows.Take(ValuesOf(answer));
  RowBits bits;
  rows.AddTo(bits);
  EXPECT_EQ(bits, RowsOfOneShard(2, 1));
}

TEST_F(ServerStepTest, AHostedRankThatGoesIsLostToTheOthers) {
  StartServer(1, 20ms);
  auto hosted = ConnectLocal(0, 2);
  auto remote = Connect(1, 2);
  remote->Send(MessageType::kPushPull, StepBody(1, 2, 1, 0, 1));
  hosted.reset();
  EXPECT_THAT(RawClient::FailureOf(remote->Receive()).message(),
              HasSubstr("rank 0 of job 'x' was lost"));
}

TEST_F(ServerStepTest, AHostedRequestLearnsThatAnotherRankWasLost) {
  StartServer(1, 20ms);
  const auto hosted = ConnectLocal(0, 2);
  auto remote = Connect(1, 2);
  const auto client = hosted->MakeShard(0, 10s);
  PushParts part = Part(0, 2, 1, 0, 1);
  const PushRequest request = part.Request();
  AllRows rows(0, 1);
  client->StartPushPull(request, rows.rows());
  remote.reset();
  const Status status = client->Finish();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("rank 1 of job 'x' was lost"));
  EXPECT_EQ(hosted->EndJob(std::chrono::steady_clock::now() + 10s).code(),
            StatusCode::kUnavailable);
}

TEST_F(ServerStepTest, AHostedShardRefusesWhatAShardRefuses) {
  StartServer(1);
  const auto hosted = ConnectLocal(0, 1);
  const auto client = hosted->MakeShard(0, 10s);
  PushParts early = Part(0, 1, 1, 0, 1);
  AllRows rows(0, 1);
  client->StartPushPull(early.Request(), rows.rows());
  EXPECT_EQ(client->Finish().code(), StatusCode::kOutOfRange);  // no tables yet
  ASSERT_TRUE(client->CreateTables(kTables).ok());
  const std::vector<Key> keys = {1, 2};
  EXPECT_EQ(client->Assign(0, keys, std::vector<float>(3)).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(client->Assign(9, keys, std::vector<float>(8)).code(), StatusCode::kOutOfRange);
  const std::vector<float> values(8, 0.5F);
  ASSERT_TRUE(client->Assign(0, keys, values).ok());
  std::vector<float> read(8);
  const std::vector<RowsToPull> pull = {{.table = 0, .keys = keys, .values = read}};
  client->StartPull(pull);
  ASSERT_TRUE(client->Finish().ok());
  EXPECT_EQ(read, values);
}

}  // namespace
}  // namespace dcn::ps
