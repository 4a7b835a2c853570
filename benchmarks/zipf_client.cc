#include "benchmarks/zipf_client.h"

#include <algorithm>
#include <cstdint>

#include "benchmarks/zipf.h"
#include "common/clock.h"
#include "common/random.h"

namespace dcn::benchmarks {

ZipfClient::ZipfClient(JobRank& rank, int number, std::size_t dimension)
    : rank_(rank), dimension_(dimension) {
  const auto own = static_cast<std::uint64_t>(number);
  Zipf zipf(kZipfExponent, kUniverse, RandomStream(1, StreamId("benchmark/zipf") + own));
  std::size_t most_keys = 0;
  for (std::vector<ps::Key>& keys : keys_) {
    DrawZipfKeys(zipf, kBatchDraws, keys);
    most_keys = std::max(most_keys, keys.size());
  }
  gradients_.resize(most_keys * dimension);
  RandomStream(1, StreamId("benchmark/gradients") + own).FillUniform(0.01F, 0, gradients_);
  pulled_.resize(most_keys * dimension);
}

ps::RowsToPull ZipfClient::Wanted(std::size_t batch) {
  pulled_batch_ = batch;
  return {.table = 0,
          .keys = keys(batch),
          .values = std::span(pulled_).first(keys(batch).size() * dimension_)};
}

void ZipfClient::Pull(std::size_t batch) {
  const ps::RowsToPull wanted = Wanted(batch);
  const Stopwatch stopwatch;
  rank_.Pull(wanted);
  latencies_.push_back(stopwatch.seconds());
  rows_ += wanted.keys.size();
}

void ZipfClient::PushPull(ps::Step step) {
  const ps::RowsToPull wanted = Wanted(step);
  const std::span<const ps::Key> pushed = keys(step - 1);
  const Stopwatch stopwatch;
  rank_.PushPull(step, pushed, std::span(gradients_).first(pushed.size() * dimension_),
                 std::span(&wanted, 1));
  latencies_.push_back(stopwatch.seconds());
  rows_ += wanted.keys.size();
}

std::span<const float> ZipfClient::Gradient(ps::Step step, ps::Key key) const {
  return RowIn(step - 1, key, gradients_);
}

std::span<const float> ZipfClient::Pulled(ps::Key key) const {
  return RowIn(pulled_batch_, key, pulled_);
}

std::span<const float> ZipfClient::RowIn(std::size_t batch, ps::Key key,
                                         const std::vector<float>& values) const {
  const std::span<const ps::Key> keys = this->keys(batch);
  const auto found = std::ranges::lower_bound(keys, key);
  if (found == keys.end() || *found != key) return {};
  const auto position = static_cast<std::size_t>(found - keys.begin());
  return std::span(values).subspan(position * dimension_, dimension_);
}

void ZipfClient::ForgetRequests() {
  latencies_.clear();
  rows_ = 0;
}

}  // namespace dcn::benchmarks
