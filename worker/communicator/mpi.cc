#include "worker/communicator/mpi.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <limits>
#include <string>
#include <vector>

#include <fmt/ranges.h>
#include <mpi.h>

#include "common/check.h"
#include "worker/communicator/back_off.h"
#include "worker/communicator/piece_copy.h"

namespace dcn::comm {
namespace {

// How often the watch of an exchange that waits is asked.
constexpr std::chrono::milliseconds kWatchInterval{50};

using Clock = std::chrono::steady_clock;

// MPI counts in int; longer pieces go in parts of this size.
constexpr std::size_t kMaxPartBytes = std::size_t{1} << 30;
static_assert(kMaxPartBytes <= std::size_t{std::numeric_limits<int>::max()});
constexpr int kTag = 1;

Status FromMpi(int code, std::string_view what, StatusCode status = StatusCode::kInternal) {
  if (code == MPI_SUCCESS) return Status();
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  return Error(status, "{}: MPI: {}", what,
               std::string_view(text, static_cast<std::size_t>(length)));
}

// Of an exchange with other ranks: whatever MPI reports, it is lost.
Status FromExchange(int code, std::string_view what) {
  return FromMpi(code, what, StatusCode::kUnavailable);
}

}  // namespace

// Open requests of one exchange; the lists keep their memory.
struct MpiSession::Requests {
  struct Part {
    int peer = 0;
    bool is_receive = false;
    std::size_t bytes = 0;
  };
  std::vector<MPI_Request> open;
  std::vector<MPI_Status> statuses;
  std::vector<int> ended;  // indices of one MPI_Testsome
  std::vector<Part> parts;
  std::size_t left = 0;
};

Result<std::unique_ptr<MpiSession>> MpiSession::Start(std::chrono::milliseconds timeout) {
  int is_initialized = 0;
  DCN_RETURN_IF_ERROR(FromMpi(MPI_Initialized(&is_initialized), "asking whether MPI is started"));
  if (is_initialized != 0) {
    return Error(StatusCode::kInternal, "MPI was already started in this process");
  }
  int granted = 0;
  DCN_RETURN_IF_ERROR(
      FromMpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &granted), "starting MPI"));
  if (granted < MPI_THREAD_FUNNELED) {
    return Error(StatusCode::kInternal,
                 "this MPI library grants thread level {}, and MPI_THREAD_FUNNELED ({}) is needed",
                 granted, static_cast<int>(MPI_THREAD_FUNNELED));
  }
  std::unique_ptr<MpiSession> session(new MpiSession(timeout));
  DCN_RETURN_IF_ERROR(
      FromMpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "setting up MPI"));
  DCN_RETURN_IF_ERROR(FromMpi(MPI_Comm_rank(MPI_COMM_WORLD, &session->rank_), "asking the rank"));
  DCN_RETURN_IF_ERROR(FromMpi(MPI_Comm_size(MPI_COMM_WORLD, &session->size_), "asking the size"));
  return session;
}

MpiSession::MpiSession(std::chrono::milliseconds timeout)
    : timeout_(timeout), requests_(std::make_unique<Requests>()) {}

MpiSession::~MpiSession() {
  // Others may be waiting for this rank in an exchange, and this one would wait for them here.
  if (is_broken_ || std::uncaught_exceptions() > 0) Abort(EXIT_FAILURE);
  MPI_Finalize();
}

void MpiSession::Abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);  // MPI_Abort does not return; the compiler cannot know
}

std::string MpiSession::LibraryVersion() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  if (MPI_Get_library_version(text, &length) != MPI_SUCCESS) return "unknown";
  const std::string_view all(text, static_cast<std::size_t>(length));
  return std::string(all.substr(0, all.find_first_of(",\n")));
}

Status MpiSession::Exchange(std::span<const SendPiece> send, std::span<const ReceivePiece> receive,
                            std::string_view what) {
  const auto own = static_cast<std::size_t>(rank_);
  DCN_CHECK_EQ(send.size(), static_cast<std::size_t>(size_));
  DCN_CHECK_EQ(receive.size(), static_cast<std::size_t>(size_));
  DCN_CHECK(!is_broken_);
  Status status = CopyPiece(send[own], receive[own], rank_, rank_, what);
  if (status.ok()) status = StartPieces(send, receive, what);
  if (status.ok()) status = Wait(what);
  is_broken_ = !status.ok();
  return status;
}

Status MpiSession::StartPieces(std::span<const SendPiece> send,
                               std::span<const ReceivePiece> receive, std::string_view what) {
  requests_->open.clear();
  requests_->parts.clear();
  const auto add = [&](std::size_t peer, bool is_receive, std::size_t bytes) -> MPI_Request* {
    requests_->parts.push_back({static_cast<int>(peer), is_receive, bytes});
    return &requests_->open.emplace_back(MPI_REQUEST_NULL);
  };
  for (std::size_t distance = 1; distance < send.size(); ++distance) {
    // Each rank begins with its neighbour, so that not all of them write to rank 0 first.
    const std::size_t from =
        (static_cast<std::size_t>(rank_) + send.size() - distance) % send.size();
    for (std::size_t at = 0; at < receive[from].size(); at += kMaxPartBytes) {
      const std::size_t bytes = std::min(kMaxPartBytes, receive[from].size() - at);
      DCN_RETURN_IF_ERROR(FromExchange(
          MPI_Irecv(receive[from].data() + at, static_cast<int>(bytes), MPI_BYTE,
                    static_cast<int>(from), kTag, MPI_COMM_WORLD, add(from, true, bytes)),
          what));
    }
  }
  for (std::size_t distance = 1; distance < send.size(); ++distance) {
    const std::size_t to = (static_cast<std::size_t>(rank_) + distance) % send.size();
    for (std::size_t at = 0; at < send[to].size(); at += kMaxPartBytes) {
      const std::size_t bytes = std::min(kMaxPartBytes, send[to].size() - at);
      DCN_RETURN_IF_ERROR(
          FromExchange(MPI_Isend(send[to].data() + at, static_cast<int>(bytes), MPI_BYTE,
                                 static_cast<int>(to), kTag, MPI_COMM_WORLD, add(to, false, bytes)),
                       what));
    }
  }
  requests_->left = requests_->open.size();
  return Status();
}

Status MpiSession::Wait(std::string_view what) {
  Requests& requests = *requests_;
  const int count = static_cast<int>(requests.open.size());
  requests.statuses.resize(requests.open.size());
  requests.ended.resize(requests.open.size());
  const Clock::time_point deadline = Clock::now() + timeout_;
  Clock::time_point next_watch = Clock::now() + kWatchInterval;
  for (int polls = 0; requests.left > 0; ++polls) {
    int ended = 0;
    const int code = MPI_Testsome(count, requests.open.data(), &ended, requests.ended.data(),
                                  requests.statuses.data());
    if (code != MPI_SUCCESS && code != MPI_ERR_IN_STATUS) return FromExchange(code, what);
    for (int i = 0; i < ended; ++i) {
      const auto at = static_cast<std::size_t>(i);
      DCN_RETURN_IF_ERROR(CheckEnded(static_cast<std::size_t>(requests.ended[at]), at, code, what));
    }
    requests.left -= static_cast<std::size_t>(std::max(ended, 0));
    if (ended > 0) {
      polls = 0;
      continue;
    }
    BackOff(polls);
    if (polls < kPollsYielding) continue;
    const Clock::time_point now = Clock::now();
    if (watch_ && now >= next_watch) {
      next_watch = now + kWatchInterval;
      if (const Status seen = watch_(); !seen.ok()) {
        return Error(seen.code(), "{}: {}", what, seen.message());
      }
    }
    if (now >= deadline) return Overdue(what);
  }
  return Status();
}

// What one ended part came to.
Status MpiSession::CheckEnded(std::size_t part_index, std::size_t status_index, int code,
                              std::string_view what) {
  const Requests::Part& part = requests_->parts[part_index];
  const MPI_Status& status = requests_->statuses[status_index];
  if (code == MPI_ERR_IN_STATUS && status.MPI_ERROR != MPI_SUCCESS) {
    DCN_RETURN_IF_ERROR(FromExchange(
        status.MPI_ERROR, fmt::format("{}, rank {} with rank {}", what, rank_, part.peer)));
  }
  if (!part.is_receive) {
    bytes_sent_ += part.bytes;
    return Status();
  }
  int bytes = 0;
  DCN_RETURN_IF_ERROR(FromExchange(MPI_Get_count(&status, MPI_BYTE, &bytes), what));
  bytes_received_ += part.bytes;
  if (static_cast<std::size_t>(bytes) == part.bytes) return Status();
  return Error(StatusCode::kInternal,
               "{}: rank {} sent {} bytes where rank {} expected {}: the ranks are out of step",
               what, part.peer, bytes, rank_, part.bytes);
}

Status MpiSession::Overdue(std::string_view what) const {
  std::vector<int> silent;
  for (std::size_t i = 0; i < requests_->open.size(); ++i) {
    if (requests_->open[i] == MPI_REQUEST_NULL) continue;
    if (std::ranges::find(silent, requests_->parts[i].peer) == silent.end()) {
      silent.push_back(requests_->parts[i].peer);
    }
  }
  std::ranges::sort(silent);
  return Error(StatusCode::kDeadlineExceeded, "{}: no answer from rank {} within {:.1f} s", what,
               fmt::join(silent, ", "), static_cast<double>(timeout_.count()) / 1000);
}

}  // namespace dcn::comm
