// A piece from where it is to where it goes, inside one process.
#pragma once

#include <cstring>
#include <string_view>

#include "common/status.h"
#include "worker/communicator/communicator.h"

namespace dcn::comm {

/// Copies one piece. kInternal: the lengths differ; names `what` and both ranks.
[[nodiscard]] inline Status CopyPiece(SendPiece from, ReceivePiece to, int sender, int receiver,
                                      std::string_view what) {
  if (from.size() != to.size()) {
    return Error(StatusCode::kInternal,
                 "{}: rank {} sent {} bytes where rank {} expected {}: the ranks are out of step",
                 what, sender, from.size(), receiver, to.size());
  }
  if (!from.empty() && from.data() != to.data()) std::memcpy(to.data(), from.data(), from.size());
  return Status();
}

}  // namespace dcn::comm
