// Makes a feature's vocabulary and looks values up in it.
//
// The sorting is part of the answer: value i of the vocabulary is row i + 1 of the embedding table,
// and a row's first weights depend on its number.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/data/dataset.h"

namespace dcn::data {

/// The distinct values among `values`, sorted bytewise, or as numbers where is_integer.
/// REQUIRES for is_integer: each value is a decimal integer that fits 64 bits.
Vocabulary MakeVocabulary(std::string feature, bool is_integer, std::vector<std::string> values);

/// The table row of `value`: its place in the vocabulary plus 1, or 0 when it is not there.
std::uint32_t TableRow(const Vocabulary& vocabulary, std::string_view value);

}  // namespace dcn::data
