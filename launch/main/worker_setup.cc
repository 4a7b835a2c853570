#include "launch/main/worker_setup.h"

#include <cstddef>
#include <string>
#include <utility>

#include <spdlog/spdlog.h>

#include "common/file/atomic_write.h"
#include "launch/job/agreement.h"
#include "launch/main/run_configuration.h"
#include "launch/main/token_file.h"
#include "launch/main/version.h"
#include "launch/main/worker_device.h"
#include "worker/communicator/collectives.h"
#include "worker/data/encoded_cache.h"
#include "worker/export/result.h"
#include "worker/model/onednn_model.h"
#include "worker/model/torch_loader.h"

namespace dcn::launch {
namespace {

Result<model::ModelSpec> MakeSpec(const WorkerOptions& options, const data::Dataset& dataset) {
  const ModelTable table = options.model_table.value_or(ModelTable{});
  DCN_ASSIGN_OR_RETURN(
      std::vector<model::FeatureSpec> features,
      MakeFeatures(dataset.vocabularies(), table.embedding_dimension, table.feature_dimension));
  if (!options.model_table) return model::NamedModel(options.model, std::move(features));
  model::ModelSpec spec{.name = table.name,
                        .features = std::move(features),
                        .cross = table.cross,
                        .deep = table.deep};
  DCN_RETURN_IF_ERROR(spec.Validate());
  return spec;
}

Result<std::unique_ptr<model::DenseModel>> MakeModel(const WorkerOptions& options,
                                                     const model::ModelSpec& spec,
                                                     std::optional<int> gpu) {
  if (options.engine == "torch") {
    if (gpu) PrepareCudaEnvironment();
    return model::LoadTorchModel(TorchPluginPath(), spec, options.threads, options.slice_rows, gpu);
  }
  try {
    return model::MakeOnednnModel(spec, options.threads, options.slice_rows,
                                  model::PrecisionFromName(options.precision));
  } catch (const std::runtime_error& error) {
    return Error(StatusCode::kInternal, "{}; --engine torch computes without oneDNN", error.what());
  }
}

// Where all ranks are, by rank.
Result<std::vector<job::Host>> GatherHosts(comm::Communicator& communicator) {
  DCN_ASSIGN_OR_RETURN(const std::vector<std::string> texts,
                       comm::AllGatherText(communicator, job::DescribeHost().ToText(),
                                           "asking where all ranks are"));
  std::vector<job::Host> hosts;
  for (const std::string& text : texts) {
    DCN_ASSIGN_OR_RETURN(job::Host host, job::Host::Parse(text));
    hosts.push_back(std::move(host));
  }
  return hosts;
}

void ChooseThreadsAndShards(const std::vector<job::Host>& hosts, job::JobRanks& ranks,
                            WorkerOptions& options) {
  const auto rank = static_cast<std::size_t>(ranks.rank());
  if (options.threads == 0) {
    options.threads = job::ThreadsOf(hosts, rank);
    const auto advice = ranks.size() > 1 ? job::PinningAdvice(hosts, rank) : std::nullopt;
    if (advice) spdlog::warn("{}", *advice);
  }
  if (options.shards == 0) {
    options.shards = ranks.size() == 1 ? static_cast<std::uint32_t>(options.threads) : 1;
  }
}

Result<WorkerSetup> Load(WorkerOptions options, std::vector<job::Host> hosts, std::size_t rank,
                         const Stopwatch& since_start) {
  const Stopwatch loading;
  DCN_ASSIGN_OR_RETURN(const std::optional<int> gpu, ChooseDevice(hosts, rank, options));
  DCN_ASSIGN_OR_RETURN(data::Dataset dataset, data::LoadDataset(options.data, options.data_cache));
  DCN_ASSIGN_OR_RETURN(data::Split split, data::MakeSplit(dataset.rows(), options.train_fraction));
  spdlog::info("{}: {} ratings, {} train, {} test; ready after {:.2f} s", dataset.name(),
               dataset.rows(), split.train.size(), split.test.size(), loading.seconds());
  DCN_ASSIGN_OR_RETURN(model::ModelSpec spec, MakeSpec(options, dataset));
  nlohmann::json configuration = RunConfiguration(options, dataset, spec);
  if (rank == 0 && !options.output.empty()) {
    DCN_RETURN_IF_ERROR(output::CheckOutput(options.output, configuration));
  }
  if (rank == 0 && !options.trace.empty()) {
    // Opens a temporary beside it and drops it again: the trace can be written at the end.
    if (const auto probe = AtomicFile::Create(options.trace); !probe.ok()) {
      return Error(probe.status().code(), "--trace: {}", probe.status().message());
    }
  }
  std::string token;
  if (!options.token_file.empty()) {
    DCN_ASSIGN_OR_RETURN(token, ReadTokenFile(options.token_file));
  }
  DCN_ASSIGN_OR_RETURN(std::unique_ptr<model::DenseModel> model, MakeModel(options, spec, gpu));
  return WorkerSetup{since_start,      std::move(options),       gpu,
                     std::move(hosts), std::move(dataset),       std::move(split),
                     std::move(spec),  std::move(configuration), std::move(model),
                     std::move(token)};
}

// All that must be the same on all ranks, for the bits to be those of one process.
nlohmann::json ComparedValues(const WorkerSetup& setup) {
  nlohmann::json values = setup.configuration;
  values["version"] = kVersion;
  values["compiler"] = CompilerText();
  values["engine_description"] = setup.model->engine_description();
  values["servers"] = setup.options.servers;
  values["job"] = setup.options.job;
  values["checkpoint_dir"] = setup.options.checkpoint_dir;
  values["checkpoint_every"] = setup.options.checkpoint_every;
  values["resume"] = setup.options.resume;
  values["traced"] = !setup.options.trace.empty();  // all ranks gather the trace
  return values;
}

}  // namespace

Result<WorkerSetup> SetUpWorker(WorkerOptions options, job::JobRanks& ranks,
                                const Stopwatch& since_start) {
  comm::Communicator& communicator = ranks.communicator();
  DCN_ASSIGN_OR_RETURN(std::vector<job::Host> hosts, GatherHosts(communicator));
  ChooseThreadsAndShards(hosts, ranks, options);
  Result<WorkerSetup> setup = Load(std::move(options), std::move(hosts),
                                   static_cast<std::size_t>(ranks.rank()), since_start);
  DCN_RETURN_IF_ERROR(
      job::AgreeOnStatus(communicator, setup.status(), "asking whether all ranks are ready"));
  DCN_RETURN_IF_ERROR(job::AgreeOnValues(communicator, ComparedValues(*setup)));
  return setup;
}

}  // namespace dcn::launch
