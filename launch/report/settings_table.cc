#include "launch/report/settings_table.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "launch/report/markup.h"

namespace dcn::report {
namespace {

using nlohmann::json;

void FlattenInto(const json& node, const std::string& name,
                 std::vector<std::pair<std::string, std::string>>& leaves) {
  if (node.is_object() && !node.empty()) {
    for (const auto& [key, child] : node.items()) {
      FlattenInto(child, name.empty() ? key : name + "." + key, leaves);
    }
    return;
  }
  leaves.emplace_back(name, node.is_string()
                                ? node.get<std::string>()
                                : node.dump(-1, ' ', false, json::error_handler_t::replace));
}

/// Lists of objects read better one a line.
std::string ValueHtml(const std::string& value) {
  std::string html;
  for (std::size_t at = 0; at < value.size();) {
    const std::size_t end = value.find("},{", at);
    if (end == std::string::npos) {
      html += Escape(value.substr(at));
      break;
    }
    html += Escape(value.substr(at, end + 2 - at)) + "<br>";
    at = end + 2;
  }
  return html;
}

std::string JoinDistinct(std::vector<std::string> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  std::string html;
  for (const std::string& value : values) html += (html.empty() ? "" : "<br>") + Escape(value);
  return html;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> Flatten(const json& object) {
  std::vector<std::pair<std::string, std::string>> leaves;
  if (object.is_object() && object.empty()) return leaves;
  FlattenInto(object, "", leaves);
  return leaves;
}

std::string ConfigurationTable(std::span<const VariantSummary> summaries) {
  std::map<std::string, std::vector<std::string>> settings;  // name -> a value for each variant
  for (std::size_t k = 0; k < summaries.size(); ++k) {
    for (const auto& [name, value] : Flatten(summaries[k].results->runs.front().configuration)) {
      if (name == "seed") continue;
      std::vector<std::string>& values = settings[name];
      values.resize(summaries.size());
      values[k] = value;
    }
  }
  std::string html = "<table class=\"settings\">\n<thead><tr><th scope=\"col\">setting</th>";
  for (const VariantSummary& summary : summaries) {
    html += "<th scope=\"col\">" + Escape(summary.name) + "</th>";
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& [name, values] : settings) {
    html += "<tr><th scope=\"row\">" + Escape(name) + "</th>";
    if (std::equal(values.begin() + 1, values.end(), values.begin())) {
      html += fmt::format("<td colspan=\"{}\">{}</td>", values.size(), ValueHtml(values.front()));
    } else {
      for (const std::string& value : values) html += "<td>" + ValueHtml(value) + "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table>\n";
}

std::string MachineTable(std::span<const VariantSummary> summaries) {
  std::map<std::string, std::vector<std::string>> versions;
  std::vector<std::string> processors;
  std::vector<std::string> memory;
  for (const VariantSummary& summary : summaries) {
    for (const output::RunResult& run : summary.results->runs) {
      processors.push_back(fmt::format("{}, {} core{}; {} thread{} a run", run.machine.cpu_model,
                                       run.machine.cores, run.machine.cores == 1 ? "" : "s",
                                       run.threads, run.threads == 1 ? "" : "s"));
      memory.push_back(
          fmt::format("{:.1f} GiB", static_cast<double>(run.machine.memory_bytes) / (1 << 30)));
      for (const auto& [name, version] : run.versions) versions[name].push_back(version);
    }
  }
  Table table;
  table.css_class = "settings";
  table.rows = {{"processor", JoinDistinct(processors)}, {"memory", JoinDistinct(memory)}};
  for (const auto& [name, values] : versions) {
    table.rows.push_back({Escape(name), JoinDistinct(values)});
  }
  return TableHtml(table);
}

}  // namespace dcn::report
