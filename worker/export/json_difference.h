// What differs between two configurations, field by field, for messages.
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace dcn::output {

/// "<field>: <value> <first_name>, <value> <second_name>" of the first few fields that differ, in
/// the order of names, "; " between them; "absent" where there is no such field. Empty: no
/// difference. Objects are compared field by field ("model.name"), anything else as a whole.
[[nodiscard]] std::string DescribeDifferences(const nlohmann::json& first,
                                              std::string_view first_name,
                                              const nlohmann::json& second,
                                              std::string_view second_name);

}  // namespace dcn::output
