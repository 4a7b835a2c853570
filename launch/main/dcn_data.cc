// dcn_data: fetches, makes and describes data sets.

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "common/log.h"
#include "launch/main/command_line.h"
#include "launch/main/data_description.h"
#include "launch/main/data_fetch.h"
#include "launch/main/exit_code.h"
#include "launch/main/program.h"
#include "launch/main/version.h"
#include "worker/data/encoded_cache.h"
#include "worker/data/synthetic_folder.h"

namespace dcn::launch {
namespace {

constexpr const char* kName = "dcn_data";

struct Options {
  std::string log_level = "info";
  // synthesize
  std::string output;
  std::uint64_t seed = data::kSyntheticSeed;
  std::string size = "full";
  // fetch
  std::string archive;
  std::string directory = "data";
  std::string url;
  std::string md5;
  // describe
  std::string source;
  std::optional<double> train_fraction;
  bool as_json = false;
};

// The subcommands, to ask which of them was given.
struct Commands {
  CLI::App* synthesize = nullptr;
  CLI::App* fetch = nullptr;
  CLI::App* describe = nullptr;
};

Commands AddCommands(CLI::App& app, Options& options) {
  Commands commands;
  commands.synthesize = app.add_subcommand(
      "synthesize", "write drawn ratings of MovieLens-1M's size and shape, in its format");
  commands.synthesize->add_option("DIR", options.output, "folder to write to")->required();
  commands.synthesize->add_option("--seed", options.seed, "another seed, another data set")
      ->transform(WholeNumber())
      ->capture_default_str();
  commands.synthesize
      ->add_option("--size", options.size, "full (1,000,209 ratings) or small (20,000)")
      ->check(CLI::IsMember({"full", "small"}))
      ->capture_default_str();

  commands.fetch = app.add_subcommand(
      "fetch", "download, check and unpack an official archive; repeat it to resume");
  commands.fetch->add_option("ARCHIVE", options.archive, "ml-1m or ml-100k")
      ->required()
      ->check(CLI::IsMember({"ml-1m", "ml-100k"}));
  commands.fetch
      ->add_option("--directory", options.directory, "the data comes into a folder in this one")
      ->capture_default_str();
  commands.fetch->add_option("--url", options.url, "a mirror of the archive");
  commands.fetch->add_option("--md5", options.md5, "of the archive, where it is another one");

  commands.describe = app.add_subcommand(
      "describe", "print counts, rating histogram, vocabulary sizes and split sizes");
  commands.describe->add_option("DATA", options.source, "folder, 'synthetic' or 'synthetic-small'")
      ->required();
  commands.describe->add_option(
      "--train-fraction", options.train_fraction,
      "part that trains (default: 0.75; the MovieLens-100K experiment takes 0.8)");
  commands.describe->add_flag("--json", options.as_json, "as JSON");
  return commands;
}

Status RunSynthesize(const Options& options) {
  DCN_ASSIGN_OR_RETURN(const data::SyntheticSpec spec,
                       data::MakeSyntheticSpec(options.size, options.seed));
  DCN_RETURN_IF_ERROR(data::WriteSyntheticFolder(options.output, spec));
  fmt::print(stderr, "{}: {} drawn ratings in MovieLens-1M's format\n", options.output,
             spec.ratings);
  return Status();
}

Status RunFetch(const Options& options) {
  if (!options.md5.empty() && options.url.empty()) {
    return Error(StatusCode::kInvalidArgument, "--md5: needs --url, the archive that it is of");
  }
  DCN_ASSIGN_OR_RETURN(MovieLensArchive archive, FindMovieLensArchive(options.archive));
  if (!options.url.empty()) archive.url = options.url;
  if (!options.md5.empty()) archive.md5 = options.md5;
  return FetchMovieLens(archive, options.directory);
}

Status RunDescribe(const Options& options) {
  DCN_ASSIGN_OR_RETURN(const data::Dataset dataset, data::LoadDataset(options.source));
  DCN_ASSIGN_OR_RETURN(const DataDescription description,
                       Describe(dataset, options.train_fraction));
  fmt::print("{}", options.as_json ? DescriptionJson(description).dump(2) + "\n"
                                   : DescriptionText(description));
  return Status();
}

Status Run(const Options& options, const Commands& commands) {
  DCN_RETURN_IF_ERROR(SetUpLogging(kName, options.log_level));
  if (commands.synthesize->parsed()) return RunSynthesize(options);
  if (commands.fetch->parsed()) return RunFetch(options);
  return RunDescribe(options);
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Fetches, makes and describes data sets of movie ratings.", "dcn_data");
  app.set_version_flag("--version", VersionText(kName));
  app.set_help_all_flag("--help-all", "the help of every command");
  AddLogLevelOption(app, options.log_level);
  app.require_subcommand(1);
  const Commands commands = AddCommands(app, options);
  const Result<std::string> text = ParseCommandLine(app, argc, argv);
  if (!text.ok()) return Fail(kName, text.status());
  if (!text->empty()) {
    fmt::print("{}", *text);
    return kExitDone;
  }
  const Status status = Run(options, commands);
  return status.ok() ? kExitDone : Fail(kName, status);
}

}  // namespace
}  // namespace dcn::launch

int main(int argc, char** argv) {
  return dcn::launch::RunProgram(dcn::launch::kName, dcn::launch::Main, argc, argv);
}
