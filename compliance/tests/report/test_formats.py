"""How a report is rendered: safe, accessible, self-contained, the same bytes each time."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from verticals.errors import AuditError
from verticals_compliance.report import build, endings, profile_names, read_profile, render
from verticals_compliance.report import svg as drawing
from verticals_compliance.report.tree import (
    Row,
    Section,
    Table,
    cell,
    columns,
    mark,
    paragraph,
    to_mapping,
    walk,
)

VOID = {"meta", "br", "link", "img", "input", "hr"}
SHAPES = {"line", "rect", "circle", "polyline", "path"}
CSS = Path(drawing.__file__).with_name("style.css").read_text()


class Page(HTMLParser):
    """Read a page into a flat list of (tag, attributes, path, text)."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.nodes, self.problems = [], [], []
        self.feed(text)
        self.close()
        if self.open:
            self.problems.append(f"never closed: {self.open}")

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.problems.append(f"an attribute of {tag} stands twice")
        up = self.open[-1] if self.open else None
        node = {"tag": tag, "at": dict(attrs), "texts": [], "inside": []}
        self.nodes.append(node)
        if up is not None:
            up["inside"].append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open[-1]["tag"] != tag:
            self.problems.append(f"</{tag}> closes {self.open[-1]['tag'] if self.open else '-'}")
            return
        self.open.pop()

    def handle_data(self, data):
        for node in self.open:
            node["texts"].append(data)

    @staticmethod
    def text(node):
        return "".join(node["texts"])

    def all(self, *tags):
        return [node for node in self.nodes if node["tag"] in tags]


@pytest.fixture(scope="module")
def parsed(page):
    return Page(page)


def problems(parsed):
    """Yield what a static look finds wrong for people who use a keyboard or a screen reader."""
    yield from parsed.problems
    ids = Counter(node["at"]["id"] for node in parsed.nodes if "id" in node["at"])
    yield from (f"id {name} stands {count} times" for name, count in ids.items() if count > 1)
    level = 0
    for node in parsed.all("h1", "h2", "h3", "h4", "h5", "h6"):
        now = int(node["tag"][1])
        if now > level + 1:
            yield f"heading {Page.text(node)!r} skips from {level} to {now}"
        level = now
    if len(parsed.all("h1")) != 1 or len(parsed.all("main")) != 1:
        yield "a page has one h1 and one main"
    for node in parsed.all("nav", "table", "svg", "section"):
        inside = node["inside"]
        named = node["at"].get("aria-label") or node["at"].get("aria-labelledby")
        if node["tag"] == "table" and not any(n["tag"] == "caption" for n in inside):
            yield "a table without a caption"
        if node["tag"] in ("nav", "section") and not named:
            yield f"a {node['tag']} without a name"
        if node["tag"] == "svg" and node["at"].get("aria-hidden") != "true":
            kinds = [n["tag"] for n in inside]
            if node["at"].get("role") != "img" or kinds[:2] != ["title", "desc"] or not named:
                yield "a drawing without role, title or description"
    for node in parsed.all("th"):
        if node["at"].get("scope") not in ("row", "col"):
            yield f"header {Page.text(node)!r} without scope"
    for node in parsed.nodes:
        for key in ("aria-labelledby", "aria-describedby"):
            for name in node["at"].get(key, "").split():
                if name not in ids:
                    yield f"{key} names {name}, which does not exist"
        target = node["at"].get("href", "#main")
        if node["tag"] == "a" and (not target.startswith("#") or target[1:] not in ids):
            yield f"link to {target}, which is not on the page"
    for node in parsed.all("figure"):
        if not any(n["tag"] == "figcaption" for n in node["inside"]):
            yield "a figure without a caption"


def test_the_page_passes_a_static_accessibility_check(parsed):
    assert list(problems(parsed)) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('id="main"', 'id="summary"', "stands 2 times"),
        ("<h3", "<h5", "closes"),
        ("<caption>", "<span>", "closes"),
        ('role="img"', "", "a drawing without"),
        ('scope="row"', "", "without scope"),
        ('href="#main"', 'href="#nowhere"', "not on the page"),
        ('aria-label="Contents"', "", "a nav without a name"),
    ],
)
def test_the_static_check_can_fail(page, old, new, expected):
    assert old in page
    assert any(expected in problem for problem in problems(Page(page.replace(old, new, 1))))


def test_every_figure_has_its_numbers_or_a_table_beside_it(document):
    for section in walk(document.sections):
        kinds = [type(block).__name__ for block in section.blocks]
        for at, block in enumerate(section.blocks):
            if kinds[at] == "Figure":
                assert block.table is not None or "Table" in kinds[at + 1 :]


def test_the_page_needs_no_network_and_no_script(page, parsed):
    assert not parsed.all("script", "link", "iframe", "img", "object", "embed", "form", "base")
    for node in parsed.nodes:
        assert not any(key.startswith("on") for key in node["at"])
        assert "style" not in node["at"]
        for key in ("src", "href", "action", "poster", "data", "xlink:href"):
            assert node["at"].get(key, "#").startswith("#")
    assert "url(" not in page
    assert "@import" not in page
    hosts = set(re.findall(r"[a-z]+://[^\s\"<]+", page))
    assert hosts == {"http://www.w3.org/2000/svg"}
    policy = next(n for n in parsed.all("meta") if "http-equiv" in n["at"])["at"]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"].startswith("default-src 'none'")
    assert "script-src" not in policy["content"]


def test_landmarks_language_title_and_a_way_past_the_contents(parsed):
    assert parsed.all("html")[0]["at"]["lang"] == "en"
    assert Page.text(parsed.all("title")[0]) == "credit-scoring · boston-mortgages"
    assert [n["tag"] for n in parsed.all("header", "nav", "main", "footer")] == [
        "header",
        "nav",
        "main",
        "footer",
    ]
    first = parsed.all("a")[0]
    assert (first["at"]["class"], first["at"]["href"]) == ("skip", "#main")


def test_a_status_is_told_by_word_and_shape_too(parsed):
    shown = [n for n in parsed.all("span") if (n["at"].get("class") or "").startswith("status ")]
    assert len(shown) > 20
    for node in shown:
        assert Page.text(node).strip()
        assert any(n["tag"] == "svg" for n in node["inside"])


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(first, second):
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_wcag_does():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_text_and_marks_have_enough_contrast():
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", CSS))
    for name in ("ink", "quiet", "blue", "bad", "half", "open", "good"):
        for ground in ("#ffffff", named["soft"], "#fff8ec", "#fff3c4"):
            assert contrast(named[name], ground) >= 4.5, (name, ground)
    for colour in (drawing.INK, drawing.QUIET, drawing.BLUE, drawing.RUST, drawing.TEAL):
        assert contrast(colour, "#ffffff") >= 4.5, colour


def test_the_style_sheet_prints(page):
    for wanted in ("@media print", "size: A4", "break-inside: avoid", "table-header-group"):
        assert wanted in page


def hostile(value, text):
    """Return a JSON value in which every string that people write holds a hostile text."""
    if isinstance(value, dict):
        fixed = ("verdict", "status", "metric", "kind", "unit", "form", "decide", "digest", "rule")
        links = ("output", "attribute", "field", "name", "evidence", "id", "record", "check")
        return {
            key: item if key in (*fixed, *links) else hostile(item, text)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [hostile(item, text) for item in value]
    return f"{value}{text}" if isinstance(value, str) else value


ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></svg><script>alert(1)</script>",
    "&lt;script&gt;",
    "](javascript:alert(1)) ![x](http://evil.example/x.png) <http://evil.example>",
    "|\n\n# Heading\n\n* item `code` **b** ~~s~~ $x$ [a]: http://evil.example",
    "http://evil.example www.evil.example a@evil.example",
)


@pytest.fixture(scope="module", params=ATTACKS)
def attacked(request, tmp_path_factory, folder):
    audit, details = (json.loads((folder / n).read_text()) for n in ("audit.json", "details.json"))
    audit, details = hostile(audit, request.param), hostile(details, request.param)
    for item in details["evidence"]["attributes"]:
        item["label"] += request.param
    from verticals_compliance.report.record import Record, clean

    record = Record(audit=clean(audit), details=clean(details), digest="sha256:0")
    return build(record, [read_profile("gdpr")])


def test_hostile_text_stays_text_in_html(attacked):
    page = Page(render(attacked, "html").decode())
    assert list(problems(page)) == []
    assert not page.all("script", "img", "iframe")
    for node in page.nodes:
        assert not any(key.startswith("on") for key in node["at"])
        assert node["at"].get("href", "#").startswith("#")


def test_hostile_text_stays_text_in_markdown(attacked):
    from markdown_it import MarkdownIt

    text = render(attacked, "md").decode()
    page = Page(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    assert not page.problems
    assert not page.all("script", "img", "iframe", "a")
    titles = [section.title for section in walk(attacked.sections)]
    assert len(page.all("h1", "h2", "h3", "h4")) == len(titles) + 1


def test_markdown_says_what_the_page_says(document, page):
    from markdown_it import MarkdownIt

    text = render(document, "md").decode()
    html = Page(MarkdownIt("commonmark").enable("table").render(text))
    said = " ".join(" ".join(Page.text(node) for node in html.all("p", "li", "td", "th")).split())
    for sentence in (
        "measured 0.644",
        "the limit is at least 0.8",
        "it finds at most 95.3%",
        "Lowest for Black (51.0%, 95% interval 41.2% to 60.8%, n = 96)",
        "✕ Gap",
        "◐ Inconclusive",
    ):
        assert sentence in said
    tables = len(Page(page).all("table"))
    assert len(html.all("table")) == tables + 1  # the tally is a table there


def test_json_is_the_tree(document):
    data = json.loads(render(document, "json"))
    assert data == to_mapping(document)
    assert data["type"] == "document"
    assert [item["id"] for item in data["sections"]][:3] == ["summary", "purpose", "data"]
    figure = next(
        block
        for section in data["sections"]
        for inner in (section, *section.get("sections", ()))
        for block in inner.get("blocks", ())
        if block["type"] == "figure"
    )
    assert figure["charts"][0]["type"] in ("dotchart", "linechart", "histogram")


SAME = """
import hashlib, sys
from pathlib import Path
from verticals_compliance.report import build, profile_names, read_profile, read_record, render
document = build(read_record(Path(sys.argv[1])), [read_profile(n) for n in profile_names()])
for ending in ("html", "md", "json"):
    print(hashlib.sha256(render(document, ending)).hexdigest())
"""


def test_the_same_record_gives_the_same_bytes_in_another_process(document, folder):
    here = [hashlib.sha256(render(document, name)).hexdigest() for name in ("html", "md", "json")]
    paths = ":".join(sys.path)
    for seed, zone in (("1", "Asia/Tokyo"), ("2", "America/Lima")):
        done = subprocess.run(
            [sys.executable, "-c", SAME, str(folder)],
            env={"PYTHONPATH": paths, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == here


#: What a report must never claim, in any format and for any record.
CLAIMS = re.compile(
    r"\b(?:non-?)?compliant\b|compliance achieved|certif(?:y|ied|ies|icate)|guarantee|"
    r"\b(?:is|are) (?:fair|unbiased|lawful|legal|safe)\b|bias-free|free (?:of|from) bias|"
    r"conform(?:s|ity) (?:to|with)|meets? the requirements",
    re.IGNORECASE,
)


@pytest.mark.parametrize("ending", ["html", "md", "json"])
@pytest.mark.parametrize("private", [True, False])
def test_no_format_ever_claims_more_than_was_measured(record_of, make_record, ending, private):
    audit, details = make_record(private=private)
    for finding in audit["findings"]:
        finding["status"] = "pass"
    profiles = [read_profile(name) for name in profile_names()]
    text = render(build(record_of(audit, details), profiles), ending).decode()
    assert CLAIMS.findall(text) == []


@pytest.mark.parametrize(
    "claim", ["This model is compliant.", "compliance achieved", "Certified", "guarantees fairness"]
)
def test_the_search_for_claims_can_fail(claim):
    assert CLAIMS.search(claim)


def test_an_ending_that_nobody_renders_lists_those_that_are(document):
    with pytest.raises(AuditError, match=r"'xlsx', expected one of html, md, json, epub") as caught:
        render(document, "xlsx", {"epub": lambda tree: b""})
    assert caught.value.hint == "verticals report DIR --out report.html"


@pytest.mark.parametrize("ending", ["pdf", "docx"])
def test_pdf_and_docx_point_to_the_browser(document, ending):
    with pytest.raises(AuditError) as caught:
        render(document, ending)
    assert "print it to a file from a browser" in caught.value.hint


def test_a_plugin_renders_the_tree(document):
    def titles(tree):
        return "\n".join(section["title"] for section in tree["sections"]).encode()

    formats = {"txt": titles, "html": titles}
    assert render(document, ".TXT", formats).startswith(b"1. Summary\n2. What the model is for")
    assert render(document, "html", formats).startswith(b"<!doctype html>")
    assert endings(formats) == ("html", "md", "json", "txt")


def test_a_plugin_that_returns_no_bytes_is_named(document):
    with pytest.raises(AuditError, match="'txt' returned str, expected bytes"):
        render(document, "txt", {"txt": lambda tree: "text"})


def test_marks_are_short_and_distinct():
    assert mark("/performance/3") == "P3"
    assert mark("/fairness/3/groups/1") == "F3.1"
    assert mark("/privacy/attack") == "V"
    assert mark("details:/curves/0/roc/7") == "D"
    assert mark("/unknown") == ""


def test_a_place_that_two_rows_name_is_an_anchor_once(document):
    row = Row(cells=(cell("x"),), source="/privacy")
    tables = tuple(Table(id=n, caption=n, columns=columns("c"), rows=(row,)) for n in ("a", "b"))
    section = Section(id="s", title="s", blocks=tables)
    made = type(document)(title="t", subtitle="s", facts=(), sections=(section,))
    page = Page(render(made, "html").decode())
    assert list(problems(page)) == []
    assert [n["at"].get("id") for n in page.all("tr") if "data-source" in n["at"]] == [
        "at-privacy",
        None,
    ]


def test_a_tree_refuses_what_it_does_not_know(document):
    odd = Section(id="x", title="x", blocks=("text",))
    broken = type(document)(title="t", subtitle="s", facts=(), sections=(odd,))
    for ending in ("html", "md"):
        with pytest.raises(TypeError, match="holds no str"):
            render(broken, ending)


def test_markdown_escapes_every_sign_that_could_be_markup(document):
    said = paragraph("1. <b> & *x* _y_ [z](u) `c` | ~ $ # http://e www.e a@e")
    section = Section(id="s", title="s", blocks=(said,))
    made = type(document)(title="t", subtitle="s", facts=(), sections=(section,))
    line = render(made, "md").decode().splitlines()[-1]
    assert line == (
        r"1\. &lt;b&gt; &amp; \*x\* \_y\_ \[z\](u) \`c\` \| \~ \$ \# "
        "http:&#47;&#47;e www&#46;e a&#64;e"
    )
