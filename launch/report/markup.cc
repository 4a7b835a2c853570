#include "launch/report/markup.h"

#include <cmath>

#include <fmt/format.h>

namespace dcn::report {
namespace {

bool StartsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }

}  // namespace

std::string Escape(std::string_view text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default: {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 ? byte != 0x7f : c == '\n' || c == '\t') html += c;
      }
    }
  }
  return html;
}

std::size_t CharacterCount(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) {
    if (StartsCharacter(c)) ++count;
  }
  return count;
}

std::string Shorten(std::string_view text, std::size_t characters) {
  if (CharacterCount(text) <= characters) return std::string(text);
  std::size_t kept = 0;
  std::size_t bytes = 0;
  for (; bytes < text.size(); ++bytes) {
    if (StartsCharacter(text[bytes]) && kept++ == characters - 1) break;
  }
  return std::string(text.substr(0, bytes)) + "…";
}

std::string Fixed(double value, int decimals) {
  if (!std::isfinite(value)) return "–";
  return fmt::format("{:.{}f}", value, decimals);
}

std::string TableHtml(const Table& table) {
  std::string html = fmt::format("<table class=\"{}\">\n", table.css_class);
  if (!table.caption.empty()) html += "<caption>" + table.caption + "</caption>\n";
  if (!table.head.empty()) {
    html += "<thead><tr>";
    for (const std::string& cell : table.head) html += "<th scope=\"col\">" + cell + "</th>";
    html += "</tr></thead>\n";
  }
  html += "<tbody>\n";
  for (const std::vector<std::string>& row : table.rows) {
    html += "<tr>";
    for (std::size_t k = 0; k < row.size(); ++k) {
      html += k == 0 ? "<th scope=\"row\">" + row[k] + "</th>" : "<td>" + row[k] + "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n";
}

std::string Details(std::string_view summary, std::string_view body) {
  return fmt::format("<details>\n<summary>{}</summary>\n{}</details>\n", summary, body);
}

}  // namespace dcn::report
