// The page's style sheet: light and dark, phones and paper.
#pragma once

namespace prefold {

inline constexpr const char* kPageStyle = R"(
:root{--page:#f4f3f0;--card:#fcfcfb;--ink:#16160f;--soft:#52514e;--mute:#77756d;--grid:#e6e5df;
--axis:#bdbcb2;--prefill:#2a78d6;--decode:#e0662c;--kv:#6a55c2;--live:#148a62;--pale:#c9cfd8;
--ideal:#8fb8ea;--a:#2a78d6;--b:#e0662c;--s0:#e9e8e2;--s1:#d2e2f6;--s2:#a9c9f0;--s3:#6fa3e4;
--s4:#3a80d8;--s5:#1c5cad;--load:#8b8a80;--plan:#148a62;--run:#2a78d6;--rest:#d5d3ca}
@media (prefers-color-scheme:dark){:root{--page:#121211;--card:#1b1b1a;--ink:#f2f1ec;--soft:#c3c2b7;
--mute:#98968c;--grid:#2d2d2b;--axis:#4a4a46;--prefill:#4a90e6;--decode:#e57a45;--kv:#9585ea;
--live:#2fae82;--pale:#454b54;--ideal:#35608f;--a:#4a90e6;--b:#e57a45;--s0:#2b2b29;--s1:#1f3550;
--s2:#234a78;--s3:#2a5d9b;--s4:#3272bf;--s5:#3d84d9;--load:#8b8a80;--plan:#2fae82;--run:#4a90e6;
--rest:#3d3c38}}
*{box-sizing:border-box}
body{margin:0 auto;padding:24px 20px;max-width:1160px;background:var(--page);color:var(--ink);
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:22px;margin:0 0 4px}h2{font-size:16px;margin:0 0 2px}
p{margin:0 0 8px;color:var(--soft)}header p{overflow-wrap:anywhere}header{margin-bottom:16px}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr));gap:16px;
align-items:start}
.card,.tiles div{background:var(--card);border:1px solid var(--grid);border-radius:8px;
padding:14px 16px;min-width:0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0 0 16px}
.tiles dt{color:var(--soft);font-size:13px}.tiles dd{margin:0;font-size:24px;font-weight:600}
.tiles dd.more{font-size:13px;font-weight:400;color:var(--mute)}
svg{display:block;width:100%;height:auto;font-size:12.5px}
svg text{fill:var(--soft)}svg .tick{fill:var(--mute)}svg .value{fill:var(--ink)}
svg .on-dark{fill:#fff;font-size:11.5px}svg .on-light{fill:var(--ink);font-size:11.5px}
.grid{stroke:var(--grid)}.axis{stroke:var(--axis)}.level{stroke:var(--mute);stroke-dasharray:5 4}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.area{stroke:none}
.line.prefill{stroke:var(--prefill)}.line.decode{stroke:var(--decode)}.line.kv{stroke:var(--kv)}
.line.live{stroke:var(--live)}.line.run-a{stroke:var(--a)}
.line.run-b{stroke:var(--b);stroke-dasharray:7 3}.line.faint{stroke-width:1;opacity:.8}
.area.prefill{fill:var(--prefill)}.area.decode{fill:var(--decode)}
.area.kv{fill:var(--kv);opacity:.22}.area.live{fill:var(--live);opacity:.22}
rect.prefill{fill:var(--prefill)}rect.decode{fill:var(--decode)}rect.reused{fill:var(--pale)}
rect.ideal{fill:var(--ideal)}rect.run-a{fill:var(--a)}rect.run-b{fill:var(--b)}
rect.phase-load{fill:var(--load)}rect.phase-plan{fill:var(--plan)}rect.phase-run{fill:var(--run)}
rect.phase-rest{fill:var(--rest)}
.box{stroke:var(--card);stroke-width:.6}.shade-0{fill:var(--s0)}.shade-1{fill:var(--s1)}
.shade-2{fill:var(--s2)}.shade-3{fill:var(--s3)}.shade-4{fill:var(--s4)}.shade-5{fill:var(--s5)}
.rest{fill:var(--s0)}
.legend{font-size:13px;margin:2px 0}
.key{display:inline-block;width:12px;height:12px;border-radius:3px;margin:0 5px -1px 0}
.key:not(:first-child){margin-left:12px}
.key.prefill{background:var(--prefill)}.key.decode{background:var(--decode)}
.key.run-a{background:var(--a)}.key.run-b{background:var(--b)}
.key.phase-load{background:var(--load)}.key.phase-plan{background:var(--plan)}
.key.phase-run{background:var(--run)}.key.phase-rest{background:var(--rest)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:3px 8px 3px 0;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}
th:first-child{text-align:left}thead th{color:var(--soft);font-weight:500}
tbody th{font-weight:400}td{overflow-wrap:anywhere}
.options td{white-space:normal;min-width:6em}
details{margin-top:6px}summary{cursor:pointer;color:var(--soft);font-size:13px}
footer{margin-top:16px;color:var(--mute);font-size:13px}
@media (max-width:480px){body{padding:14px 10px}.card{padding:12px 10px}svg{font-size:14px}
.tiles{grid-template-columns:1fr 1fr}}
@media print{body{background:#fff;max-width:none;padding:0;font-size:11px}
main{grid-template-columns:1fr 1fr}.card{break-inside:avoid}*{print-color-adjust:exact}}
)";

}  // namespace prefold
