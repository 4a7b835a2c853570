// Writes good messages and frames to a folder, for message_fuzz to start from.

#include <cstddef>
#include <cstdio>
#include <fstream>
#include <span>
#include <string>

#include "common/bytes.h"
#include "common/net/frame.h"
#include "tests/ps/message_samples.h"

namespace dcn::ps {
namespace {

bool Write(const std::string& path, std::span<const std::byte> head,
           std::span<const std::byte> body) {
  std::ofstream file(path, std::ios::binary);
  file << AsText(head) << AsText(body);
  return file.good();
}

// Each as an input of its decoder, and in a frame.
bool WriteAll(const std::string& folder) {
  std::size_t number = 0;
  for (const testing::MessageSample& sample : testing::AllSamples()) {
    const auto codec = static_cast<std::byte>(&sample.codec - testing::kMessageCodecs.data());
    const auto frame = net::EncodeFrameHeader({}, sample.body);
    const std::string path = folder + "/" + std::to_string(number++);
    if (!Write(path, {&codec, 1}, sample.body)) return false;
    if (!Write(path + "-frame", frame, sample.body)) return false;
  }
  return true;
}

}  // namespace
}  // namespace dcn::ps

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: message_fuzz_seeds FOLDER\n");
    return 2;
  }
  if (dcn::ps::WriteAll(argv[1])) return 0;
  std::fprintf(stderr, "error: cannot write to %s\n", argv[1]);
  return 1;
}
