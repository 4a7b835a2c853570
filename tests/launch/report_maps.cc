#include "tests/launch/report_maps.h"

#include <cmath>
#include <regex>
#include <span>
#include <stdexcept>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/file/safetensors.h"
#include "tests/testing/temporary_folder.h"

namespace dcn::testing {
namespace {

struct Feature {
  std::string name;
  std::size_t width = 0;
};

std::vector<Feature> FeaturesOf(const SafetensorsFile& model) {
  const std::string prefix = "embedding/";
  std::vector<Feature> features;
  for (const TensorView& tensor : model.tensors()) {
    if (!tensor.name.starts_with(prefix)) continue;
    features.push_back({tensor.name.substr(prefix.size()), tensor.shape.at(1)});
  }
  return features;
}

// The kernel [width, width] of the first cross layer; of a low-rank one, U V.
std::vector<double> KernelOf(const SafetensorsFile& model) {
  if (const auto kernel = model.Get("cross/0/kernel"); kernel.ok()) {
    return {kernel->values.begin(), kernel->values.end()};
  }
  const auto u = model.Get("cross/0/kernel_u");
  const auto v = model.Get("cross/0/kernel_v");
  if (!u.ok() || !v.ok()) throw std::runtime_error("no kernel: " + u.status().ToString());
  const std::size_t width = u->shape.at(0);
  const std::size_t rank = u->shape.at(1);
  std::vector<double> product(width * width);
  for (std::size_t i = 0; i < width; ++i) {
    for (std::size_t j = 0; j < width; ++j) {
      for (std::size_t k = 0; k < rank; ++k) {
        product[i * width + j] += double{u->values[i * rank + k]} * v->values[k * width + j];
      }
    }
  }
  return product;
}

std::map<FeaturePair, double> BlockNormsOf(const std::filesystem::path& path) {
  const auto model = SafetensorsFile::Open(path);
  if (!model.ok()) throw std::runtime_error(model.status().ToString());
  std::vector<std::string> owners;  // of each component of x0
  for (const Feature& feature : FeaturesOf(*model)) {
    owners.insert(owners.end(), feature.width, feature.name);
  }
  const std::vector<double> kernel = KernelOf(*model);
  if (kernel.size() != owners.size() * owners.size()) throw std::runtime_error("no square kernel");
  std::map<FeaturePair, double> norms;
  for (std::size_t i = 0; i < owners.size(); ++i) {
    for (std::size_t j = 0; j < owners.size(); ++j) {
      norms[{owners[i], owners[j]}] += std::pow(kernel[i * owners.size() + j], 2.0);
    }
  }
  for (auto& [pair, norm] : norms) norm = std::sqrt(norm);
  return norms;
}

// What `text` shows of `value`: rounded to as many decimals as it has, at least two. Half a unit of
// the last decimal, and a little for a value that lies between two.
void ExpectRounded(const std::string& text, double value, const std::string& what) {
  const std::size_t point = text.find('.');
  ASSERT_NE(point, std::string::npos) << what << ": " << text;
  const auto decimals = static_cast<double>(text.size() - point - 1);
  EXPECT_GE(decimals, 2) << what << ": " << text;
  EXPECT_NEAR(std::stod(text), value, 0.5001 * std::pow(10.0, -decimals)) << what;
}

// From `begin` to the next `end`; fails the test where it is not there, or there twice.
std::string Part(const std::string& html, const std::string& begin, const std::string& end) {
  const std::size_t from = html.find(begin);
  EXPECT_NE(from, std::string::npos) << begin;
  if (from == std::string::npos) return "";
  EXPECT_EQ(html.find(begin, from + 1), std::string::npos) << begin << " is there twice";
  return html.substr(from, html.find(end, from) - from);
}

std::vector<std::smatch> Matches(const std::string& text, const std::regex& pattern) {
  return {std::sregex_iterator(text.begin(), text.end(), pattern), std::sregex_iterator()};
}

// The numbers in the cells of one picture.
void ExpectCells(const std::string& section, const std::string& quantity,
                 const std::map<FeaturePair, double>& map) {
  const std::regex cell("<title>([^<]*) × ([^<]*): " + quantity +
                        " ([^<]*)</title><rect[^>]*><text[^>]*>([^<]*)</text>");
  std::map<FeaturePair, std::string> shown;
  for (const std::smatch& match : Matches(section, cell)) {
    EXPECT_TRUE(shown.emplace(FeaturePair(match[1], match[2]), match[3]).second) << match.str();
    EXPECT_EQ(match[3], match[4]) << "on hover and in the cell";
  }
  EXPECT_EQ(shown.size(), map.size()) << quantity;
  for (const auto& [pair, value] : map) {
    const std::string what = fmt::format("{} of {} × {}", quantity, pair.first, pair.second);
    ASSERT_TRUE(shown.contains(pair)) << what;
    ExpectRounded(shown.at(pair), value, what);
  }
}

// The table's rows: the first cell's text, and that of the others.
std::map<std::string, std::vector<std::string>> RowsOf(const std::string& table) {
  std::map<std::string, std::vector<std::string>> rows;
  for (const std::smatch& row :
       Matches(table, std::regex("<th scope=\"row\">([^<]*)</th>((?:<td>[^<]*</td>)*)"))) {
    const std::string cells = row[2];
    for (const std::smatch& cell : Matches(cells, std::regex("<td>([^<]*)</td>"))) {
      rows[row[1]].push_back(cell[1]);
    }
  }
  return rows;
}

std::vector<std::string> ColumnsOf(const std::string& table) {
  std::vector<std::string> columns;
  for (const std::smatch& head : Matches(table, std::regex("<th scope=\"col\">([^<]*)</th>"))) {
    columns.push_back(head[1]);
  }
  columns.erase(columns.begin());  // above the rows' names
  return columns;
}

// Calls check(cell, pair) for every cell of the table with this caption.
template <typename Check>
void ExpectTable(const std::string& section, const std::string& caption, std::size_t features,
                 const Check& check) {
  const std::string table = Part(section, "<caption>" + caption + "</caption>", "</table>");
  const std::vector<std::string> columns = ColumnsOf(table);
  const auto rows = RowsOf(table);
  EXPECT_EQ(columns.size(), features) << caption;
  EXPECT_EQ(rows.size(), features) << caption;
  for (const auto& [row, cells] : rows) {
    ASSERT_EQ(cells.size(), columns.size()) << caption << ", " << row;
    for (std::size_t k = 0; k < cells.size(); ++k) check(cells[k], FeaturePair(row, columns[k]));
  }
}

}  // namespace

BlockNormMaps MapsOfModels(const std::filesystem::path& sweep, const std::string& variant,
                           const std::vector<std::uint64_t>& seeds) {
  BlockNormMaps maps;
  std::map<FeaturePair, std::vector<double>> norms;  // by run
  for (const std::uint64_t seed : seeds) {
    const auto run = sweep / variant / fmt::format("seed-{}", seed);
    for (const auto& [pair, norm] : BlockNormsOf(run / "model.safetensors")) {
      norms[pair].push_back(norm);
    }
  }
  const auto runs = static_cast<double>(seeds.size());
  for (const auto& [pair, values] : norms) {
    double& mean = maps.mean[pair];
    for (const double value : values) mean += value / runs;
    double variance = 0;
    for (const double value : values) variance += std::pow(value - mean, 2.0) / runs;
    maps.standard_deviation[pair] = std::sqrt(variance);
  }
  for (const auto& [pair, mean] : maps.mean) {
    maps.asymmetry[pair] = std::abs(mean - maps.mean.at({pair.second, pair.first}));
    if (pair.first == pair.second) ++maps.features;
  }
  return maps;
}

void ExpectReportShows(const std::filesystem::path& sweep, const std::string& variant,
                       const BlockNormMaps& maps) {
  const std::string html = ReadText(sweep / "report.html");
  const std::string section = Part(html, "<h3>" + variant + "</h3>", "</details>");
  ExpectCells(section, "mean", maps.mean);
  ExpectCells(section, "standard deviation", maps.standard_deviation);
  ExpectCells(section, "asymmetry", maps.asymmetry);
  ExpectTable(section, "Block norms of " + variant, maps.features,
              [&](const std::string& cell, const FeaturePair& pair) {
                const std::string between = "&nbsp;±&nbsp;";
                const std::size_t at = cell.find(between);
                ASSERT_NE(at, std::string::npos) << cell;
                const std::string what = fmt::format("table: {} × {}", pair.first, pair.second);
                ExpectRounded(cell.substr(0, at), maps.mean.at(pair), what);
                ExpectRounded(cell.substr(at + between.size()), maps.standard_deviation.at(pair),
                              what);
              });
  ExpectTable(section, "Asymmetry |(i, j) − (j, i)| of " + variant, maps.features,
              [&](const std::string& cell, const FeaturePair& pair) {
                ExpectRounded(cell, maps.asymmetry.at(pair),
                              fmt::format("table: {} × {}", pair.first, pair.second));
              });
}

}  // namespace dcn::testing
