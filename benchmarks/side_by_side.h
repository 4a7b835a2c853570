// Times what several threads do at once, each in the part of a rank.
#pragma once

#include <functional>

namespace dcn::benchmarks {

/// Calls body(rank) for every rank in [0, ranks), each on a thread of its own that flushes
/// denormals to zero; none begins before all threads are there. Returns the seconds from when the
/// first began until the last was done. Throws std::runtime_error with the texts of the exceptions
/// that left `body`; what a rank waits for in it has a deadline, as everywhere.
double RunSideBySide(int ranks, const std::function<void(int rank)>& body);

}  // namespace dcn::benchmarks
