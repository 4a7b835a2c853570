// How the ranks of one run talk among themselves: one exchange, of which everything else is made.
//
// Three implementations: ranks in one process (local.h, for tests and for a run alone), MPI
// (mpi.h), and NCCL for what lies on GPUs (nccl.h). All ranks call the same functions in the same
// order. The combination of gradients in the tree's order is built on top (ordered_reduction.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/status.h"

namespace dcn::comm {

/// What goes to, or comes from, one rank; may be empty, on both sides then.
using SendPiece = std::span<const std::byte>;
using ReceivePiece = std::span<std::byte>;

/// One rank's view of all ranks.
/// Thread safety: calls come from one thread, the one that made the object.
class Communicator {
 public:
  virtual ~Communicator() = default;

  /// This rank, in [0, size()).
  [[nodiscard]] virtual int rank() const = 0;
  [[nodiscard]] virtual int size() const = 0;

  /// Sends send[q] to every rank q and fills receive[q] with what rank q sends to this one; both
  /// have size() entries, and receive[q] is exactly as long as what rank q sends. The own piece is
  /// copied. Returns when all of this rank's pieces have come and gone. what: for errors, e.g.
  /// "dense gradients of step 7".
  /// kDeadlineExceeded: names the ranks that were waited for. kUnavailable: a rank is gone, or the
  /// library below has lost the exchange. kInternal: a piece of another length, or an error of this
  /// rank's own. After an error the communicator is of no more use than for Abort; pieces must stay
  /// alive until then.
  [[nodiscard]] virtual Status Exchange(std::span<const SendPiece> send,
                                        std::span<const ReceivePiece> receive,
                                        std::string_view what) = 0;

  /// Ends the other ranks, as far as they can be reached. Those of an MPI job end with the exit
  /// code, this process too; in one process, exchanges that wait end with kUnavailable.
  virtual void Abort(int exit_code) = 0;

  /// Bytes that went to, and came from, other ranks so far.
  [[nodiscard]] virtual std::uint64_t bytes_sent() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes_received() const = 0;
};

}  // namespace dcn::comm
