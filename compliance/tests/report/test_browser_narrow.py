"""A telephone's width: a table that goes on says so, and a file's name stays in one piece."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

BROKEN = """() => [...document.querySelectorAll('tbody th code')]
  .filter(c => c.getClientRects().length > 1).map(c => c.textContent)"""
CAPTIONS = """() => [...document.querySelectorAll('.scroll')].filter(box => {
  const caption = box.querySelector('caption span').getBoundingClientRect();
  return caption.right > box.getBoundingClientRect().right + 1;
}).length"""
SHADES = """() => [...document.querySelectorAll('.scroll')].map(box => {
  const style = getComputedStyle(box);
  return [style.backgroundAttachment, style.backgroundImage.split('linear-gradient').length - 1];
})"""


@pytest.fixture(scope="module")
def narrow(browser, page, tmp_path_factory):
    path = tmp_path_factory.mktemp("narrow") / "report.html"
    path.write_text(page)
    shown = browser.new_page()
    shown.set_viewport_size({"width": 400, "height": 900})
    shown.goto(path.as_uri())
    shown.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = true; })")
    return shown


def test_names_of_files_are_not_broken(narrow):
    assert narrow.evaluate(BROKEN) == []


def test_captions_are_not_cut_where_their_table_scrolls(narrow):
    assert narrow.evaluate(CAPTIONS) == 0


def test_every_table_has_a_shadow_where_it_goes_on(narrow):
    shades = narrow.evaluate(SHADES)
    assert len(shades) > 5
    assert {tuple(item) for item in shades} == {("local, local, scroll, scroll", 4)}
