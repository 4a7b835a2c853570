// The usual collectives for small things (configuration, addresses, results), as exchanges.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/bytes.h"
#include "common/status.h"
#include "worker/communicator/communicator.h"

namespace dcn::comm {

/// Every rank's text, by rank. Texts may differ in length. Errors: those of Exchange.
[[nodiscard]] Result<std::vector<std::string>> AllGatherText(Communicator& communicator,
                                                             std::string_view text,
                                                             std::string_view what);

/// Every rank's text on rank 0, by rank; nothing on the others. Errors: those of Exchange.
[[nodiscard]] Result<std::vector<std::string>> GatherText(Communicator& communicator,
                                                          std::string_view text,
                                                          std::string_view what);

/// Rank 0's text on every rank; what the others give is ignored. Errors: those of Exchange.
[[nodiscard]] Result<std::string> BroadcastText(Communicator& communicator, std::string_view text,
                                                std::string_view what);

/// Returns once every rank has called it. Errors: those of Exchange.
[[nodiscard]] Status Barrier(Communicator& communicator, std::string_view what);

/// Fills `all` where other ranks have what is missing here: rank q has the elements
/// [bounds[q], bounds[q+1]) of it. bounds: size() + 1 entries. Errors: those of Exchange.
template <ByteScalar T>
[[nodiscard]] Status AllGatherRanges(Communicator& communicator, std::span<T> all,
                                     std::span<const std::size_t> bounds, std::string_view what) {
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const auto own = static_cast<std::size_t>(communicator.rank());
  std::vector<SendPiece> send(ranks);
  std::vector<ReceivePiece> receive(ranks);
  for (std::size_t q = 0; q < ranks; ++q) {
    if (q == own) continue;  // it is in place
    send[q] = std::as_bytes(all.subspan(bounds[own], bounds[own + 1] - bounds[own]));
    receive[q] = std::as_writable_bytes(all.subspan(bounds[q], bounds[q + 1] - bounds[q]));
  }
  return communicator.Exchange(send, receive, what);
}

}  // namespace dcn::comm
