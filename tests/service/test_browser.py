"""The main path in Chromium: on a desktop, on a phone, and without JavaScript; with axe-core on each page."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.service import require_service

require_service()


from gnnrec import RecGraph
from tests.helpers.ports import free_port
from tests.helpers.service import serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("needs Chromium or Chrome on the path", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")

pytestmark = [pytest.mark.slow, pytest.mark.network]

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"}
PATIENCE = 300_000.0
"""Milliseconds that a busy machine does not need."""


@pytest.fixture(scope="module")
def address(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    database = tmp_path_factory.mktemp("browser") / "people.db"
    with serving(saved, f"sqlite:///{database}", port, "--rate-limit", "0"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a window; errors on its pages fail the test, if `refused` only those of scripts."""
    contexts, problems = [], []

    def make(*, refused: bool = False, **options: Any) -> Any:
        context = chromium.new_context(**options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        if not refused:  # Chromium reports pages with an error status on the console
            page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        return page

    yield make
    for context in contexts:
        context.close()
    assert problems == []


def check(page: Any) -> None:
    """Assert that axe-core finds nothing and that nothing is wider than the window: light and wide, dark and narrow."""
    usual = page.viewport_size
    for size, scheme in ((DESKTOP["viewport"], "light"), (PHONE["viewport"], "dark")):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page)
        assert found.violations_count == 0, f"{scheme}, {size['width']} pixels: {found.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    page.emulate_media(color_scheme="null")
    page.set_viewport_size(usual)


def drop(page: Any, selector: str, file: Path) -> None:
    """Drop a text file on an element."""
    transfer = page.evaluate_handle(
        """([name, text]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([text], name, { type: "text/plain" }));
            return transfer;
        }""",
        [file.name, file.read_text()],
    )
    for kind in ("dragover", "drop"):
        page.dispatch_event(selector, kind, {"dataTransfer": transfer})


def create_profile(page: Any, name: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create profile").click()
    page.get_by_role("heading", name="Which of these do you know?").wait_for()


def import_titles(page: Any, file: Path, titles: list[str], *, dropped: bool = False) -> None:
    file.write_text("\n".join([*titles, "A Film That Nobody Made"]))
    if dropped:
        drop(page, "form.drop label", file)
    else:
        page.locator("#file").set_input_files(file)
        page.get_by_role("button", name="Import").click()
    page.get_by_text(f"{len(titles)} movies from list of titles").wait_for()


def test_main_path(open_page: Callable[..., Any], address: str, trained: RecGraph, tmp_path: Path) -> None:
    titles = trained.dataset.movies["title"].tolist()
    page = open_page(**DESKTOP)
    page.goto(address)
    create_profile(page, "Robin's friend")
    page.goto(f"{address}/profiles")
    check(page)
    page.locator("#age").fill("34")
    create_profile(page, "Robin")
    check(page)

    search = page.get_by_label("Search for a movie by title")
    for place, title in enumerate(titles[:4]):
        search.fill(title)
        page.locator("#found:not([aria-busy])").wait_for()  # what was found before would be exchanged while it is rated
        card = page.locator(f'#found .card[data-movie="{place + 1}"]')
        if place == 0:  # by key
            card.locator("h3 a").focus()
            page.keyboard.press("1")
        else:
            card.locator(f'.stars button[value="{1 + place % 5}"]').click()
        card.locator(f'.stars button[aria-pressed="true"][value="{1 + place % 5}"]').wait_for()
    check(page)

    page.goto(f"{address}/history")
    import_titles(page, tmp_path / "films.txt", titles[20:29], dropped=True)
    assert page.locator(".lead").first.inner_text().startswith("13 rated.")
    check(page)

    page.get_by_role("link", name="See what to watch next").click()
    page.get_by_role("heading", name="For you, Robin").wait_for()
    playwright.expect(page.locator(".card")).to_have_count(12, timeout=PATIENCE)
    assert page.get_by_text("Because you rated").count() > 0
    check(page)
    slider = page.get_by_label("From familiar to surprising")
    familiar = page.locator(".card h3").all_inner_texts()
    slider.fill(slider.get_attribute("max"))
    page.wait_for_url("**novelty=*")
    playwright.expect(page.locator(".card h3")).not_to_have_text(familiar, timeout=120_000)
    slider.fill("0")
    playwright.expect(page.locator(".card h3")).to_have_text(familiar, timeout=120_000)
    genre = str(trained.graph.genres[0])
    page.locator("summary").click()
    page.locator(".chips label", has_text=genre).first.click()
    page.wait_for_url(f"**genre={genre}**")
    page.get_by_role("link", name="Clear").first.wait_for()
    for meta in page.locator(".card .meta").all():
        assert meta.inner_text()
    page.get_by_role("link", name="Clear").first.click()
    page.wait_for_url("**/recommend")

    first = page.locator(".card").first
    wanted = first.locator("h3").inner_text()
    first.get_by_role("button", name="+ Bucket list").click()
    first.get_by_text("on your list").wait_for()
    second = page.locator(".card").nth(1)
    unwanted = second.get_attribute("data-movie")
    second.get_by_role("button", name="Not interested").click()
    page.locator(f'.card[data-movie="{unwanted}"]').wait_for(state="detached")
    playwright.expect(page.locator(".card")).to_have_count(12, timeout=PATIENCE)

    page.goto(f"{address}/bucket-list")
    check(page)
    assert page.locator(".card h3").all_inner_texts() == [wanted]
    page.locator('.stars button[value="4"]').click()
    page.get_by_text("Your bucket list is empty.").wait_for()

    page.goto(f"{address}/together")
    page.locator(".chips label", has_text="'s friend").first.click()
    page.locator("meter").first.wait_for()
    check(page)
    for path in ("/movie/5", "/map", "/model", "/profile"):
        page.goto(f"{address}{path}")
        check(page)
    page.get_by_role("button", name="Delete this profile").click()
    page.get_by_role("link", name="Keep it").wait_for()
    check(page)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("heading", name="Who is watching?").wait_for()
    assert page.locator(".person .name", has_text="Robin").all_inner_texts() == ["Robin's friend"]


def test_on_a_phone(open_page: Callable[..., Any], address: str, trained: RecGraph, tmp_path: Path) -> None:
    """Every page is as narrow as the window, and its dark colors can be told apart."""
    titles = trained.dataset.movies["title"].tolist()
    page = open_page(**PHONE)
    page.goto(address)
    create_profile(page, "Kim's friend")
    page.goto(f"{address}/profiles")
    check(page)
    create_profile(page, "Kim")
    check(page)
    import_titles(page, tmp_path / "films.txt", titles[:13])
    check(page)
    page.goto(f"{address}/history?query={titles[0].split()[0]}")
    page.locator("#found .card").first.wait_for()
    check(page)
    page.goto(f"{address}/recommend")
    playwright.expect(page.locator(".card")).to_have_count(12, timeout=PATIENCE)
    check(page)
    page.locator(".card").first.get_by_role("button", name="+ Bucket list").tap()
    page.locator(".card").first.get_by_text("on your list").wait_for()
    page.goto(f"{address}/together")
    page.locator(".chips label", has_text="Kim's friend").first.tap()
    page.locator("meter").first.wait_for()
    check(page)
    for path in ("/bucket-list", "/movie/5", "/map", "/model", "/profile"):
        page.goto(f"{address}{path}")
        check(page)


def test_without_javascript(open_page: Callable[..., Any], address: str, trained: RecGraph) -> None:
    page = open_page(**DESKTOP, java_script_enabled=False)
    page.goto(address)
    page.get_by_label("Name").fill("Without")
    page.get_by_role("button", name="Create profile").click()
    for place, title in enumerate(trained.dataset.movies["title"][:5]):
        page.get_by_label("Search for a movie by title").fill(title)
        with page.expect_navigation():
            page.get_by_role("button", name="Search").click()
        with page.expect_navigation():
            page.locator(f'#found .card[data-movie="{place + 1}"] .stars button[value="5"]').click()
        page.locator(f'#found .card[data-movie="{place + 1}"] .stars .lit').first.wait_for()
    page.get_by_role("link", name="For you").click()
    page.get_by_role("heading", name="For you, Without").wait_for()
    playwright.expect(page.locator(".card")).to_have_count(12, timeout=PATIENCE)
    page.locator(".card").first.get_by_role("button", name="+ Bucket list").click()
    page.locator(".done").wait_for()
    page.get_by_role("link", name="Bucket list", exact=True).click()
    page.locator('.stars button[value="4"]').click()
    page.get_by_text("Your bucket list is empty.").wait_for()


def test_pages_with_errors(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(**DESKTOP, refused=True)
    assert page.goto(f"{address}/movie/no-such-movie").status == 404
    page.get_by_role("heading", name="Page not found").wait_for()
    check(page)
    page.goto(f"{address}/profiles")
    create_profile(page, "Jo")

    def send(name: str, age: str) -> int:
        """Create a profile, and return the status of the answer."""
        page.goto(f"{address}/profiles")
        page.get_by_label("Name").fill(name)
        page.locator("#age").fill(age)
        with page.expect_navigation() as found:
            page.get_by_role("button", name="Create profile").click()
        return int(found.value.status)

    for name, age, wrong in (("", "old", ("name", "age")), ("Jo", "", ("name",))):
        assert send(name, age) == 422
        for field in wrong:
            page.locator(f'#{field}[aria-invalid="true"]').wait_for()
        check(page)

    page.goto(f"{address}/profiles")
    page.evaluate("for (const field of document.querySelectorAll('[name=csrf]')) field.value = 'another'")
    page.get_by_label("Name").fill("Eve")
    with page.expect_navigation() as found:
        page.get_by_role("button", name="Create profile").click()
    assert found.value.status == 403
    page.get_by_text("This form is out of date").wait_for()
    check(page)


def test_log_in(open_page: Callable[..., Any], saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNNREC_TOKEN", "a token of enough characters")
    port = free_port()
    page = open_page(**DESKTOP, refused=True)
    with serving(saved, f"sqlite:///{tmp_path / 'a.db'}", port):
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_url("**/login")
        check(page)
        page.get_by_label("Token of this service").fill("another token of enough characters")
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("This is not the token.").wait_for()
        check(page)
        page.get_by_label("Token of this service").fill("a token of enough characters")
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Who is watching?").wait_for()
