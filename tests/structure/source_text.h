// What the structure rules see of a C++ file: its lines, its includes, its code without comments
// and literals, so that a word in a comment or in a message breaks no rule.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dcn::structure {

/// One #include directive.
struct Include {
  int line;          // from 1
  std::string path;  // between the quotes or brackets
  bool quoted;       // "…", not <…>
};

/// `text` with comments, and the contents of string and character literals, replaced by spaces:
/// line and column of all other characters stay. Knows raw strings and digit separators.
std::string BlankCommentsAndLiterals(std::string_view text);

/// The include directives of a file, in order; none from inside a comment or a literal.
std::vector<Include> FindIncludes(std::string_view text);

/// The lines of a text, without their ends; a last line without end counts.
std::vector<std::string_view> SplitLines(std::string_view text);

/// The numbers (from 1) of the lines of blanked code in which `name` stands as whole identifiers:
/// "std::thread" is found in "std::thread t", not in "std::thread_local" or "mystd::thread".
std::vector<int> FindName(std::string_view blanked, std::string_view name);

}  // namespace dcn::structure
