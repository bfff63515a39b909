"""SVG charts in data URIs, drawn from Vega-Lite dicts by vl-convert.

The SVG is shown by <img>, where a browser runs no script, follows no link and loads nothing: no string in a chart
can reach the page. Its colours follow the reader's light or dark scheme by a media query inside it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from xml.etree import ElementTree

import judgekit
from judgekit_html.visible import visible

# The version is pinned so that a newer vl-convert does not redraw an old record.
VEGA_LITE = "5.21"
MEASURED = "Liberation Sans"  # part of vl-convert: text is as wide on every machine
SHOWN = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
WIDTH = 400  # of the plot in px: small enough to be read on a phone

INK, MUTED, LINE, PAPER, GREY = "#1d2330", "#5c6675", "#dde1e7", "#ffffff", "#8a94a2"
# Told apart with any colour vision (after Okabe & Ito), each dark enough on paper for 3:1; never used alone.
COLOURS = ("#1f6fb5", "#c2570c", "#11795a", "#8a4fbf", "#8c6d12", "#b3305e")
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down")
_DARK = {
    INK: "#e8ebf0",
    MUTED: "#a3adbb",
    LINE: "#363e4a",
    PAPER: "#181c23",
    GREY: "#7f8a99",
    **dict(zip(COLOURS, ("#6fb3f2", "#f0995a", "#4fc49b", "#c39af0", "#d8b24a", "#f083a8"), strict=True)),
}
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": MEASURED,
    "padding": 4,
    "view": {"stroke": None},
    "range": {"category": list(COLOURS), "symbol": list(SHAPES)},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelPadding": 6,
        "labelFlush": False,
        "gridColor": LINE,
        "domain": False,
        "ticks": False,
    },
    "axisDiscrete": {"grid": False},
    "title": {"color": INK, "fontSize": 13, "fontWeight": 600, "anchor": "start", "subtitleColor": MUTED},
    "header": {"labelColor": INK, "labelFontSize": 13, "labelFontWeight": 600, "title": None},
    "legend": {
        "labelColor": INK,
        "titleColor": MUTED,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 240,
        "orient": "top",
        "title": None,
    },
    "text": {"color": INK, "fontSize": 13},
    "rule": {"color": INK},
    "bar": {"color": COLOURS[0]},
    "line": {"color": COLOURS[0], "strokeWidth": 2},
    "point": {"color": COLOURS[0]},
    "area": {"color": COLOURS[0]},
}
# Vega finds the parts of a chart by their names in plain JavaScript objects, which have these from birth: a system of
# such a name could not be drawn. A joiner at its end is not seen.
_EVERY_OBJECTS = frozenset(
    (
        "constructor",
        "hasOwnProperty",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "toLocaleString",
        "toString",
        "valueOf",
        "__proto__",
        "__defineGetter__",
        "__defineSetter__",
        "__lookupGetter__",
        "__lookupSetter__",
    )
)
_JOINER = "\N{ZERO WIDTH JOINER}"
_SVG = "http://www.w3.org/2000/svg"
# Names for readers of inline SVG, and marks of interaction: without use in a picture.
_UNUSED = ("aria-label", "aria-hidden", "aria-roledescription", "role", "pointer-events", "class")


def data_uri(chart: Mapping[str, Any], name: str) -> str:
    """The chart as `data:image/svg+xml;base64,…`; equal charts give equal bytes.

    Raises PluginError where vl-convert is not installed, or where it refuses the chart of section `name`.
    """
    try:
        import vl_convert
    except ImportError:
        raise judgekit.PluginError(f"charts are drawn by vl-convert: {judgekit.install_hint('report')}") from None
    try:
        # No base URL is allowed: a chart brings its data along.
        svg = vl_convert.vegalite_to_svg(
            _shown(chart), vl_version=VEGA_LITE, config=_CONFIG, allowed_base_urls=[], show_warnings=False
        )
    except ValueError as error:
        reason = next((line for line in str(error).splitlines() if "Error:" in line), str(error))
        raise judgekit.PluginError(f"the chart of section {name!r} cannot be drawn: {reason.strip()}") from error
    return "data:image/svg+xml;base64," + base64.b64encode(_finished(svg)).decode("ascii")


def explored(chart: Mapping[str, Any]) -> dict[str, Any]:
    """The chart as Vega, for the reader's browser to draw: with what is under the pointer in words."""
    import vl_convert

    config = {**_CONFIG, "font": SHOWN, "aria": False, "mark": {"tooltip": True}}
    spec: dict[str, Any] = vl_convert.vegalite_to_vega(
        _shown(chart), vl_version=VEGA_LITE, config=config, show_warnings=False
    )
    # Without its version: vl-convert brings a newer Vega than the one that this Vega-Lite names, and it fits.
    return {key: value for key, value in spec.items() if key != "$schema"}


@cache
def bundle() -> str:
    """The script that draws such charts: Vega, Vega-Lite and vega-embed, as vl-convert ships them."""
    import vl_convert

    made: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE)
    return re.sub(r"(?i)<(/script|!--)", r"\\x3c\1", made)


def explored_style() -> str:
    """Dark colours for charts that stand in the page itself."""
    rules = "".join(
        f'.vega [fill="{light}"] {{ fill: {dark}; }} .vega [stroke="{light}"] {{ stroke: {dark}; }} '
        for light, dark in _DARK.items()
    )
    return f"@media (prefers-color-scheme: dark) {{ {rules} }}\n"


def _shown(value: Any) -> Any:
    """The tree with hidden characters made visible: most of them are not even allowed in XML."""
    if isinstance(value, str):
        return f"{value}{_JOINER}" if value in _EVERY_OBJECTS else visible(value)
    if isinstance(value, Mapping):
        return {visible(key): _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list | tuple) else value


def _finished(svg: str) -> bytes:
    """The SVG in the reader's own fonts and colour scheme, with ids that do not depend on earlier drawings."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(svg)
    numbers: dict[str, str] = {}
    for element in root.iter():
        for unused in _UNUSED:
            element.attrib.pop(unused, None)
        if "font-family" in element.attrib:
            element.set("font-family", element.attrib["font-family"].replace(MEASURED, SHOWN))
        if "id" in element.attrib:
            element.set("id", numbers.setdefault(element.attrib["id"], f"id{len(numbers)}"))
    for element in root.iter():
        for key, value in element.attrib.items():
            if "#" in value and key != "id":
                element.set(key, re.sub(r"#([A-Za-z_]+\d+)", lambda match: _renamed(match, numbers), value))
    style = ElementTree.Element(f"{{{_SVG}}}style")
    style.text = _scheme()
    root.insert(0, style)
    return ElementTree.tostring(root, encoding="unicode").encode("utf-8")


def _renamed(match: re.Match[str], numbers: Mapping[str, str]) -> str:
    return "#" + numbers.get(match.group(1), match.group(1))


def _scheme() -> str:
    rules = "".join(
        f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in _DARK.items()
    )
    return f"@media (prefers-color-scheme:dark){{{rules}}}"
