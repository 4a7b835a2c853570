#include "common/file/json.h"

namespace dcn {

Result<nlohmann::json> ParseJson(std::string_view text, std::string_view where) {
  using nlohmann::json;
  // The parser would take a zero byte for the end of the text.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return Error(StatusCode::kDataLoss, "{}: byte {}: not well-formed JSON", where, zero + 1);
  }
  bool too_deep = false;
  // What is too deep is dropped while it is parsed, so that a file of brackets takes no memory.
  const auto within_depth = [&too_deep](int depth, json::parse_event_t event, json&) {
    const bool opens =
        event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    if (opens && depth >= kMaxJsonDepth) too_deep = true;
    return !too_deep;
  };
  try {
    json document = json::parse(text.begin(), text.end(), within_depth);
    if (too_deep) {
      return Error(StatusCode::kDataLoss, "{}: JSON nested deeper than {} levels", where,
                   kMaxJsonDepth);
    }
    return document;
  } catch (const json::parse_error& error) {
    return Error(StatusCode::kDataLoss, "{}: byte {}: not well-formed JSON", where, error.byte);
  } catch (const json::exception& error) {  // a number that no double can hold
    return Error(StatusCode::kDataLoss, "{}: unusable JSON: {}", where, error.what());
  }
}

}  // namespace dcn
