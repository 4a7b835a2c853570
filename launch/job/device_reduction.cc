#include "launch/job/device_reduction.h"

#include <utility>

#include "worker/communicator/nccl.h"
#include "worker/communicator/nccl_all_reduce.h"
#include "worker/communicator/nccl_device.h"
#include "worker/communicator/nccl_reduction.h"

namespace dcn::job {
namespace {

class OnGpu final : public DeviceReduction {
 public:
  OnGpu(comm::GpuStream stream, std::unique_ptr<comm::NcclCommunicator> nccl,
        std::unique_ptr<comm::DenseReduction> reduction)
      : stream_(std::move(stream)), nccl_(std::move(nccl)), reduction_(std::move(reduction)) {}

  comm::DenseReduction& reduction() override { return *reduction_; }
  [[nodiscard]] std::uint64_t bytes_sent() const override { return nccl_->bytes_sent(); }
  [[nodiscard]] std::uint64_t bytes_received() const override { return nccl_->bytes_received(); }
  [[nodiscard]] std::string library_version() const override {
    return comm::NcclCommunicator::LibraryVersion();
  }
  Status Close() override { return nccl_->Close(); }

 private:
  const comm::GpuStream stream_;  // in the order in which they need one another
  const std::unique_ptr<comm::NcclCommunicator> nccl_;
  const std::unique_ptr<comm::DenseReduction> reduction_;
};

Result<std::unique_ptr<comm::DenseReduction>> MakeReduction(const DeviceReductionOptions& options,
                                                            comm::NcclCommunicator& nccl,
                                                            ThreadPool& pool) {
  if (options.is_ordered) {
    DCN_ASSIGN_OR_RETURN(std::unique_ptr<comm::NcclReduction> made,
                         comm::NcclReduction::Make(nccl, pool, options.full_leaves, options.count));
    return std::unique_ptr<comm::DenseReduction>(std::move(made));
  }
  DCN_ASSIGN_OR_RETURN(std::unique_ptr<comm::NcclAllReduce> made,
                       comm::NcclAllReduce::Make(nccl, pool, options.full_leaves, options.count));
  return std::unique_ptr<comm::DenseReduction>(std::move(made));
}

}  // namespace

Result<int> ChooseGpu(std::span<const Host> hosts, std::size_t rank) {
  const PlaceOnHost place = FindPlace(hosts, rank);
  return comm::ChooseGpu(place.local_rank, place.ranks);
}

Result<std::unique_ptr<DeviceReduction>> DeviceReduction::Open(
    const DeviceReductionOptions& options, comm::Communicator& communicator, ThreadPool& pool) {
  DCN_ASSIGN_OR_RETURN(comm::GpuStream stream, comm::GpuStream::Open(options.gpu));
  DCN_ASSIGN_OR_RETURN(std::unique_ptr<comm::NcclCommunicator> nccl,
                       comm::NcclCommunicator::Start(communicator, stream.get(), options.timeout));
  DCN_ASSIGN_OR_RETURN(std::unique_ptr<comm::DenseReduction> reduction,
                       MakeReduction(options, *nccl, pool));
  return std::unique_ptr<DeviceReduction>(
      std::make_unique<OnGpu>(std::move(stream), std::move(nccl), std::move(reduction)));
}

}  // namespace dcn::job
