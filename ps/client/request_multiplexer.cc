#include "ps/client/request_multiplexer.h"

#include <algorithm>
#include <vector>

#include <fmt/core.h>

#include "common/check.h"

namespace dcn::ps {

std::uint64_t RequestMultiplexer::Add(Request request) {
  DCN_CHECK(request.body != nullptr && request.on_answer != nullptr);
  const std::uint64_t id = ++last_id_;
  const auto it = requests_.emplace_hint(requests_.end(), id, std::move(request));
  if (!failed_.ok()) {
    EndWithError(it, failed_.code(), failed_.message());
  } else if (const std::size_t bytes = it->second.body->size(); bytes > max_body_bytes_) {
    EndWithError(it, StatusCode::kInvalidArgument,
                 fmt::format("a request of {} bytes, at most {} are allowed: split it", bytes,
                             max_body_bytes_));
  }
  return id;
}

std::optional<RequestMultiplexer::Outgoing> RequestMultiplexer::TakeNextToSend() {
  const auto it = requests_.upper_bound(last_sent_);
  if (it == requests_.end()) return std::nullopt;
  last_sent_ = it->first;
  return Outgoing{.id = it->first, .type = it->second.type, .body = it->second.body};
}

Status RequestMultiplexer::OnFrame(const net::FrameHeader& header,
                                   std::span<const std::byte> body) {
  const std::string type = MessageTypeName(header.type);
  if ((header.flags & ~kKnownFlags) != 0) {
    return Error(StatusCode::kDataLoss, "server {}: a frame of type {} with unknown flags {:#x}",
                 server_, type, header.flags);
  }
  const auto it = requests_.find(header.request_id);
  const bool is_pending = it != requests_.end();
  const std::uint64_t last_possible = is_pending ? last_sent_ : last_id_;
  if (header.request_id == 0 || header.request_id > last_possible) {
    return Error(StatusCode::kDataLoss, "server {}: {} answers request {}, which was not sent",
                 server_, type, header.request_id);
  }
  if (!is_pending) {
    ++late_answers_;
    return Status();
  }
  if (header.type == static_cast<std::uint16_t>(MessageType::kFailure)) {
    const Result<Failure> failure = DecodeFailure(body);
    if (!failure.ok()) {
      return Error(StatusCode::kDataLoss, "server {}, {}: {}", server_, it->second.description,
                   failure.status().message());
    }
    EndWithError(it, failure.value().code, failure.value().text);
    return Status();
  }
  if (header.type != static_cast<std::uint16_t>(it->second.answer)) {
    return Error(StatusCode::kDataLoss, "server {}, {}: answered by {}, must be {}", server_,
                 it->second.description, type,
                 MessageTypeName(static_cast<std::uint16_t>(it->second.answer)));
  }
  End(it, Status(), body);
  return Status();
}

void RequestMultiplexer::OnDisconnected() { last_sent_ = 0; }

void RequestMultiplexer::Expire(TimePoint now) {
  std::vector<std::uint64_t> overdue;
  for (const auto& [id, request] : requests_) {
    if (request.deadline <= now) overdue.push_back(id);
  }
  for (const std::uint64_t id : overdue) {
    const auto it = requests_.find(id);
    if (it == requests_.end()) continue;  // ended by a handler of this loop
    EndWithError(it, StatusCode::kDeadlineExceeded,
                 id <= last_sent_ ? "sent, but not answered within its deadline"
                                  : "not sent within its deadline: no connection");
  }
}

void RequestMultiplexer::FailAll(const Status& status) {
  DCN_CHECK(!status.ok());
  if (failed_.ok()) failed_ = status;
  while (!requests_.empty()) {
    EndWithError(requests_.begin(), failed_.code(), failed_.message());
  }
}

std::optional<RequestMultiplexer::TimePoint> RequestMultiplexer::next_deadline() const {
  if (requests_.empty()) return std::nullopt;
  const auto earlier = [](const auto& a, const auto& b) {
    return a.second.deadline < b.second.deadline;
  };
  return std::ranges::min_element(requests_, earlier)->second.deadline;
}

void RequestMultiplexer::End(Requests::iterator it, const Status& status,
                             std::span<const std::byte> body) {
  // Out of the books first: the handler may add, expire or fail others.
  const AnswerHandler on_answer = std::move(it->second.on_answer);
  requests_.erase(it);
  on_answer(status, body);
}

void RequestMultiplexer::EndWithError(Requests::iterator it, StatusCode code,
                                      std::string_view what) {
  End(it, Error(code, "server {}, {}: {}", server_, it->second.description, what), {});
}

}  // namespace dcn::ps
