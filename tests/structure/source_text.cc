#include "tests/structure/source_text.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

namespace dcn::structure {
namespace {

bool IsIdentifierCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Blanks text[begin, end) but for line ends.
void Blank(std::string& text, size_t begin, size_t end) {
  for (size_t i = begin; i < std::min(end, text.size()); ++i) {
    if (text[i] != '\n') text[i] = ' ';
  }
}

// The position after the literal that opens with a quote at `quote`; a line end closes it too.
size_t EndOfLiteral(std::string_view text, size_t quote) {
  size_t i = quote + 1;
  while (i < text.size() && text[i] != text[quote] && text[i] != '\n') {
    i += text[i] == '\\' ? 2U : 1U;
  }
  return std::min(i + 1, text.size());
}

// The position after the raw string whose quote stands at `quote`.
size_t EndOfRawString(std::string_view text, size_t quote) {
  const size_t open = text.find('(', quote);
  if (open == std::string_view::npos) return text.size();
  std::string close = ")";
  close += text.substr(quote + 1, open - quote - 1);
  close += '"';
  const size_t end = text.find(close, open);
  return end == std::string_view::npos ? text.size() : end + close.size();
}

bool IsRawStringQuote(std::string_view text, size_t quote) {
  size_t begin = quote;
  while (begin > 0 && IsIdentifierCharacter(text[begin - 1])) --begin;
  const std::string_view prefix = text.substr(begin, quote - begin);
  return prefix == "R" || prefix == "u8R" || prefix == "uR" || prefix == "UR" || prefix == "LR";
}

// A quote inside a number (1'000'000) is no literal.
bool IsDigitSeparator(std::string_view text, size_t quote) {
  size_t begin = quote;
  while (begin > 0 && (IsIdentifierCharacter(text[begin - 1]) || text[begin - 1] == '\'')) --begin;
  return begin < quote && std::isdigit(static_cast<unsigned char>(text[begin])) != 0;
}

// Blanks comments; with_literals: the contents of literals as well (their quotes stay).
std::string BlankText(std::string_view text, bool with_literals) {
  std::string blanked(text);
  size_t i = 0;
  while (i < text.size()) {
    size_t end = i + 1;
    if (text.substr(i, 2) == "//") {
      end = std::min(text.find('\n', i), text.size());
      Blank(blanked, i, end);
    } else if (text.substr(i, 2) == "/*") {
      const size_t close = text.find("*/", i + 2);
      end = close == std::string_view::npos ? text.size() : close + 2;
      Blank(blanked, i, end);
    } else if (text[i] == '"' || (text[i] == '\'' && !IsDigitSeparator(text, i))) {
      const bool raw = text[i] == '"' && IsRawStringQuote(text, i);
      end = raw ? EndOfRawString(text, i) : EndOfLiteral(text, i);
      if (with_literals) Blank(blanked, i + 1, end - 1);
    }
    i = end;
  }
  return blanked;
}

std::string_view TrimLeft(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

}  // namespace

std::string BlankCommentsAndLiterals(std::string_view text) { return BlankText(text, true); }

std::vector<std::string_view> SplitLines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<Include> FindIncludes(std::string_view text) {
  // A directive's first character is no blank in the fully blanked text: that tells it from the
  // same words inside a raw string.
  const std::string code = BlankText(text, true);
  const std::string with_paths = BlankText(text, false);
  const std::vector<std::string_view> code_lines = SplitLines(code);
  const std::vector<std::string_view> lines = SplitLines(with_paths);
  std::vector<Include> includes;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!TrimLeft(code_lines[i]).starts_with('#')) continue;
    std::string_view rest = TrimLeft(TrimLeft(lines[i]).substr(1));
    if (!rest.starts_with("include")) continue;
    rest = TrimLeft(rest.substr(std::string_view("include").size()));
    if (!rest.starts_with('"') && !rest.starts_with('<')) continue;
    const bool quoted = rest.front() == '"';
    const size_t end = rest.find(quoted ? '"' : '>', 1);
    if (end == std::string_view::npos) continue;
    includes.push_back({static_cast<int>(i) + 1, std::string(rest.substr(1, end - 1)), quoted});
  }
  return includes;
}

std::vector<int> FindName(std::string_view blanked, std::string_view name) {
  std::vector<int> found;
  int line = 1;
  size_t counted_to = 0;
  for (size_t at = blanked.find(name); at != std::string_view::npos;
       at = blanked.find(name, at + 1)) {
    const size_t after = at + name.size();
    const bool starts = at == 0 || !IsIdentifierCharacter(blanked[at - 1]);
    const bool ends = after == blanked.size() || !IsIdentifierCharacter(blanked[after]);
    if (!starts || !ends) continue;
    line += static_cast<int>(std::count(blanked.begin() + static_cast<std::ptrdiff_t>(counted_to),
                                        blanked.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    counted_to = at;
    found.push_back(line);
  }
  return found;
}

}  // namespace dcn::structure
