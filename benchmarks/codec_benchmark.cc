// The messages of a training step as bytes, without any socket: a push-pull, a pull and the rows
// that answer it are encoded and decoded, frames are sealed and checked, in the sizes of a batch of
// MovieLens-1M and with rows of 8 to 256 floats.
//
// Decoding an array checks its bounds and makes a view, so its time hardly grows with the rows;
// what reads every byte of a message that comes in is the check of its frame.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <variant>

#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "benchmarks/benchmark_main.h"
#include "benchmarks/step_request.h"
#include "common/check.h"
#include "common/net/frame.h"
#include "ps/message.h"

namespace dcn::benchmarks {
namespace {

constexpr std::uint32_t kShard = 1;
constexpr ps::Step kStep = StepRequest::kStep;

void CheckPull(std::span<const ps::PullKeys> decoded, const StepRequest& request) {
  DCN_CHECK_EQ(decoded.size(), request.pull().size());
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    DCN_CHECK_EQ(decoded[i].table, request.pull()[i].table);
    DCN_CHECK_EQ(decoded[i].dimension, request.dimension());
    DCN_CHECK(std::ranges::equal(decoded[i].keys, request.pull()[i].keys));
  }
}

void CheckPushPull(const ps::PushPullMessage& decoded, const StepRequest& request) {
  const ps::PushRequest push = request.push();
  DCN_CHECK_EQ(decoded.shard, kShard);
  DCN_CHECK_EQ(decoded.push.rank, push.rank);
  DCN_CHECK_EQ(decoded.push.step, push.step);
  DCN_CHECK_EQ(decoded.push.learning_rate, push.learning_rate);
  DCN_CHECK(std::ranges::equal(decoded.push.nodes, push.nodes));
  DCN_CHECK_EQ(decoded.push.gradients.size(), push.gradients.size());
  for (std::size_t i = 0; i < push.gradients.size(); ++i) {
    const ps::RowGradients& rows = decoded.push.gradients[i];
    DCN_CHECK_EQ(rows.table, push.gradients[i].table);
    DCN_CHECK(std::ranges::equal(rows.keys, push.gradients[i].keys));
    DCN_CHECK(std::ranges::equal(rows.nodes, push.gradients[i].nodes));
    DCN_CHECK(std::ranges::equal(rows.values, push.gradients[i].values));
  }
  CheckPull(decoded.pull, request);
}

void EncodeValues(const StepRequest& request, ps::Body& body) {
  std::ranges::copy(request.values(), ps::EncodeRows(kStep, request.values().size(), body).begin());
}

void CheckRows(const ps::Body& body, const StepRequest& request) {
  const ps::RowsMessage rows = ValueOrThrow(ps::DecodeRows(body));
  DCN_CHECK_EQ(rows.step, kStep);
  DCN_CHECK(std::ranges::equal(rows.values, request.values()));
}

void CountRows(benchmark::State& state, const StepRequest& request, const ps::Body& body) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(request.rows()));
  state.counters["body_bytes"] = static_cast<double>(body.size());
}

// For what reads or writes every byte.
void CountBytes(benchmark::State& state, const ps::Body& body) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(body.size()));
}

void BenchmarkEncodePushPull(benchmark::State& state, const StepRequest& request) {
  ps::Body body;
  for (auto _ : state) {
    ps::EncodePushPull(kShard, request.push(), request.pull(), body);
    benchmark::ClobberMemory();
  }
  ps::PushPullMessage decoded;
  ThrowIfError(ps::DecodePushPull(body, decoded));
  CheckPushPull(decoded, request);
  CountRows(state, request, body);
  CountBytes(state, body);
}

void BenchmarkDecodePushPull(benchmark::State& state, const StepRequest& request) {
  ps::Body body;
  ps::EncodePushPull(kShard, request.push(), request.pull(), body);
  ps::PushPullMessage decoded;
  for (auto _ : state) {
    ThrowIfError(ps::DecodePushPull(body, decoded));
    benchmark::ClobberMemory();
  }
  CheckPushPull(decoded, request);
  CountRows(state, request, body);
}

void BenchmarkEncodePull(benchmark::State& state, const StepRequest& request) {
  ps::Body body;
  for (auto _ : state) {
    ps::EncodePull(kShard, request.pull(), body);
    benchmark::ClobberMemory();
  }
  ps::PullMessage decoded;
  ThrowIfError(ps::DecodePull(body, decoded));
  DCN_CHECK_EQ(decoded.shard, kShard);
  CheckPull(decoded.pull, request);
  CountRows(state, request, body);
  CountBytes(state, body);
}

void BenchmarkDecodePull(benchmark::State& state, const StepRequest& request) {
  ps::Body body;
  ps::EncodePull(kShard, request.pull(), body);
  ps::PullMessage decoded;
  for (auto _ : state) {
    ThrowIfError(ps::DecodePull(body, decoded));
    benchmark::ClobberMemory();
  }
  CheckPull(decoded.pull, request);
  CountRows(state, request, body);
}

// The copy of the values is part of it: a shard reads its rows right into the body.
void BenchmarkEncodeRows(benchmark::State& state, const StepRequest& request) {
  ps::Body body;
  for (auto _ : state) {
    EncodeValues(request, body);
    benchmark::ClobberMemory();
  }
  CheckRows(body, request);
  CountRows(state, request, body);
  CountBytes(state, body);
}

void BenchmarkDecodeRows(benchmark::State& state, const StepRequest& request) {
  ps::Body body;
  EncodeValues(request, body);
  for (auto _ : state) {
    const ps::RowsMessage rows = ValueOrThrow(ps::DecodeRows(body));
    benchmark::DoNotOptimize(rows.values.data());
  }
  CheckRows(body, request);
  CountRows(state, request, body);
}

using FrameBytes = std::array<std::byte, net::kFrameHeaderBytes>;

FrameBytes SealFrame(const ps::Body& body) {
  return net::EncodeFrameHeader(
      {.type = static_cast<std::uint16_t>(ps::MessageType::kRows), .request_id = 7, .job_epoch = 3},
      body);
}

bool IsSealed(const FrameBytes& bytes, const ps::Body& body) {
  const auto decoded = net::DecodeFrameHeader(bytes, ps::kMaxBodyBytes);
  const auto* const header = std::get_if<net::FrameHeader>(&decoded);
  return header != nullptr && net::IsBodyIntact(*header, body);
}

// The whole of it passes, a changed bit anywhere does not.
void CheckFrame(const FrameBytes& bytes, ps::Body& body) {
  DCN_CHECK(IsSealed(bytes, body));
  for (const std::size_t at : {std::size_t{0}, body.size() / 2, body.size() - 1}) {
    body[at] ^= std::byte{1};
    DCN_CHECK(!IsSealed(bytes, body));
    body[at] ^= std::byte{1};
  }
  const auto header = std::get<net::FrameHeader>(net::DecodeFrameHeader(bytes, body.size()));
  DCN_CHECK_EQ(header.type, static_cast<std::uint16_t>(ps::MessageType::kRows));
  DCN_CHECK_EQ(header.request_id, 7U);
  DCN_CHECK_EQ(header.job_epoch, 3U);
}

void BenchmarkSealFrame(benchmark::State& state, const StepRequest& request) {
  ps::Body body;
  EncodeValues(request, body);
  FrameBytes bytes{};
  for (auto _ : state) {
    bytes = SealFrame(body);
    benchmark::DoNotOptimize(bytes);
  }
  CheckFrame(bytes, body);
  CountRows(state, request, body);
  CountBytes(state, body);
}

void BenchmarkCheckFrame(benchmark::State& state, const StepRequest& request) {
  ps::Body body;
  EncodeValues(request, body);
  const FrameBytes bytes = SealFrame(body);
  bool is_sealed = true;
  for (auto _ : state) is_sealed = IsSealed(bytes, body) && is_sealed;
  DCN_CHECK(is_sealed);
  ps::Body copy = body;
  CheckFrame(bytes, copy);
  CountRows(state, request, body);
  CountBytes(state, body);
}

void Register(const BenchmarkOptions&) {
  using Run = void (*)(benchmark::State&, const StepRequest&);
  const auto add = [](const char* what, std::size_t dimension, Run run) {
    const std::string name = fmt::format("{}/dimension:{}", what, dimension);
    WithExtremes(benchmark::RegisterBenchmark(name.c_str(),
                                              [dimension, run](benchmark::State& state) {
                                                run(state, StepRequest(dimension));
                                              }))
        ->MinTime(0.1)
        ->Unit(benchmark::kMicrosecond);
  };
  for (const std::size_t dimension : {8U, 32U, 128U, 256U}) {
    add("EncodePushPull", dimension, BenchmarkEncodePushPull);
    add("DecodePushPull", dimension, BenchmarkDecodePushPull);
    add("EncodeRows", dimension, BenchmarkEncodeRows);
    add("DecodeRows", dimension, BenchmarkDecodeRows);
    add("SealFrame", dimension, BenchmarkSealFrame);
    add("CheckFrame", dimension, BenchmarkCheckFrame);
  }
  // A pull is keys alone: the same bytes whatever the dimension.
  add("EncodePull", 32, BenchmarkEncodePull);
  add("DecodePull", 32, BenchmarkDecodePull);
}

}  // namespace
}  // namespace dcn::benchmarks

int main(int argc, char** argv) {
  return dcn::benchmarks::RunBenchmarks(argc, argv, dcn::benchmarks::Register);
}
