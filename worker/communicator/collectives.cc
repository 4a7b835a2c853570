#include "worker/communicator/collectives.h"

#include <cstdint>

namespace dcn::comm {
namespace {

// The text of each rank p on those ranks q for which `sends(p, q)` holds; empty ones elsewhere.
template <typename Sends>
Result<std::vector<std::string>> GatherFrom(Communicator& communicator, std::string_view text,
                                            std::string_view what, Sends sends) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const auto own = static_cast<std::size_t>(communicator.rank());
  std::vector<std::uint64_t> sent(ranks);
  std::vector<std::uint64_t> lengths(ranks);
  std::vector<SendPiece> send(ranks);
  std::vector<ReceivePiece> receive(ranks);
  for (std::size_t q = 0; q < ranks; ++q) {
    sent[q] = sends(own, q) ? text.size() : 0;
    send[q] = std::as_bytes(std::span(&sent[q], 1));
    receive[q] = std::as_writable_bytes(std::span(&lengths[q], 1));
  }
  DCN_RETURN_IF_ERROR(communicator.Exchange(send, receive, what));

  std::vector<std::string> texts(ranks);
  for (std::size_t q = 0; q < ranks; ++q) {
    texts[q].resize(lengths[q]);
    send[q] = AsBytes(text.substr(0, sent[q]));
    receive[q] = std::as_writable_bytes(std::span(texts[q]));
  }
  DCN_RETURN_IF_ERROR(communicator.Exchange(send, receive, what));
  return texts;
}

}  // namespace

Result<std::vector<std::string>> AllGatherText(Communicator& communicator, std::string_view text,
                                               std::string_view what) {
  return GatherFrom(communicator, text, what, [](std::size_t, std::size_t) { return true; });
}

Result<std::vector<std::string>> GatherText(Communicator& communicator, std::string_view text,
                                            std::string_view what) {
  DCN_ASSIGN_OR_RETURN(
      std::vector<std::string> texts,
      GatherFrom(communicator, text, what, [](std::size_t, std::size_t q) { return q == 0; }));
  if (communicator.rank() != 0) texts.clear();
  return texts;
}

Result<std::string> BroadcastText(Communicator& communicator, std::string_view text,
                                  std::string_view what) {
  DCN_ASSIGN_OR_RETURN(
      std::vector<std::string> texts,
      GatherFrom(communicator, text, what, [](std::size_t p, std::size_t) { return p == 0; }));
  return std::move(texts[0]);
}

Status Barrier(Communicator& communicator, std::string_view what) {
  return AllGatherText(communicator, {}, what).status();
}

}  // namespace dcn::comm
