"""The style sheet of the dashboard, in the page itself; the policy allows it by its hash."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from pgstead.app.dashboard.markup import Html

# Contrast of text is 4.5:1 or more in both schemes, of lines in charts 3:1 (WCAG 2.2, 1.4.3 and
# 1.4.11); nothing is told by colour alone.
SHEET: Final = Html("""
:root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--soft:#57606a;--edge:#d0d7de;
--box:#f6f8fa;--link:#0550ae;--ok:#116329;--warning:#7d4e00;--critical:#a40e26;--unknown:#57606a;
--l0:#0550ae;--l1:#bc4c00;--l2:#116329;--l3:#8250df;--l4:#a40e26;--l5:#57606a}
@media(prefers-color-scheme:dark){:root{--back:#0d1117;--text:#e6edf3;--soft:#9da7b3;
--edge:#3d444d;--box:#161b22;--link:#79b8ff;--ok:#56d364;--warning:#e3b341;--critical:#ff8b85;
--unknown:#9da7b3;--l0:#79b8ff;--l1:#ffa657;--l2:#56d364;--l3:#d2a8ff;--l4:#ff8b85;--l5:#9da7b3}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:1rem/1.5 system-ui,sans-serif}
a{color:var(--link)}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:.5rem;top:.5rem;background:var(--back)}
header,main,footer{max-width:76rem;margin:0 auto;padding:.5rem 1rem}
header h1{font-size:1.25rem;margin:.5rem 0}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem;list-style:none;margin:0;padding:0}
nav a{display:block;padding:.5rem .75rem;border:1px solid var(--edge);border-radius:.4rem}
nav a[aria-current]{background:var(--box);font-weight:600;text-decoration:none;color:var(--text)}
h2{font-size:1.4rem;margin:1rem 0 .5rem}h3{font-size:1.1rem;margin:1rem 0 .5rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
caption{text-align:left;color:var(--soft);padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--edge)}
thead th{color:var(--soft);font-weight:600;white-space:nowrap}
tbody th{font-weight:600;overflow-wrap:anywhere;min-width:9rem}
td{overflow-wrap:break-word}td:last-child{min-width:9rem}
.n{white-space:nowrap}
.state{font-weight:700;white-space:nowrap}
.ok,.healthy,.done,.kept,.measured{color:var(--ok)}
.warning,.degraded,.unproven,.interrupted,.running,.pending{color:var(--warning)}
.critical,.unhealthy,.failed,.broken,.killed,.firing{color:var(--critical)}
.unknown,.none{color:var(--unknown)}
.small{color:var(--soft);font-size:.85rem;font-weight:400;margin:.25rem 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,15rem),1fr));gap:.75rem}
.card,figure{margin:0;padding:.75rem;border:1px solid var(--edge);border-radius:.5rem;
background:var(--box);min-width:0}
.card strong{display:block;font-size:1.4rem}
.charts{display:grid;margin-top:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr));gap:1rem}
figcaption{font-weight:600;margin-bottom:.25rem}
figure caption{position:absolute;left:-99rem}
svg{display:block;width:100%;height:auto}
.tree{margin:.25rem 0;padding-left:1.25rem;overflow-wrap:anywhere}
.tree .tree{border-left:2px solid var(--edge)}
section.card{margin:.5rem 0}code{font-size:.85rem;overflow-wrap:anywhere}
th code{display:block;min-width:15rem;font-weight:400}
.key{display:inline-block;width:1.75rem;height:.6rem;vertical-align:middle}
.grid{stroke:var(--edge);fill:none}
.tick{fill:var(--soft);font-size:11px;text-anchor:middle}.left{text-anchor:end;
dominant-baseline:middle}.start{text-anchor:start}.end{text-anchor:end}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.l0{stroke:var(--l0)}.l1{stroke:var(--l1);stroke-dasharray:6 4}
.l2{stroke:var(--l2);stroke-dasharray:1 4}.l3{stroke:var(--l3);stroke-dasharray:10 4 2 4}
.l4{stroke:var(--l4);stroke-dasharray:10 5}.l5{stroke:var(--l5);stroke-dasharray:3 5}
@media(max-width:40rem){.line{stroke-width:3}.tick{font-size:15px}}
@media print{nav,.skip{display:none}}
""")
_HASH = base64.b64encode(hashlib.sha256(SHEET.encode()).digest()).decode()
# Nothing is loaded, run, framed or sent: the pages are text and lines.
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
