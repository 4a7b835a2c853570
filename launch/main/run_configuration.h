// What decides a run's answer, as it is recorded in result.json and compared.
#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "launch/main/worker_options.h"
#include "ps/protocol.h"
#include "worker/data/dataset.h"
#include "worker/model/model_spec.h"

namespace dcn::launch {

/// "onednn" or "torch": what --engine comes to. REQUIRES, as RunConfiguration: options that are
/// settled (worker_device.h).
std::string_view EngineName(const WorkerOptions& options);

/// The update rule of an --optimizer value. REQUIRES: one of its valid values.
ps::OptimizerOptions OptimizerFromName(std::string_view name);

/// Every option and property that decides the answer: data, split, model, seed, optimizer, slices,
/// engine, device, reduction. Threads, shards and paths are not among them.
nlohmann::json RunConfiguration(const WorkerOptions& options, const data::Dataset& dataset,
                                const model::ModelSpec& spec);

}  // namespace dcn::launch
