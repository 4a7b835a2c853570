// What the stand-in's calls work on. One lock around everything: it is slow and right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "tests/testing/cuda_stand_in/cuda_stand_in.h"

// Something on a stream. Runs again and again until it says that it is done.
struct StandInOperation {
  std::function<bool()> is_done;
  const ncclComm* comm = nullptr;  // of NCCL's operations
  int polls_left = 0;              // before it is looked at
};

struct CUstream_st {
  int gpu = 0;
  std::deque<StandInOperation> operations;
};

namespace dcn::testing {

enum class MemoryKind { kDevice, kPinned };

struct Allocation {
  std::size_t bytes = 0;
  MemoryKind kind = MemoryKind::kDevice;
  int gpu = 0;
};

// A piece on its way.
struct Piece {
  const ncclComm* sender = nullptr;
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
  bool has_arrived = false;
};

// One all-reduce: what each rank gave, copied.
struct SumRound {
  std::map<int, std::vector<double>> given;  // by rank
};

// The ranks of one unique id.
struct Clique {
  int ranks = 0;
  std::map<int, int> gpus;  // by rank, of those who came
  std::map<std::pair<int, int>, std::deque<std::shared_ptr<Piece>>> pieces;  // by (from, to)
  std::map<std::uint64_t, SumRound> sums;                                    // by number
};

struct State {
  explicit State(int gpus) : faults(static_cast<std::size_t>(gpus)) {}

  std::mutex mutex;
  std::vector<GpuFaults> faults;  // by GPU
  bool checks_memory = true;
  std::set<CUstream_st*> streams;
  std::set<ncclComm*> comms;
  std::map<const std::byte*, Allocation> memory;
  std::map<std::uint64_t, std::shared_ptr<Clique>> cliques;  // by id
  std::uint64_t next_id = 1;
  int aborted = 0;
  int destroyed = 0;
  std::vector<std::string> complaints;

  // Whether all of it is memory of this kind; notes it if not. For all but the stand-in's calls'
  // own use: locked.
  bool IsMemory(const void* from, std::size_t bytes, MemoryKind kind, const char* what);
};

// Of the CudaStandIn that lives. Throws std::logic_error without one.
State& TheState();
// The GPU of this thread.
int CurrentGpu();

// Puts an operation on the stream; locked.
void PutOnStream(State& state, CUstream_st* stream, const ncclComm* comm,
                 std::function<bool()> is_done);

}  // namespace dcn::testing

// One rank's communicator.
struct ncclComm {
  std::shared_ptr<dcn::testing::Clique> clique;
  int rank = 0;
  int gpu = 0;
  ncclResult_t state = ncclInProgress;
  std::function<bool()> in_progress;  // true: what is going on has ended
  int polls_left = 0;                 // before it is looked at
  int groups = 0;                     // so far
  std::uint64_t sums = 0;             // so far
  bool is_finalized = false;
};
