from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.reports.archive import ReportError, archive, write_report, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def texts(*suffixes: str, body: str = "1") -> dict[str, str]:
    return {suffix: f"{suffix} {body}\n" for suffix in suffixes}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_report_is_never_overwritten(tmp_path: Path) -> None:
    first = archive(tmp_path, "2022-11-09", texts(".md", ".json"))
    second = archive(tmp_path, "2022-11-09", texts(".md", ".json", body="2"))
    assert first.is_new
    assert second.is_new
    assert names(tmp_path) == ["2022-11-09.2.json", "2022-11-09.2.md", "2022-11-09.json", "2022-11-09.md"]
    assert first.paths[0].read_text() == ".md 1\n"
    assert second.paths[0].read_text() == ".md 2\n"


def test_the_same_report_is_written_once_and_said_to_be_there(tmp_path: Path) -> None:
    first = archive(tmp_path, "2022-11-09", texts(".md", ".json"))
    again = archive(tmp_path, "2022-11-09", texts(".md", ".json"))
    assert not again.is_new
    assert again.paths == first.paths
    assert len(names(tmp_path)) == 2


def test_a_report_that_came_half_is_not_taken_for_whole(tmp_path: Path) -> None:
    (tmp_path / "2022-11-09.md").write_text(".md 1\n")  # the .json never came: the process was killed between the two
    done = archive(tmp_path, "2022-11-09", texts(".md", ".json"))
    assert done.is_new
    assert [path.name for path in done.paths] == ["2022-11-09.2.md", "2022-11-09.2.json"]


def test_other_names_do_not_disturb(tmp_path: Path) -> None:
    for name in ("2022-11-090.md", "2022-11-09.note.md", "2022-11-09x.md", ".2022-11-09.md.7.tmp"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in archive(tmp_path, "2022-11-09", texts(".md")).paths] == ["2022-11-09.md"]


@settings(max_examples=30)
@given(bodies=st.lists(st.integers(0, 3), min_size=1, max_size=12))
def test_every_text_ever_written_stays(bodies: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("archive")
    written: dict[Path, str] = {}
    for body in bodies:
        done = archive(folder, "day", texts(".md", body=str(body)))
        if done.is_new:
            assert not set(done.paths) & set(written)
        written.update(dict.fromkeys(done.paths, f".md {body}\n"))
        assert {path: path.read_text() for path in written} == written
    assert len(names(folder)) == len(written)


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ReportError, match=r"report-not-written") as failure:
        archive(tmp_path / "file" / "daily", "2022-11-09", texts(".md"))
    assert "help:" in str(failure.value)
    with pytest.raises(ReportError, match=r"report-not-written"):
        write_report(tmp_path / "file" / "x.html", "x")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "taken.md"
    target.write_text("kept")
    with pytest.raises(FileExistsError):
        write_whole(target, "new", replace=False)
    assert names(tmp_path) == ["taken.md"]
    assert target.read_text() == "kept"
    with pytest.raises(UnicodeEncodeError):
        write_whole(target, "\ud800", replace=True)
    assert names(tmp_path) == ["taken.md"]
    assert target.read_text() == "kept"


def test_without_hard_links_nothing_is_overwritten_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert archive(tmp_path, "day", texts(".md")).is_new
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "day.md", "other", replace=False)
    assert names(tmp_path) == ["day.md"]


def test_a_reader_sees_the_old_text_or_the_new_never_half(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    write_report(target, "old")
    descriptor = os.open(target, os.O_RDONLY)
    write_report(target, "new" * 100_000)
    assert os.read(descriptor, 10) == b"old"
    os.close(descriptor)
    assert target.read_text() == "new" * 100_000


def test_two_processes_that_file_at_once_overwrite_and_refuse_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from engine.reports.archive import archive\n"
        "for n in range(25):\n"
        "    assert archive(Path(sys.argv[1]), 'day', {'.md': f'{sys.argv[2]} {n}', '.json': 'x'}).is_new"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    texts = {path.read_text() for path in tmp_path.glob("*.md")}
    assert texts == {f"{name} {number}" for name in "ab" for number in range(25)}
    assert len(list(tmp_path.glob("*.json"))) == 50
