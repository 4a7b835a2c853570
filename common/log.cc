#include "common/log.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace dcn {
namespace {

constexpr std::pair<std::string_view, spdlog::level::level_enum> kLevels[] = {
    {"trace", spdlog::level::trace}, {"debug", spdlog::level::debug},
    {"info", spdlog::level::info},   {"warning", spdlog::level::warn},
    {"error", spdlog::level::err},   {"critical", spdlog::level::critical},
    {"off", spdlog::level::off},
};

std::optional<spdlog::level::level_enum> FindLevel(std::string_view name) {
  for (const auto& [level_name, level] : kLevels) {
    if (level_name == name) return level;
  }
  return std::nullopt;
}

}  // namespace

std::string LogLevels() {
  std::string names;
  for (const auto& [name, level] : kLevels) {
    if (!names.empty()) names += ", ";
    names += name;
  }
  return names;
}

Status CheckLogLevel(std::string_view level) {
  if (FindLevel(level)) return Status();
  return Error(StatusCode::kInvalidArgument, "unknown log level '{}'; valid are {}", level,
               LogLevels());
}

Status SetUpLogging(std::string_view program, std::string_view level) {
  DCN_RETURN_IF_ERROR(CheckLogLevel(level));
  auto logger = std::make_shared<spdlog::logger>(
      std::string(program), std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_level(*FindLevel(level));
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %n %^%l%$: %v");
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
  return {};
}

}  // namespace dcn
