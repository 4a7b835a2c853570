// sweep.json: what the runs in a sweep's folder have in common, so that a later start adds to them
// only what belongs to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/status.h"
#include "launch/sweep/experiment.h"

namespace dcn::sweep {

inline constexpr std::string_view kSweepRecordFile = "sweep.json";

/// The data of a sweep. `source` may change (a folder that moved); the rest may not.
struct DataIdentity {
  std::string source;
  std::string name;
  std::string fingerprint;
  std::size_t rows = 0;
};

struct SweepRecord {
  std::string experiment;
  std::string title;
  DataIdentity data;
  std::vector<std::uint64_t> seeds;
  std::vector<Variant> variants;
};

SweepRecord MakeSweepRecord(const Experiment& experiment, DataIdentity data);

/// Adds the seeds and variants of `now` that `recorded` lacks, and takes its title and source.
/// kAlreadyExists: they are two experiments; the message names the first field that differs and
/// both values, and `recorded` is unchanged.
Status MergeSweepRecord(const SweepRecord& now, SweepRecord& recorded);

/// Reads the record of a sweep's folder.
/// kNotFound: there is none. kDataLoss: it is not a record (file named).
Result<SweepRecord> ReadSweepRecord(const std::filesystem::path& folder);

/// Writes it where it is not there as it is; same errors as WriteFileAtomically().
Status WriteSweepRecord(const SweepRecord& record, const std::filesystem::path& folder);

}  // namespace dcn::sweep
