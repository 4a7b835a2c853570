#include "launch/main/command_line.h"

#include <charconv>
#include <filesystem>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/file/read_file.h"
#include "common/log.h"

namespace dcn::launch {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

// The number that is all of `text`; nothing where it is none, or none of this type.
template <typename T>
std::optional<T> ParseNumber(std::string_view text) {
  T number = {};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::string Joined(const toml::array& list) {
  std::string joined;
  for (const toml::node& entry : list) {
    if (!joined.empty()) joined += ',';
    joined += entry.is_string() ? *entry.value<std::string>()
                                : fmt::format("{}", *entry.value<std::int64_t>());
  }
  return joined;
}

// A TOML value as it would stand on the command line, a list with commas; nothing for what the
// option does not take.
std::optional<std::string> CommandLineValue(const toml::node& node, const CLI::Option& option) {
  if (const toml::array* const list = node.as_array(); list != nullptr && !list->empty()) {
    const bool takes_list = option.get_items_expected_max() > 1;
    if (list->is_homogeneous<std::string>() ||
        (takes_list && list->is_homogeneous<std::int64_t>())) {
      return Joined(*list);
    }
    return std::nullopt;
  }
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (const auto whole = node.value_exact<std::int64_t>()) return fmt::format("{}", *whole);
  if (const auto number = node.value_exact<double>()) return fmt::format("{}", *number);
  return std::nullopt;
}

// The subcommand of this name, or null.
CLI::App* FindCommand(CLI::App& app, const std::string& name) {
  for (CLI::App* const command : app.get_subcommands([](CLI::App*) { return true; })) {
    if (command->get_name() == name) return command;
  }
  return nullptr;
}

// Sets one option, as the command line would.
Status ApplyValue(const std::string& key, const toml::node& node, const std::string& place,
                  CLI::App& app) {
  CLI::Option* const option = app.get_option_no_throw("--" + key);
  if (option == nullptr || key == "config" || key == "help" || key == "help-all" ||
      key == "version") {
    return Error(StatusCode::kInvalidArgument,
                 "{}: unknown key '{}'; a key is an option of {} without its dashes", place, key,
                 app.get_name());
  }
  const std::optional<std::string> value = CommandLineValue(node, *option);
  if (!value) return Error(StatusCode::kInvalidArgument, "{}: {}: expected one value", place, key);
  try {
    option->add_result(*value);
    option->run_callback();
  } catch (const CLI::ParseError& error) {
    return Error(StatusCode::kInvalidArgument, "{}: {}", place, error.what());
  }
  option->clear();
  option->required(false);
  return Status();
}

Status ApplyFile(const std::string& file, CLI::App& app, const TableHandler& handler) {
  const Result<std::string> text = ReadFile(file, kMaxFileBytes);
  if (!text.ok()) {
    return Error(
        StatusCode::kInvalidArgument, "--config {}: {}", file,
        text.status().code() == StatusCode::kNotFound ? "no such file" : text.status().message());
  }
  try {
    return ApplyTable(toml::parse(*text, file), file, app, handler);
  } catch (const toml::parse_error& error) {
    return Error(StatusCode::kInvalidArgument, "{}:{}: not TOML: {}", file,
                 error.source().begin.line, error.description());
  }
}

// The last --config of the command line; it must be known before all is parsed, since the file may
// give what is required.
std::string FindConfig(const std::vector<std::string>& arguments) {
  constexpr std::string_view kPrefix = "--config=";
  std::string config;
  for (std::size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    if (arguments[i].starts_with(kPrefix)) config = arguments[i].substr(kPrefix.size());
    if (arguments[i] == "--config" && i + 1 < arguments.size()) config = arguments[i + 1];
  }
  return config;
}

}  // namespace

CLI::Validator WholeNumber(std::uint64_t least, std::uint64_t most) {
  const std::string range = fmt::format("{} .. {}", least, most);
  return CLI::Validator(
      [least, most, range](std::string& text) -> std::string {
        const auto number = ParseNumber<std::uint64_t>(text);
        if (!number || *number < least || *number > most) {
          return fmt::format("{} is not a whole number in {}", text, range);
        }
        text = fmt::format("{}", *number);  // without zeros in front, which would make it octal
        return {};
      },
      "in " + range);
}

CLI::Validator WholeNumber() { return WholeNumber(0, std::numeric_limits<std::uint64_t>::max()); }

CLI::Validator NumberThat(std::string range, std::function<bool(double)> holds) {
  std::string description = range;
  return CLI::Validator(
      [range = std::move(range), holds = std::move(holds)](std::string& text) -> std::string {
        const auto number = ParseNumber<double>(text);
        if (number && holds(*number)) return {};
        return fmt::format("{} is not a number {}", text, range);
      },
      std::move(description));
}

CLI::Validator NumberIn(double least, double most) {
  return NumberThat(fmt::format("in {} .. {}", least, most),
                    [=](double number) { return number >= least && number <= most; });
}

void AddLogLevelOption(CLI::App& app, std::string& level) {
  app.add_option("--log-level", level, "lines to stderr, from this level up: " + LogLevels())
      ->check(CLI::Validator([](const std::string& text) { return CheckLogLevel(text).message(); },
                             "LEVEL"))
      ->capture_default_str();
}

Status ApplyKey(const std::string& key, const toml::node& value, const std::string& file,
                CLI::App& app, const TableHandler& handler) {
  if (const toml::table* const table = value.as_table()) {
    if (CLI::App* const command = FindCommand(app, key); command != nullptr) {
      return ApplyTable(*table, file, *command);
    }
    if (handler) {
      DCN_ASSIGN_OR_RETURN(const bool is_taken, handler(key, *table, file));
      if (is_taken) return Status();
    }
  }
  return ApplyValue(key, value, fmt::format("{}:{}", file, value.source().begin.line), app);
}

Status ApplyTable(const toml::table& table, const std::string& file, CLI::App& app,
                  const TableHandler& handler) {
  for (const auto& [key, value] : table) {
    DCN_RETURN_IF_ERROR(ApplyKey(std::string(key.str()), value, file, app, handler));
  }
  return Status();
}

Result<std::string> ParseCommandLine(CLI::App& app, int argc, const char* const* argv,
                                     const TableHandler& handler) {
  std::string config;
  app.add_option("--config", config,
                 "TOML file with options under their names; the command line wins")
      ->type_name("FILE");
  const std::string named = FindConfig({argv + 1, argv + argc});
  const Status applied = named.empty() ? Status() : ApplyFile(named, app, handler);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream ignored;
    if (app.exit(error, out, ignored) == 0) return out.str();  // --help, --version
    if (applied.ok()) {
      return Error(StatusCode::kInvalidArgument, "{}; --help lists all options", error.what());
    }
  }
  if (!applied.ok()) return applied;
  return std::string();
}

}  // namespace dcn::launch
