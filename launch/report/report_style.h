// The style sheet of report.html.
#pragma once

#include <string_view>

namespace dcn::report {

/// Plain CSS without any reference to the outside: system fonts, one column of figures on a phone,
/// colours kept in print.
inline constexpr std::string_view kStyleSheet = R"css(
:root { color-scheme: light; --ink: #1c2430; --soft: #5b6675; --line: #d9dee5; --paper: #fff; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
    sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 64px; }
header { border-bottom: 1px solid var(--line); padding-bottom: 20px; }
.experiment { margin: 0 0 4px; color: var(--soft); font-size: 13px; letter-spacing: .06em; }
h1 { margin: 0; font-size: 30px; line-height: 1.2; font-weight: 650; letter-spacing: -.01em;
  text-wrap: balance; }
h2 { margin: 52px 0 6px; font-size: 20px; font-weight: 650; }
h3 { margin: 34px 0 2px; font-size: 16px; font-weight: 650; }
p { margin: 8px 0; max-width: 74ch; }
.facts { color: var(--soft); margin: 10px 0 0; max-width: none; }
.note, figcaption { color: var(--soft); font-size: 13.5px; }
.strongest { max-width: none; }
.notice { border-left: 3px solid #d55e00; padding: 2px 0 2px 12px; margin-top: 14px; }
.answer { font-size: 17px; }
.side-by-side { display: grid; grid-template-columns: minmax(0, 1.1fr) minmax(0, 1fr);
  gap: 16px 44px; align-items: start; margin-top: 14px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr));
  gap: 20px 28px; margin-top: 14px; }
.maps { display: flex; flex-wrap: wrap; gap: 20px 22px; margin: 14px 0 6px; }
figure { margin: 0; min-width: 0; break-inside: avoid; }
.charts figure { max-width: 420px; }
.strip { max-width: 520px; }
.map { flex: 1 1 300px; max-width: 348px; }
.map figcaption, .loss figcaption { font-size: 14px; margin-bottom: 4px; }
.loss b { color: var(--ink); }
.map figcaption { color: var(--ink); font-weight: 600; }
svg { display: block; width: 100%; height: auto; overflow: visible;
  font-family: inherit; font-variant-numeric: tabular-nums; }
svg text { fill: var(--ink); font-size: 11px; }
svg .name { text-anchor: end; }
svg .number { text-anchor: middle; }
svg .tick, svg .axis { fill: var(--soft); font-size: 11px; }
svg .strip-name { font-size: 13px; font-weight: 600; }
svg .grid { stroke: #e8ebef; stroke-width: 1; }
svg .rule { stroke: #aab3bf; stroke-width: 1; }
svg .outline { fill: none; stroke: #c3cad3; stroke-width: .6; }
svg .cell rect { stroke: #cfd6de; stroke-width: .5; }
svg .cell:hover rect { stroke: var(--ink); stroke-width: 1.5; }
svg circle.run { stroke: #fff; stroke-width: 1; fill-opacity: .88; }
svg line.mean { stroke-width: 2; }
svg polyline { fill: none; stroke-linejoin: round; stroke-linecap: round; }
svg polyline.run { stroke-width: 1; stroke-opacity: .3; }
svg polyline.other { stroke: #c4cad2; stroke-width: 1.2; }
svg polyline.mean { stroke-width: 2.2; }
svg polyline.other, svg polyline.mean { pointer-events: none; }
svg .hover { fill: none; pointer-events: all; }
svg .hover:hover { fill: var(--ink); fill-opacity: .08; }
.scroll { overflow-x: auto; }
.scroll + .scroll { margin-top: 16px; }
table { border-collapse: collapse; font-size: 15px; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); font-size: 13.5px; padding-bottom: 6px; }
th, td { padding: 7px 18px 7px 0; text-align: right; white-space: nowrap;
  vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
th:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 500; font-size: 13.5px;
  border-bottom: 1px solid var(--line); }
tbody th { font-weight: 600; }
tbody tr + tr > * { border-top: 1px solid #eef1f4; }
.results { width: 100%; }
.results .best { font-weight: 650; }
.numbers, .settings { font-size: 13px; }
.settings td, .settings th { text-align: left; white-space: normal; overflow-wrap: anywhere;
  padding: 4px 18px 4px 0; }
.settings th { font-weight: 500; color: var(--soft); white-space: nowrap; overflow-wrap: normal; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 8px; }
code, pre { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono",
  monospace; }
pre { background: #f5f7f9; border-radius: 4px; padding: 12px 14px; overflow-x: auto;
  margin: 8px 0; }
details { margin: 10px 0; }
summary { cursor: pointer; color: #0b5c91; font-size: 14px; width: fit-content; }
details > :nth-child(2) { margin-top: 8px; }
@media (max-width: 760px) {
  main { padding: 24px 16px 48px; }
  h1 { font-size: 24px; }
  h2 { margin-top: 40px; }
  .side-by-side { grid-template-columns: minmax(0, 1fr); }
  .map { flex-basis: 100%; }
  .charts { grid-template-columns: minmax(0, 1fr); }
  th, td { padding-right: 11px; }
  table { font-size: 14px; }
  .results { font-size: 13.5px; }
}
@media print {
  @page { margin: 14mm; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  body { font-size: 11pt; }
  main { max-width: none; padding: 0; }
  h2, h3 { break-after: avoid; }
  h2 { margin-top: 26px; }
  .charts { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .map { flex: 1 1 45%; }
  .scroll, pre { overflow: visible; }
  pre { white-space: pre-wrap; }
  tr { break-inside: avoid; }
  summary { color: var(--soft); }
}
)css";

}  // namespace dcn::report
