// Ranks that must be of one mind: go on together or end together, train the same thing.
#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "common/status.h"
#include "worker/communicator/communicator.h"

namespace dcn::job {

/// Every rank says how it fared; all get the same answer: OK, or the status of the first rank that
/// failed ("rank 2: …", unless all ranks say the same). Errors of Exchange; kUnavailable, too,
/// where a rank says what cannot be read.
[[nodiscard]] Status AgreeOnStatus(comm::Communicator& communicator, const Status& own,
                                   std::string_view what);

/// Whether all ranks have the same values. kInvalidArgument, on every rank alike: names the first
/// rank and field that differ from rank 0's, with both values. Else as AgreeOnStatus.
[[nodiscard]] Status AgreeOnValues(comm::Communicator& communicator, const nlohmann::json& own);

}  // namespace dcn::job
