// What made the numbers: configuration, machine and versions as tables.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "launch/report/summary.h"

namespace dcn::report {

/// The leaves of nested objects, in key order: {"a": {"b": [1, 2]}} is ("a.b", "[1,2]"). Lists are
/// leaves; texts stand without quotes.
std::vector<std::pair<std::string, std::string>> Flatten(const nlohmann::json& object);

/// A row for each setting, a column for each variant, settings that all share in one cell. The
/// seed, which differs between the runs of a variant, is left out.
std::string ConfigurationTable(std::span<const VariantSummary> summaries);

/// Processor, memory, versions; each line lists the distinct values over all runs.
std::string MachineTable(std::span<const VariantSummary> summaries);

}  // namespace dcn::report
