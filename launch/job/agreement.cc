#include "launch/job/agreement.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "worker/communicator/collectives.h"
#include "worker/export/json_difference.h"

namespace dcn::job {
namespace {

using nlohmann::json;

// Statuses travel between processes of one build: the version is compared as a value.
std::string ToText(const Status& status) {
  const json text = {{"code", static_cast<int>(status.code())}, {"message", status.message()}};
  return text.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<std::vector<json>> GatherJson(comm::Communicator& communicator, const std::string& own,
                                     std::string_view what) {
  DCN_ASSIGN_OR_RETURN(const std::vector<std::string> texts,
                       comm::AllGatherText(communicator, own, what));
  std::vector<json> all;
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    all.push_back(json::parse(texts[rank], nullptr, false));
    if (all.back().is_object()) continue;
    return Error(StatusCode::kUnavailable, "{}: rank {} does not say what rank {} can read", what,
                 rank, communicator.rank());
  }
  return all;
}

}  // namespace

Status AgreeOnStatus(comm::Communicator& communicator, const Status& own, std::string_view what) {
  if (communicator.size() == 1) return own;
  DCN_ASSIGN_OR_RETURN(const std::vector<json> all, GatherJson(communicator, ToText(own), what));
  const auto failed = [](const json& status) { return status.value("code", 0) != 0; };
  const auto first = std::ranges::find_if(all, failed);
  if (first == all.end()) return Status();
  std::string message = first->value("message", "");
  const bool is_common =
      std::ranges::all_of(all, [&](const json& other) { return other == *first; });
  if (!is_common) message = fmt::format("rank {}: {}", first - all.begin(), message);
  return Status(static_cast<StatusCode>(first->value("code", 0)), message);
}

Status AgreeOnValues(comm::Communicator& communicator, const json& own) {
  if (communicator.size() == 1) return Status();
  DCN_ASSIGN_OR_RETURN(const std::vector<json> all,
                       GatherJson(communicator, own.dump(), "comparing the ranks' configurations"));
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    const std::string differences = output::DescribeDifferences(all[0], "on rank 0", all[rank],
                                                                fmt::format("on rank {}", rank));
    if (differences.empty()) continue;
    return Error(StatusCode::kInvalidArgument,
                 "the ranks do not train the same thing ({}); give all of them the same options, "
                 "files and build",
                 differences);
  }
  return Status();
}

}  // namespace dcn::job
