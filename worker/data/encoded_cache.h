// Where a data set comes from: a MovieLens folder or the built-in synthetic data, parsed now or
// taken from a cache of encoded data that an earlier process left.
#pragma once

#include <filesystem>
#include <string>

#include "common/status.h"
#include "worker/data/dataset.h"

namespace dcn::data {

/// Loads `source`: "synthetic", "synthetic-small" (synthetic.h), or a folder (movielens.h). A
/// folder that `dcn_data synthesize` wrote gives the very Dataset that the built-in source gives.
///
/// cache_dir: empty, or a folder (made where it is missing) with one file for each source, named by
/// the hash of the source's content, so that changed data is another file. The file is mapped when
/// it is there and sound. Otherwise the source is parsed and the file written; one that is damaged
/// or cannot be written is a warning in the log, nothing more. Safe with several processes at once.
///
/// kNotFound: no such folder or file. kDataLoss: malformed data, "<file>:<line>: expected …,
/// found …", or a synthetic.json that belongs to other files.
Result<Dataset> LoadDataset(const std::string& source, const std::filesystem::path& cache_dir = {});

}  // namespace dcn::data
