//! How the page looks, in light and dark.

pub(super) const CSS: &str = "
:root{--bg:#fff;--panel:#f6f6f3;--ink:#1d1d1b;--dim:#65655f;--line:#dcdcd6;--bar:#3b6ea5;--soft:#3b6ea533;--good:#2a7547;--bad:#b0352d;--goodbg:#2a754718;--badbg:#b0352d18}
@media(prefers-color-scheme:dark){:root{--bg:#161716;--panel:#1f2120;--ink:#e8e8e3;--dim:#a0a09a;--line:#393b39;--bar:#7aa7d9;--soft:#7aa7d940;--good:#6fc48f;--bad:#f0857c;--goodbg:#6fc48f22;--badbg:#f0857c22}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 20px 80px}
h1{font-size:26px;line-height:1.25;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:18px;margin:44px 0 10px;padding-top:14px;border-top:1px solid var(--line)}
h3{font-size:14px;margin:0 0 2px;overflow-wrap:anywhere}
p{margin:0 0 8px}.lead{font-size:16px}.dim,.note{color:var(--dim)}.note{font-size:13px}
.chip{display:inline-block;vertical-align:4px;font-size:13px;font-weight:600;padding:1px 10px;border-radius:10px}
.good{color:var(--good)}.bad{color:var(--bad)}.chip.good{background:var(--goodbg)}.chip.bad{background:var(--badbg)}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:14px}
.card{background:var(--panel);border-radius:8px;padding:14px 16px;min-width:0}
.big{font-size:24px;font-weight:600;line-height:1.2}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th{font-weight:600;color:var(--dim);font-size:12.5px;text-align:left;white-space:nowrap}
th,td{padding:5px 10px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.n+:not(.n),th.n+:not(.n){padding-left:14px}
td.t{overflow-wrap:anywhere;min-width:120px}
svg{display:block;width:100%;height:auto}
svg text{font:11px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:var(--dim)}
svg text.k{fill:var(--ink);font-size:12px}
.f{fill:var(--bar)}.fs{fill:var(--soft)}.fg{fill:var(--good)}.fb{fill:var(--bad)}.fd{fill:var(--dim)}
.l{stroke:var(--line);stroke-width:1}.m{stroke:var(--ink);stroke-width:1.5}.c{stroke:var(--bar);stroke-width:2;fill:none}
.sg{stroke:var(--good);stroke-width:2}.sb{stroke:var(--bad);stroke-width:2}.sd{stroke:var(--dim);stroke-width:2}
details{border-bottom:1px solid var(--line);padding:8px 0}
summary{cursor:pointer;overflow-wrap:anywhere}
summary .dim{margin-left:8px}
pre{background:var(--panel);border-radius:6px;padding:10px 12px;margin:6px 0 12px;white-space:pre-wrap;overflow-wrap:anywhere;font:12.5px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;max-height:420px;overflow-y:auto}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:0 16px}
.matrix td,.matrix th{text-align:center;padding:7px 10px;border:1px solid var(--line)}
.matrix{width:auto}.matrix th.r{text-align:right}
a{color:var(--bar)}
@media print{details{break-inside:avoid}}
";
