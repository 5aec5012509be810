"""Look at the page in a real browser: axe, overlapping labels, narrow screens, paper."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from verticals_compliance.report import build, read_profile, render

pytestmark = pytest.mark.browser

OVERLAPS = """() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg[role=img]')) {
    const frame = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll('text')].map(
      t => ({text: t.textContent, box: t.getBoundingClientRect()}));
    for (const [i, a] of boxes.entries()) {
      if (a.box.left < frame.left - 1 || a.box.right > frame.right + 1
          || a.box.top < frame.top - 2 || a.box.bottom > frame.bottom + 2)
        found.push(`${a.text} leaves its drawing`);
      for (const b of boxes.slice(i + 1)) {
        const wide = Math.min(a.box.right, b.box.right) - Math.max(a.box.left, b.box.left);
        const high = Math.min(a.box.bottom, b.box.bottom) - Math.max(a.box.top, b.box.top);
        if (wide > 1 && high > 3.5) found.push(`${a.text} on ${b.text}`);
      }
    }
  }
  return found;
}"""
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
OPEN = "() => document.querySelectorAll('details').forEach(d => { d.open = true; })"
SMALLEST = """() => Math.min(...[...document.querySelectorAll('svg[role=img] text')].map(
  t => t.getBoundingClientRect().height))"""


@pytest.fixture(scope="module")
def pages(browser, page, tmp_path_factory):
    """Return an open page of the report, and what the browser asked of the network."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page)
    asked, said = [], []
    shown = browser.new_page()
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: said.append(message.text))
    shown.goto(path.as_uri())
    return shown, asked, said


def test_the_browser_asks_for_nothing_else_and_complains_of_nothing(pages):
    shown, asked, said = pages
    assert asked == [shown.url]
    assert said == []


@pytest.fixture(scope="module")
def axe():
    """Return axe-core as text; axe looks at every node, so that it gets a shorter report."""
    found = pytest.importorskip("axe_playwright_python", reason="axe is not installed")
    return (Path(found.__file__).parent / "axe.min.js").read_text()


@pytest.fixture
def short(browser, record_of, make_record, tmp_path):
    """Return an open page with one of everything that a report can hold."""
    audit, details = make_record()
    audit["fairness"] = [item for item in audit["fairness"] if item["attribute"] == "sex"]
    audit["findings"] = [f for f in audit["findings"] if "/fairness/" not in f["evidence"]]
    details["shapes"] = details["shapes"][2:4]
    details["encoding"], details["distribution"] = details["encoding"][:2], []
    details["curves"][0]["roc"] = details["curves"][0]["roc"][::12]
    details["curves"][0]["histogram"] = details["curves"][0]["histogram"][::5]
    details["membership"]["roc"] = details["membership"]["roc"][::7]
    details["contract"]["fields"] = details["contract"]["fields"][:3]
    path = tmp_path / "short.html"
    path.write_bytes(render(build(record_of(audit, details), [read_profile("gdpr")]), "html"))
    shown = browser.new_page()
    shown.goto(path.as_uri())
    shown.evaluate(OPEN)
    yield shown
    shown.close()


@pytest.mark.slow
def test_axe_finds_nothing_wrong(short, axe):
    short.evaluate(axe)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    options = {"runOnly": tags, "resultTypes": ["violations"]}
    for width in (1280, 390):
        short.set_viewport_size({"width": width, "height": 900})
        found = short.evaluate(f"() => axe.run({json.dumps(options)})")
        assert len(found["passes"]) > 20
        assert [(v["id"], v["nodes"][0]["html"][:200]) for v in found["violations"]] == []
        options["rules"] = {"color-contrast": {"enabled": False}}  # the same at every width


def test_axe_can_find_something(short, axe):
    short.evaluate(axe)
    short.evaluate(
        "() => document.querySelector('main svg[role=img]').removeAttribute('aria-labelledby')"
    )
    short.evaluate("() => document.querySelector('main svg[role=img] > title').remove()")
    found = short.evaluate("() => axe.run({runOnly: {type: 'rule', values: ['svg-img-alt']}})")
    assert [item["id"] for item in found["violations"]] == ["svg-img-alt"]


@pytest.mark.parametrize("width", [1280, 768, 390, 320])
def test_no_label_lies_on_another_and_the_page_never_scrolls_sideways(pages, width):
    shown, _, _ = pages
    shown.set_viewport_size({"width": width, "height": 900})
    shown.evaluate(OPEN)
    assert shown.evaluate(OVERLAPS) == []
    assert shown.evaluate(WIDER) <= 0
    assert shown.evaluate(SMALLEST) >= 9  # pixels of height: text that can be read


def test_hostile_labels_neither_overlap_nor_run(browser, record_of, make_record, tmp_path):
    audit, details = make_record()
    long = "Wxyz " * 30 + "<img src=x onerror=document.title='run'>" + "M" * 90
    for item in (*details["contract"]["fields"], *details["evidence"]["attributes"]):
        item["label"] = long
    for row in audit["fairness"]:
        for group in row["groups"]:
            group["group"] = f"{group['group']} {long}"
    for shape in details["shapes"]:
        shape.update(label=long, unit=long)
    path = tmp_path / "hostile.html"
    path.write_bytes(render(build(record_of(audit, details)), "html"))
    shown = browser.new_page()
    shown.set_viewport_size({"width": 390, "height": 900})
    shown.goto(path.as_uri())
    assert shown.evaluate(OVERLAPS) == []
    assert shown.evaluate(WIDER) <= 0
    assert shown.title() != "run"
    assert shown.evaluate("() => document.images.length") == 0


def test_paper_shows_folded_tables_and_repeats_their_heads(pages, tmp_path):
    shown, _, _ = pages
    shown.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = false; })")
    shown.emulate_media(media="print")
    seen = (
        "() => [...document.querySelectorAll('details:not(.bulk) table')].map(t => t.offsetHeight)"
    )
    heights = shown.evaluate(seen)
    assert heights
    assert min(heights) > 20
    assert shown.evaluate(
        "() => [...document.querySelectorAll('thead')].every("
        "t => getComputedStyle(t).display === 'table-header-group')"
    )
    data = shown.pdf(prefer_css_page_size=True)
    shown.emulate_media(media="screen")
    assert data.startswith(b"%PDF")
    size = re.search(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)", data)
    assert [round(float(value)) for value in size.groups()] == [595, 842]  # A4
