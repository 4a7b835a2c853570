#include "tests/structure/rules.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dcn::structure {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(RulesTest, ArrowsAllowTheFoldersBelow) {
  const std::string text =
      "#include \"common/a.h\"\n#include \"ps/a.h\"\n#include \"worker/a.h\"\n#include <vector>\n";
  EXPECT_THAT(CheckIncludeArrows({"worker/train/x.cc", text}), IsEmpty());
  EXPECT_THAT(CheckIncludeArrows({"launch/main/x.cc", text}), IsEmpty());
  EXPECT_THAT(CheckIncludeArrows({"tests/ps/x_test.cc", text}), IsEmpty());
}

TEST(RulesTest, ArrowsRefuseTheFoldersAbove) {
  const std::vector<std::string> folders = {"common", "ps", "worker", "launch", "tests"};
  for (size_t from = 0; from < folders.size(); ++from) {
    for (size_t to = from + 1; to < folders.size(); ++to) {
      EXPECT_THAT(
          CheckIncludeArrows({folders[from] + "/x.cc", "\n#include \"" + folders[to] + "/y.h\"\n"}),
          ElementsAre(HasSubstr(":2: ")))
          << folders[from] << " -> " << folders[to];
    }
  }
}

TEST(RulesTest, ArrowsAreNotEscapedByBrackets) {
  EXPECT_THAT(CheckIncludeArrows({"ps/x.h", "#include <worker/y.h>\n"}), SizeIs(1));
}

TEST(RulesTest, QuotedIncludesStartAtTheRoot) {
  EXPECT_THAT(CheckIncludeArrows({"ps/table/x.cc", "#include \"table.h\"\n"}), SizeIs(1));
  EXPECT_THAT(CheckIncludeArrows({"ps/table/x.cc", "#include \"../ps/table.h\"\n"}), SizeIs(1));
}

TEST(RulesTest, ClientsSeeNeitherTablesNorServers) {
  const std::string text =
      "#include \"ps/protocol.h\"\n#include \"ps/table/t.h\"\n#include \"ps/server/s.h\"\n";
  EXPECT_THAT(CheckIncludeArrows({"ps/client/remote_shard.cc", text}), SizeIs(2));
  EXPECT_THAT(CheckIncludeArrows({"ps/server/shard.cc", text}), IsEmpty());
}

TEST(RulesTest, ForeignHeadersStayAtHome) {
  struct Case {
    std::string header;
    std::string home;
  };
  const std::vector<Case> cases = {
      {"torch/torch.h", "worker/model/torch_model.cc"},
      {"ATen/ATen.h", "worker/model/torch_model_layers.cc"},
      {"c10/util/Exception.h", "worker/model/torch_model.cc"},
      {"dnnl.hpp", "worker/model/onednn_matmul.h"},
      {"oneapi/dnnl/dnnl.hpp", "worker/model/onednn_matmul.h"},
      {"mpi.h", "worker/communicator/mpi_communicator.cc"},
      {"mpi.h", "launch/main/dcn_worker.cc"},
      {"mpi.h", "tests/worker/communicator/mpi_test.cc"},
      {"nccl.h", "worker/communicator/nccl_border.h"},
      {"cuda_runtime_api.h", "worker/communicator/nccl_border.h"},
      {"cuda_runtime.h", "worker/communicator/nccl_kernels.cu"},
      {"nccl.h", "tests/worker/communicator/nccl_test.cc"},
      {"boost/asio/post.hpp", "common/net/connection.cc"},
      {"boost/asio/post.hpp", "ps/server/server_core.cc"},
      {"boost/asio/post.hpp", "ps/client/server_connection.cc"},
  };
  for (const Case& test : cases) {
    const std::string text = "#include <" + test.header + ">\n";
    EXPECT_THAT(CheckForeignHeaders({test.home, text}), IsEmpty()) << test.header;
    EXPECT_THAT(CheckForeignHeaders({"worker/train/trainer.cc", text}), SizeIs(1)) << test.header;
    EXPECT_THAT(CheckForeignHeaders({"common/x.h", text}), SizeIs(1)) << test.header;
  }
}

TEST(RulesTest, ShardsAndTheirClientsSeeNoSockets) {
  const std::string text = "#include <boost/asio/post.hpp>\n";
  for (const std::string path : {"ps/server/shard_desk.cc", "ps/client/remote_shard.cc",
                                 "ps/client/request_multiplexer.cc", "ps/message.h"}) {
    EXPECT_THAT(CheckForeignHeaders({path, text}), SizeIs(1)) << path;
  }
}

TEST(RulesTest, TorchAndOneDnnDoNotMeetThroughOtherFiles) {
  const SourceFile torch = {"worker/model/torch_model.h", "#include <torch/torch.h>\n"};
  const SourceFile onednn = {"worker/model/onednn_model.h",
                             "#include \"worker/model/onednn_matmul.h\"\n"};
  const SourceFile matmul = {"worker/model/onednn_matmul.h", "#include <dnnl.hpp>\n"};
  const SourceFile both = {
      "worker/train/trainer.cc",
      "#include \"worker/model/onednn_model.h\"\n#include \"worker/model/torch_model.h\"\n"};
  EXPECT_THAT(CheckTorchApartFromOneDnn({torch, onednn, matmul}), IsEmpty());
  EXPECT_THAT(CheckTorchApartFromOneDnn({torch, onednn, matmul, both}),
              ElementsAre(HasSubstr("worker/train/trainer.cc")));
}

TEST(RulesTest, SurvivesFilesThatIncludeEachOther) {
  EXPECT_THAT(CheckTorchApartFromOneDnn({{"common/a.h", "#include \"common/b.h\"\n"},
                                         {"common/b.h", "#include \"common/a.h\"\n"}}),
              IsEmpty());
}

TEST(RulesTest, NamesStayAtHome) {
  EXPECT_THAT(CheckNames({"worker/x.cc", "\nauto* p = std::getenv(\"HOME\");\n"}),
              ElementsAre(HasSubstr("worker/x.cc:2: getenv")));
  EXPECT_THAT(CheckNames({"launch/main/x.cc", "std::getenv(\"HOME\");"}), IsEmpty());
  EXPECT_THAT(CheckNames({"worker/x.cc", "secure_getenv(\"HOME\");"}), SizeIs(1));
  EXPECT_THAT(CheckNames({"ps/x.cc", "std::thread t; std::jthread u;"}), SizeIs(2));
  EXPECT_THAT(CheckNames({"common/thread_pool.h", "std::vector<std::thread> threads_;"}),
              IsEmpty());
  EXPECT_THAT(CheckNames({"common/named_thread.h", "std::thread thread_;"}), IsEmpty());
  EXPECT_THAT(CheckNames({"common/thread_pool.h", "std::async(f); pthread_create();"}), SizeIs(2));
  EXPECT_THAT(CheckNames({"tests/x.cc", "co_spawn(e, f, boost::asio::detached);"}), SizeIs(1));
}

TEST(RulesTest, NamesInCommentsAndMessagesAreFree) {
  EXPECT_THAT(CheckNames({"ps/x.cc", "// never std::thread\nLog(\"no getenv( here\");\n"}),
              IsEmpty());
}

TEST(RulesTest, FilesHaveAtMostFiveHundredLines) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "x\n";
  EXPECT_THAT(CheckLength({"ps/x.cc", text}), IsEmpty());
  EXPECT_THAT(CheckLength({"ps/x.cc", text + "x"}), SizeIs(1));
}

TEST(RulesTest, HeadersExplainAndGuardThemselves) {
  EXPECT_THAT(CheckHeader({"ps/x.h", "// What it is.\n//\n// Why.\n#pragma once\nint x;\n"}),
              IsEmpty());
  EXPECT_THAT(CheckHeader({"ps/x.h", "#pragma once\nint x;\n"}), ElementsAre(HasSubstr(":1: ")));
  EXPECT_THAT(CheckHeader({"ps/x.h", "// What.\n// Why.\nint x;\n#pragma once\n"}),
              ElementsAre(HasSubstr(":3: ")));
  EXPECT_THAT(CheckHeader({"ps/x.h", "// What.\n// #pragma once\n"}), SizeIs(1));
  EXPECT_THAT(CheckHeader({"ps/x.h", ""}), SizeIs(2));
}

TEST(RulesTest, OwnHeaderComesFirst) {
  const SourceFile header = {"ps/x.h", "#pragma once\n"};
  EXPECT_THAT(
      CheckOwnHeaderFirst({header, {"ps/x.cc", "#include \"ps/x.h\"\n\n#include <vector>\n"}}),
      IsEmpty());
  EXPECT_THAT(
      CheckOwnHeaderFirst({header, {"ps/x.cc", "#include <vector>\n#include \"ps/x.h\"\n"}}),
      ElementsAre(HasSubstr("ps/x.cc:1: ")));
  EXPECT_THAT(CheckOwnHeaderFirst({header, {"ps/x.cc", "int x;\n"}}), SizeIs(1));
  EXPECT_THAT(CheckOwnHeaderFirst({{"launch/main/x.cc", "#include <vector>\n"}}), IsEmpty());
}

TEST(RulesTest, TheRootHoldsTheKnownEntriesOnly) {
  std::vector<std::string> paths = {"CMakeLists.txt",  "README.md",  ".ci/run",
                                    "benchmarks/a.cc", "common/a.h", "launch/a.h",
                                    "ps/a.h",          "tests/a.cc", "worker/a.h"};
  EXPECT_THAT(CheckTopLevel(paths), IsEmpty());
  paths.push_back("docs/a.md");
  paths.push_back("notes.txt");
  EXPECT_THAT(CheckTopLevel(paths), ElementsAre(HasSubstr("docs"), HasSubstr("notes.txt")));
  EXPECT_THAT(CheckTopLevel({}), SizeIs(8));
}

}  // namespace
}  // namespace dcn::structure
