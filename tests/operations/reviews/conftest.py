from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of alice, bob and mallory; the first two are allowed to sign."""
    folder = tmp_path_factory.mktemp("people")
    for name in ("alice", "bob", "mallory"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    lines = [f"{name} {(folder / f'{name}.pub').read_text()}" for name in ("alice", "bob")]
    (folder / "allowed_signers").write_text("".join(lines))
    return folder
