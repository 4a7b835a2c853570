// Text into HTML and SVG.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dcn::report {

/// `text` with &, <, >, " and ' escaped; control characters that HTML forbids are left out.
std::string Escape(std::string_view text);

/// `text` cut to `characters` (UTF-8 aware), with an ellipsis in place of what is left out.
std::string Shorten(std::string_view text, std::size_t characters);

/// Number of characters of UTF-8 `text`.
std::size_t CharacterCount(std::string_view text);

/// A fixed-point number; "not a number" as an en dash.
std::string Fixed(double value, int decimals);

/// One <table>. Cells are HTML already; the first of each row is its header. head: may be empty.
struct Table {
  std::string css_class;
  std::string caption;
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
};

std::string TableHtml(const Table& table);

/// A folded block: what its summary says, then `body` (HTML).
std::string Details(std::string_view summary, std::string_view body);

}  // namespace dcn::report
