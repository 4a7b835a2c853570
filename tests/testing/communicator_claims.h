// What every communicator must hold to, seen from one rank; called on all ranks side by side.
//
// Each function returns the empty text, or what is wrong on this rank. Used with N ranks in one
// process and under mpirun.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "worker/communicator/communicator.h"
#include "worker/communicator/dense_reduction.h"

namespace dcn::testing {

/// Pieces of many lengths, 0 among them, arrive whole and in the right place, twice over.
std::string CheckExchange(comm::Communicator& communicator);

/// Gathered texts, a broadcast and a barrier.
std::string CheckTexts(comm::Communicator& communicator);

/// Parts that other ranks have come, one's own stays.
std::string CheckAllGatherRanges(comm::Communicator& communicator);

/// The ordered reduction has the bits of the tree's definition written out, for full and short
/// batches of up to full_leaves leaves. count: parameters; every third is summed of denormals and
/// numbers near them, which count as zero (common/floating_point.h).
std::string CheckOrderedReduction(comm::Communicator& communicator, std::uint32_t full_leaves,
                                  std::size_t count);

/// What a reduction's sums are held to.
enum class SumBits {
  kOfTheTree,
  kNearTheTree,  // to within the roundings of another order
};

/// The same of any reduction, with SumBits as its promise has it.
std::string CheckDenseReduction(comm::DenseReduction& reduction, int ranks,
                                std::uint32_t full_leaves, std::size_t count,
                                SumBits bits = SumBits::kOfTheTree);

}  // namespace dcn::testing
