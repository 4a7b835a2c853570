// What every program does with its arguments: numbers that are checked to the last digit, and a
// TOML file of --config whose keys are the options' names.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>
#include <toml++/toml.h>

#include "common/status.h"

namespace dcn::launch {

/// For Option::transform(): a whole number in least .. most, in decimal digits. CLI11's own
/// conversion takes -1 and 2^64 for 2^64 - 1, and 010 for 8.
CLI::Validator WholeNumber(std::uint64_t least, std::uint64_t most);

/// The same without an upper limit of its own: up to 2^64 - 1.
CLI::Validator WholeNumber();

/// For Option::check(): a number for which `holds` is true; `range` says which these are, as in
/// "above 0 and at most 1000". Not a number ("nan") fails where `holds` is a comparison.
CLI::Validator NumberThat(std::string range, std::function<bool(double)> holds);

/// For Option::check(): a number in least .. most.
CLI::Validator NumberIn(double least, double most);

/// Adds --log-level, which takes SetUpLogging()'s levels; `level` holds the default.
void AddLogLevelOption(CLI::App& app, std::string& level);

/// Takes a table of a configuration file that is no subcommand's; false: unknown to it, too.
using TableHandler = std::function<Result<bool>(const std::string& key, const toml::table& table,
                                                const std::string& file)>;

/// Sets the option `key` of `app`, or those of the subcommand `key` by a table. An option counts as
/// not given afterwards, so that the command line wins. kInvalidArgument: "FILE:LINE: …".
Status ApplyKey(const std::string& key, const toml::node& value, const std::string& file,
                CLI::App& app, const TableHandler& handler = {});

/// ApplyKey() for all keys of a table.
Status ApplyTable(const toml::table& table, const std::string& file, CLI::App& app,
                  const TableHandler& handler = {});

/// Adds --config to `app`, applies its file, then parses the command line, which wins.
/// Returns a text to print instead of going on (--help, --version), or "".
/// kInvalidArgument: the option, its value and what is valid; for the file, its name and line.
Result<std::string> ParseCommandLine(CLI::App& app, int argc, const char* const* argv,
                                     const TableHandler& handler = {});

}  // namespace dcn::launch
