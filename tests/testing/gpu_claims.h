// What NCCL's communicator and reductions must hold to on GPUs: the same claims on the stand-in
// (cuda_stand_in/) and, where there are some, on real ones.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/thread_pool.h"
#include "worker/communicator/communicator.h"
#include "worker/communicator/dense_reduction.h"
#include "worker/communicator/nccl.h"

namespace dcn::testing {

/// Runs `body` on every rank, each in a thread of this process with a GPU of its own; returns what
/// each returned, or the message of the error that kept it from starting or closing NCCL. rank 0's
/// GPU is the first.
std::vector<std::string> OnGpus(int ranks,
                                const std::function<std::string(comm::NcclCommunicator&)>& body,
                                std::chrono::milliseconds timeout = std::chrono::seconds(60));

/// Pieces of many lengths on GPUs, 0 among them, arrive whole and in the right place.
std::string CheckGpuExchange(comm::NcclCommunicator& communicator);

/// A node of the tree is added on the GPU with the processor's bits, denormals among them.
std::string CheckGpuAddition(comm::NcclCommunicator& communicator);

/// NcclReduction has the tree's bits, for full and short batches.
std::string CheckNcclReduction(comm::NcclCommunicator& communicator, std::uint32_t full_leaves,
                               std::size_t count);

/// NcclAllReduce is near the tree's sums, for full and short batches.
std::string CheckNcclAllReduce(comm::NcclCommunicator& communicator, std::uint32_t full_leaves,
                               std::size_t count);

/// A reduction with a stream and a communicator of its own, on the GPU of the calling thread's
/// rank; is_ordered: NcclReduction, else NcclAllReduce. Throws std::runtime_error with what fails.
std::unique_ptr<comm::DenseReduction> MakeGpuReduction(comm::Communicator& ranks, ThreadPool& pool,
                                                       std::uint32_t full_leaves, std::size_t count,
                                                       bool is_ordered);

}  // namespace dcn::testing
