"""A hundred and fifty strings that a model, a user or a server might write, and a run with one of them everywhere.

Each would do something on a page that took it for more than text: run, load, leave the element or attribute it is in,
end the script or the style, hide, turn round, or break a parser.
"""

from __future__ import annotations

from dataclasses import replace

import judgekit
from gated_runs import hostile as gated_hostile
from judgekit.records import Response, Row, Sample, Scale, ScoreKey, Verdict
from judgekit.results import (
    Agreement,
    AgreementMeasure,
    Breakdown,
    Calibration,
    Corrected,
    Estimate,
    Group,
    Interval,
    RunView,
    Statistic,
)
from sample_run import HOSTILE, estimate_of, sample_run

_RUN = "alert(1)"
_HANDLERS = [
    "onabort", "onanimationend", "onauxclick", "onbeforeprint", "onblur", "oncanplay", "onchange", "onclick",
    "oncontextmenu", "oncopy", "ondblclick", "ondrag", "onerror", "onfocus", "onhashchange", "oninput",
    "onkeydown", "onload", "onmouseenter", "onmouseover", "onpageshow", "onpaste", "onpointerdown", "onresize",
    "onscroll", "ontoggle", "ontransitionend", "onwheel",
]  # fmt: skip
_ELEMENTS = (
    "<script src=http://127.0.0.1:9/x.js></script>",
    "<img src=http://127.0.0.1:9/x.png>",
    "<img srcset='http://127.0.0.1:9/x.png 2x'>",
    "<picture><source srcset=http://127.0.0.1:9/x.png></picture>",
    "<iframe src=http://127.0.0.1:9/></iframe>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<object data=http://127.0.0.1:9/x></object>",
    "<embed src=http://127.0.0.1:9/x>",
    "<link rel=stylesheet href=http://127.0.0.1:9/x.css>",
    "<link rel=preload as=image href=http://127.0.0.1:9/x.png>",
    "<link rel=dns-prefetch href=//127.0.0.1:9>",
    "<style>@import url(http://127.0.0.1:9/x.css)</style>",
    "<style>body{display:none}</style>",
    "<div style='position:fixed;inset:0;background:red'>x</div>",
    "<div style=background:url(http://127.0.0.1:9/x.png)>x</div>",
    "<meta http-equiv=Content-Security-Policy content=\"script-src 'unsafe-inline'\">",
    "<meta charset=utf-7>+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "<form action=http://127.0.0.1:9/><button>send</button></form>",
    "<form id=filter><input name=action></form>",
    "<input autofocus onfocus=alert(1)>",
    "<select><option></select><script>alert(1)</script>",
    "<video src=http://127.0.0.1:9/x.mp4 autoplay></video>",
    "<audio src=http://127.0.0.1:9/x.mp3 autoplay></audio>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<svg><use href='data:image/svg+xml,<svg id=x onload=alert(1)>#x'/></svg>",
    "<svg><image href=http://127.0.0.1:9/x.png /></svg>",
    "<svg><foreignObject><iframe src=javascript:alert(1)></foreignObject></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<dialog open>x</dialog>",
    "<marquee onstart=alert(1)>x</marquee>",
    "<frameset onload=alert(1)>",
    "<plaintext>",
    "<xmp><script>alert(1)</script></xmp>",
    "<title>other</title>",
    "<body onload=alert(1)>",
    "<a id=items name=filter>clobbered</a>",
    "<img name=getElementById>",
    "<portal src=http://127.0.0.1:9/></portal>",
    "<script type=module>import 'http://127.0.0.1:9/x.js'</script>",
    "<script type=application/json id=index>{}</script>",
    "<slot onslotchange=alert(1)>",
    "<details open id=item-1>",
)
_CONTEXTS = (
    "</summary></details></section></main></body></html><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</pre></code><script>alert(1)</script>",
    "</script ><script>alert(1)</script>",
    "</SCRIPT\n><script>alert(1)</script>",
    "<!--<script>",
    "--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    '"autofocus onfocus=alert(1) x="',
    "'autofocus onfocus=alert(1) x='",
    "` onmouseover=alert(1) `",
    'x" style="position:fixed',
    "x' data-flags='refused",
    "# item-1",
    "*/alert(1)/*",
    "}</style><style>*{display:none}",
    '\\"};alert(1);//',
    "';alert(1);//",
    "${alert(1)}",
    "`${alert(1)}`",
    "\\u003cscript\\u003ealert(1)\\u003c/script\\u003e",
    "&#x3c;script&#x3e;alert(1)&#x3c;/script&#x3e;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "//127.0.0.1:9/x",
    "http://127.0.0.1:9/?q={{7*7}}",
    "{{ ''.__class__.__mro__ }}",
    "{% include 'report.html.j2' %}",
    "{# comment #}",
    "<%= 7*7 %>",
    "datum.constructor.constructor('alert(1)')()",
    "signal|pipe|0|",
    "a.b[0]['c']",
    "__proto__",
    "toString",
    "constructor",
)
_CHARACTERS = (
    "\u202egnp.exe",
    "\u2067right\u2069 to left",
    "zero\u200bwidth\u200bspaces",
    "\ufeffbyte order mark",
    "a\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301",
    "line\u2028and\u2029paragraph",
    "tag\U000e0020letters",
    "\x00\x01\x02\x03",
    "\x1b]8;;http://127.0.0.1:9\x07link\x1b]8;;\x07",
    "\r\n\r\nHTTP/1.1 200 OK",
    "lone \udfff low surrogate",
    "\ufffe\uffff",
    "مرحبا <script>alert(1)</script>",
    "＜script＞alert(1)＜/script＞",
    "\u00ad\u00ad\u00adsoft",
    "𝕳𝖊𝖑𝖑𝖔 🏴\U000e0067\U000e0062",
    "x" * 3000,
    "   ",
    ".",
)
EVERY = tuple(
    dict.fromkeys(
        [*HOSTILE, *_ELEMENTS, *_CONTEXTS, *_CHARACTERS, *(f'"><img src=x {name}={_RUN}>' for name in _HANDLERS)]
    )
)[:150]


def hostile_everywhere(text: str) -> RunView:
    """A run in which every string of the record, too, that somebody else can write is `text`."""
    view = gated_hostile(text)
    series = Scale(label=text, low=0, high=100, unit=text)
    gone = Interval(method=text, low=None, high=None, note=text)
    interval = Interval(method=text, low=1.0, high=2.0)
    estimate: Estimate = estimate_of(text, text, 51.5, 4.0, series, n=4)
    figure = AgreementMeasure(
        name=text, label=text, value=0.5, interval=interval, wilson=interval, n_items=3, note=text
    )
    corrected = Corrected(
        system=text, value=1.0, interval=gone, judge_only=gone, judge_mean=1.0, labels_only=gone, labels_mean=1.0,
        n_labels=2, n_unlabelled=2, note=text,
    )  # fmt: skip
    agreement = Agreement(
        metric=text, first=text, second=text, kind="score", scale=series, confidence=0.95, n_items=3, n_pairs=3,
        labellers=2, figures=(figure,), ceiling=(figure,), corrected=(corrected,), notes=(text,),
    )  # fmt: skip
    none = Interval(method=text, low=None, high=None, note=text)
    unknown = Calibration(low=0, high=20, n_pairs=1, n_items=1, judge=10, label=15, interval=none)
    agreement = agreement.model_copy(update={"calibration": (unknown,)})
    groups = (Group(name=text, n_samples=2), Group(name=f"{text} 2", n_samples=2))
    grouped = tuple(estimate.model_copy(update={"group": group.name}) for group in groups)
    statistics = [
        Statistic(metric=text, system=text, opponent=text, name=name, label=text, value=40.0, note=text)
        for name in (text, "chance")
    ]
    record = view.record.model_copy(
        update={
            "statistics": tuple(statistics),
            "breakdowns": (Breakdown(field=text, groups=groups, estimates=grouped),),
            "agreements": (agreement,),
            "rescored": text,
            "steps": {text: (text, text)},
            "notes": {f"{text}: {text}": 2},
            "warnings": (text, text),
        }
    )
    talk = Sample(id=f"talk {text}", instruction=text, system=text, turns=(text,), turn_references=(text,))
    answer = Response(system=text, sample_id=talk.id, text=text, turns=(text,))
    verdict = Verdict(status="scored", value=10.0, raw=text, rationale=text, detail=text, series={text: 0.5})
    row = Row(metric=text, system=text, opponent=text, sample_id=talk.id, status="scored", value=10.0,
              verdicts=(verdict,))  # fmt: skip
    before = {ScoreKey(text, text, ""): {sample.id: 40.0 for sample in view.samples}}
    return replace(
        view, record=record, samples=[*view.samples, talk], responses=[*view.responses, answer],
        rows=[*view.rows, row], baseline=before,
    )  # fmt: skip


def all_at_once() -> RunView:
    """A run with one sample for each string, which is in every one of its fields."""
    samples, responses, rows = [], [], []
    for number, text in enumerate(EVERY):
        sample = Sample(
            id=f"{number} {text}", instruction=text, input=text, reference=text, category=text, system=text,
            turns=(text,), turn_references=(text,), choices=(text, text), answer=0, metadata={text: text},
        )  # fmt: skip
        verdict = Verdict(status="scored", value=50.0, raw=text, rationale=text, detail=text, series={text: 0.5})
        samples.append(sample)
        responses.append(
            Response(system="sft", sample_id=sample.id, text=text, turns=(text,), status="truncated", detail=text)
        )
        rows.append(
            Row(metric="quality", system="sft", sample_id=sample.id, status="scored", value=50.0,
                series={text: 1.0}, verdicts=(verdict,))
        )  # fmt: skip
    notes = dict.fromkeys(EVERY, 1)
    changes = {"notes": notes, "errors": notes, "warnings": EVERY, "n_samples": len(samples)}
    view: judgekit.RunView = sample_run(4)
    baseline = {ScoreKey("quality", "sft", ""): {sample.id: 40.0 + i % 3 for i, sample in enumerate(samples)}}
    return RunView(view.record.model_copy(update=changes), samples, responses, rows, baseline)
