"""The page as a real browser lays it out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROBE = """
<script>
addEventListener("load", () => {
  const page = document.documentElement;
  const seen = [...document.querySelectorAll("svg")].filter(svg => !svg.closest("details:not([open])"));
  const flat = seen.filter(svg => svg.getBoundingClientRect().height < 5 || svg.getBoundingClientRect().width < 5);
  const wide = [...document.querySelectorAll("main *")].filter(
    each => !each.closest(".scroll, pre, details, svg") && each.getBoundingClientRect().right > innerWidth);
  const out = document.createElement("output");
  const sizes = `width=${page.scrollWidth} view=${innerWidth}`;
  out.textContent = `${sizes} svg=${seen.length} flat=${flat.length} wide=${wide.length}`;
  document.body.append(out);
});
</script>
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium on this machine: the report's layout is not looked at")
    return found


def test_the_page_fits_1200_pixels_and_shows_every_picture(chromium: str, page: str, tmp_path: Path) -> None:
    probed = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace("</body>", f"{PROBE}</body>")
    path = tmp_path / "page.html"
    path.write_text(probed, encoding="utf-8")
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1200,900",
        "--dump-dom",
        path.as_uri(),
    ]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=environment)
    found = re.search(r"<output>width=(\d+) view=(\d+) svg=(\d+) flat=(\d+) wide=(\d+)</output>", done.stdout)
    assert found is not None, done.stderr[-500:]
    width, view, svg, flat, wide = map(int, found.groups())
    assert width <= view <= 1200
    assert svg == len(re.findall(r"<svg\b", page))
    assert flat == 0
    assert wide == 0
