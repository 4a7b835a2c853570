// NCCL's calls of the stand-in.

#include <cstring>
#include <utility>

#include <fmt/core.h>

#include "tests/testing/cuda_stand_in/state.h"

using dcn::testing::Clique;
using dcn::testing::GpuFaults;
using dcn::testing::kNever;
using dcn::testing::MemoryKind;
using dcn::testing::Piece;
using dcn::testing::State;
using dcn::testing::SumRound;
using dcn::testing::TheState;
using FailsWhen = GpuFaults::FailsWhen;

namespace {

std::size_t SizeOf(ncclDataType_t type) {
  return type == ncclDouble ? sizeof(double) : type == ncclFloat ? sizeof(float) : 1;
}

// A call inside a group.
struct Call {
  enum class Kind { kSend, kReceive, kSum } kind = Kind::kSend;
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  std::size_t count = 0;
  ncclDataType_t type = ncclChar;
  int peer = 0;
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
};

thread_local int group_depth = 0;
thread_local std::vector<Call> group_calls;

// What is known of a call while it runs.
struct Progress {
  std::shared_ptr<Piece> sent;
  std::uint64_t sum = 0;
  bool is_done = false;
};

double LoadNumber(const Call& call, const std::byte* from, std::size_t i) {
  if (call.type == ncclDouble) {
    double value = 0;
    std::memcpy(&value, from + i * sizeof(value), sizeof(value));
    return value;
  }
  float value = 0;
  std::memcpy(&value, from + i * sizeof(value), sizeof(value));
  return value;
}

void StartCall(const Call& call, bool is_silent, Progress& progress) {
  ncclComm& comm = *call.comm;
  const std::size_t bytes = call.count * SizeOf(call.type);
  if (is_silent) return;
  if (call.kind == Call::Kind::kSend) {
    progress.sent = std::make_shared<Piece>(Piece{&comm, call.from, bytes, false});
    comm.clique->pieces[{comm.rank, call.peer}].push_back(progress.sent);
  } else if (call.kind == Call::Kind::kSum) {
    progress.sum = comm.sums++;
    std::vector<double>& given = comm.clique->sums[progress.sum].given[comm.rank];
    for (std::size_t i = 0; i < call.count; ++i) given.push_back(LoadNumber(call, call.from, i));
  }
}

// Sums from the last rank to the first: not in the tree's order, as NCCL does not.
void StoreSum(const Call& call, const SumRound& round) {
  for (std::size_t i = 0; i < call.count; ++i) {
    double sum = 0;
    bool is_first = true;
    for (auto rank = round.given.rbegin(); rank != round.given.rend(); ++rank) {
      const double value = rank->second.at(i);
      sum = is_first ? value : sum + value;
      if (call.type == ncclFloat) sum = static_cast<float>(sum);
      is_first = false;
    }
    if (call.type == ncclDouble) {
      std::memcpy(call.to + i * sizeof(sum), &sum, sizeof(sum));
    } else {
      const auto narrow = static_cast<float>(sum);
      std::memcpy(call.to + i * sizeof(narrow), &narrow, sizeof(narrow));
    }
  }
}

// Goes on with a call as far as the others let it.
void Advance(const Call& call, Progress& progress) {
  ncclComm& comm = *call.comm;
  switch (call.kind) {
    case Call::Kind::kSend:
      progress.is_done = progress.sent != nullptr && progress.sent->has_arrived;
      return;
    case Call::Kind::kReceive: {
      auto& waiting = comm.clique->pieces[{call.peer, comm.rank}];
      // Of another length: never taken, as with NCCL, where both sides hang.
      if (waiting.empty() || waiting.front()->bytes != call.count * SizeOf(call.type)) return;
      std::memcpy(call.to, waiting.front()->data, waiting.front()->bytes);
      waiting.front()->has_arrived = true;
      waiting.pop_front();
      progress.is_done = true;
      return;
    }
    case Call::Kind::kSum: {
      const SumRound& round = comm.clique->sums[progress.sum];
      if (static_cast<int>(round.given.size()) < comm.clique->ranks) return;
      StoreSum(call, round);
      progress.is_done = true;
      return;
    }
  }
}

// The operation that a group of calls is on the stream.
std::function<bool()> MakeOperation(std::vector<Call> calls, const GpuFaults& faults, int group) {
  const bool fails = group == faults.failing_group;
  const bool is_silent = faults.is_silent || fails;
  const bool goes_on = fails && faults.fails_when == FailsWhen::kStreamDone;
  ncclComm* const comm = calls[0].comm;
  const ncclResult_t failure = faults.failure;
  auto progress = std::make_shared<std::vector<Progress>>(calls.size());
  auto has_begun = std::make_shared<bool>(false);
  return [=] {
    if (fails) {
      comm->state = failure;
      return goes_on;
    }
    bool is_done = true;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (!*has_begun) StartCall(calls[i], is_silent, (*progress)[i]);
    }
    *has_begun = true;
    if (is_silent) return false;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (!(*progress)[i].is_done) Advance(calls[i], (*progress)[i]);
      is_done = is_done && (*progress)[i].is_done;
    }
    return is_done;
  };
}

// Whether a communicator may be called now; notes it if not; locked.
bool IsReady(State& state, ncclComm_t comm, const char* what) {
  if (!state.comms.contains(comm)) {
    state.complaints.push_back(fmt::format("{}: of no communicator that lives", what));
    return false;
  }
  if (comm->state == ncclInProgress || comm->is_finalized) {
    state.complaints.push_back(fmt::format("{}: while another call is in progress", what));
    return false;
  }
  return true;
}

ncclResult_t AddCall(const Call& call, const char* what) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  if (!IsReady(state, call.comm, what)) return ncclInvalidUsage;
  if (group_depth == 0 || call.count == 0 || call.peer >= call.comm->clique->ranks) {
    state.complaints.push_back(fmt::format("{}: outside a group, empty, or of no rank", what));
    return ncclInvalidArgument;
  }
  const std::size_t bytes = call.count * SizeOf(call.type);
  const bool reads = call.kind != Call::Kind::kReceive;
  const bool writes = call.kind != Call::Kind::kSend;
  if ((reads && !state.IsMemory(call.from, bytes, MemoryKind::kDevice, what)) ||
      (writes && !state.IsMemory(call.to, bytes, MemoryKind::kDevice, what))) {
    return ncclInvalidArgument;
  }
  group_calls.push_back(call);
  return ncclSuccess;
}

// Takes a communicator away from whatever it does; locked.
void Forget(State& state, ncclComm_t comm) {
  for (CUstream_st* const stream : state.streams) {
    std::erase_if(stream->operations,
                  [&](const StandInOperation& operation) { return operation.comm == comm; });
  }
  for (auto& [way, pieces] : comm->clique->pieces) {
    std::erase_if(pieces, [&](const auto& piece) { return piece->sender == comm; });
  }
  state.comms.erase(comm);
  delete comm;
}

}  // namespace

ncclResult_t ncclGetVersion(int* version) {
  *version = 22703;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  if (state.faults[static_cast<std::size_t>(dcn::testing::CurrentGpu())].has_no_id) {
    return ncclSystemError;
  }
  const std::uint64_t number = state.next_id++;
  std::memset(id->internal, 0, sizeof(id->internal));
  std::memcpy(id->internal, &number, sizeof(number));
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* made, int nranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  if (config->blocking != 0) state.complaints.emplace_back("a communicator that blocks");
  std::uint64_t number = 0;
  std::memcpy(&number, id.internal, sizeof(number));
  std::shared_ptr<Clique>& clique = state.cliques[number];
  if (clique == nullptr) clique = std::make_shared<Clique>();
  clique->ranks = nranks;
  const int gpu = dcn::testing::CurrentGpu();
  for (const auto& [other, its_gpu] : clique->gpus) {
    if (its_gpu == gpu) return ncclInvalidUsage;  // two ranks on one GPU
  }
  clique->gpus[rank] = gpu;
  auto* const comm = new ncclComm{.clique = clique,
                                  .rank = rank,
                                  .gpu = gpu,
                                  .state = ncclInProgress,
                                  .in_progress = {},
                                  .polls_left = 0};
  const GpuFaults& faults = state.faults[static_cast<std::size_t>(gpu)];
  comm->polls_left = faults.init_polls;
  comm->in_progress = [comm] {
    return static_cast<int>(comm->clique->gpus.size()) == comm->clique->ranks;
  };
  state.comms.insert(comm);
  *made = comm;
  return ncclInProgress;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  if (!IsReady(state, comm, "ncclCommFinalize")) return ncclInvalidUsage;
  comm->is_finalized = true;
  comm->state = ncclInProgress;
  comm->polls_left = state.faults[static_cast<std::size_t>(comm->gpu)].finalize_polls;
  comm->in_progress = [] { return true; };
  return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  if (!comm->is_finalized || comm->state != ncclSuccess) {
    state.complaints.emplace_back("ncclCommDestroy: of what was not finalized");
  }
  Forget(state, comm);
  ++state.destroyed;
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  Forget(state, comm);
  ++state.aborted;
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* result) {
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  if (comm->state == ncclInProgress) {
    if (comm->polls_left > 0) {
      if (comm->polls_left != kNever) --comm->polls_left;
    } else if (comm->in_progress()) {
      if (comm->state == ncclInProgress) comm->state = ncclSuccess;
    }
  }
  *result = comm->state;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  ++group_depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  --group_depth;
  if (group_calls.empty()) return ncclSuccess;
  std::vector<Call> calls = std::exchange(group_calls, {});
  State& state = TheState();
  const std::lock_guard lock(state.mutex);
  ncclComm* const comm = calls[0].comm;
  const GpuFaults& faults = state.faults[static_cast<std::size_t>(comm->gpu)];
  const int group = comm->groups++;
  comm->state = ncclInProgress;
  comm->polls_left = faults.taken_polls;
  // On the stream once it is taken, not before.
  comm->in_progress = [&state, &faults, comm, group, calls = std::move(calls)] {
    if (group == faults.failing_group && faults.fails_when == FailsWhen::kTaken) {
      comm->state = faults.failure;
      return true;
    }
    dcn::testing::PutOnStream(state, calls[0].stream, comm, MakeOperation(calls, faults, group));
    return true;
  };
  return ncclInProgress;
}

ncclResult_t ncclSend(const void* from, std::size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return AddCall({.kind = Call::Kind::kSend,
                  .from = static_cast<const std::byte*>(from),
                  .to = nullptr,
                  .count = count,
                  .type = type,
                  .peer = peer,
                  .comm = comm,
                  .stream = stream},
                 "ncclSend");
}

ncclResult_t ncclRecv(void* to, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return AddCall({.kind = Call::Kind::kReceive,
                  .from = nullptr,
                  .to = static_cast<std::byte*>(to),
                  .count = count,
                  .type = type,
                  .peer = peer,
                  .comm = comm,
                  .stream = stream},
                 "ncclRecv");
}

ncclResult_t ncclAllReduce(const void* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t /*operation*/, ncclComm_t comm, cudaStream_t stream) {
  return AddCall({.kind = Call::Kind::kSum,
                  .from = static_cast<const std::byte*>(from),
                  .to = static_cast<std::byte*>(to),
                  .count = count,
                  .type = type,
                  .peer = 0,
                  .comm = comm,
                  .stream = stream},
                 "ncclAllReduce");
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess:
      return "no error";
    case ncclSystemError:
      return "unhandled system error";
    case ncclInvalidUsage:
      return "invalid usage";
    case ncclRemoteError:
      return "remote process exited or there was a network error";
    default:
      return "internal error";
  }
}

const char* ncclGetLastError(ncclComm_t comm) {
  return comm != nullptr && comm->state != ncclSuccess && comm->state != ncclInProgress
             ? "the stand-in was told to fail"
             : "";
}
