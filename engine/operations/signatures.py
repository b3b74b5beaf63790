"""OpenSSH signatures: people sign with the keys they have, and an allowed-signers file says whose key is whose.

``ssh-keygen -Y sign`` and ``-Y verify`` do the cryptography (ssh-keygen(1), ALLOWED SIGNERS). A signature is bound to a
namespace, so one made for a commit or a file is none here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.clock import iso
from engine.errors import Problem, StagegateError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMESPACE = "stagegate-approval"

_GOOD = re.compile(r'^Good "[^"]*" signature for (?P<signer>.+) with \S+ key (?P<fingerprint>SHA256:\S+)$')
_SIGNER = re.compile(r"^\S+ (?:\S.* )?(?:ssh|ecdsa|sk)-\S+ [A-Za-z0-9+/]{16,}={0,2}(?: .*)?$")
_FORM = "one line a person: NAME KEYTYPE KEY, as in the file ~/.ssh/*.pub (ssh-keygen(1), ALLOWED SIGNERS)"
_TIMEOUT_S = 60  # a key on a hardware token waits for a touch


class SignatureError(StagegateError):
    """A signature proves nothing: whose it is, or that it is of this document, cannot be shown."""

    exit_code = 2


@dataclass(frozen=True)
class Signer:
    """Who signed: the principal of the allowed-signers file, and the key's SHA-256 fingerprint."""

    name: str
    fingerprint: str


def sign(document: bytes, key: Path) -> str:
    """Return the armoured signature of `document`.

    Args:
        document: what is signed, byte for byte.
        key: a private key, or a public one whose private half the agent holds.

    Raises:
        UsageError: no such key, a wrong passphrase, no OpenSSH.
    """
    if not key.is_file():
        raise UsageError(Problem("no-key", str(key), "there is no such key", "name your private key with `--key`"))
    # the passphrase is asked for on the terminal, so standard error and input stay the user's
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "request"
        path.write_bytes(document)
        done = _run("sign", "-f", str(key), "-n", NAMESPACE, str(path))
        signature = path.with_name("request.sig")
        if done.returncode or not signature.is_file():
            said = done.stderr.decode(errors="replace").strip() or "ssh-keygen made no signature"
            raise UsageError(Problem("not-signed", str(key), said, "is it your key, and its passphrase right?"))
        return signature.read_text(encoding="ascii")


def verified(document: bytes, signature: str, signers: Path, at_ms: int) -> Signer:
    """Return who signed `document`.

    Args:
        document: what should have been signed.
        signature: armoured.
        signers: the allowed-signers file.
        at_ms: when it was signed; a key must have been valid then.

    Raises:
        SignatureError: not of this document, of an unknown key, or of one that was not valid at that time.
        UsageError: there is no allowed-signers file, or no OpenSSH.
    """
    if not signers.is_file():
        raise UsageError(Problem("no-signers", str(signers), "there is no file of allowed signers", _FORM))
    when = f"-Overify-time={re.sub('[-:T]', '', iso(at_ms)[:19])}Z"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "request.sig"
        path.write_text(signature, encoding="utf-8")
        found = _run("find-principals", when, "-s", str(path), "-f", str(signers))
        names = found.stdout.decode(errors="replace").splitlines()
        if found.returncode or not names:
            help_ = f"a key of {signers} must sign, and be valid at {iso(at_ms)}"
            unknown = Problem("unknown-signer", str(signers), "nobody listed made this signature", help_)
            raise SignatureError([unknown, *signer_faults(signers)])
        arguments = ("-f", str(signers), "-I", names[0], "-n", NAMESPACE, "-s", str(path), when)
        done = _run("verify", *arguments, document=document)
    match = _GOOD.match(done.stdout.decode(errors="replace").strip())
    if done.returncode or match is None:
        help_ = "it was altered, made for something else, or made by a key that was not valid then; sign again"
        raise SignatureError(Problem("bad-signature", names[0], "the signature is not of this document", help_))
    return Signer(match["signer"], match["fingerprint"])


def signer_faults(signers: Path) -> tuple[Problem, ...]:
    """Return what is wrong with an allowed-signers file, line by line; OpenSSH passes over what it cannot read."""
    try:
        lines = signers.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is no text"
        return (Problem("signers", str(signers), f"it cannot be read: {why}", _FORM),)
    named = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()[:1] not in {"", "#"}]
    if not named:
        return (Problem("signers", str(signers), "it names nobody", _FORM),)
    return tuple(
        Problem("signers", f"{signers}:{number}", "this line is no signer", _FORM)
        for number, line in named
        if not _SIGNER.match(line)
    )


def _run(action: str, *arguments: str, document: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        problem = "`ssh-keygen` is not installed"
        raise UsageError(Problem("no-openssh", "approvals", problem, "install OpenSSH 8.9 or later"))
    command: Sequence[str] = (
        (program, "-q", "-Y", action, *arguments) if action == "sign" else (program, "-Y", action, *arguments)
    )
    try:
        return subprocess.run(  # noqa: S603 - a fixed program, no shell; every argument is ours or a path
            command, input=document, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        problem = f"`ssh-keygen` gave no answer within {_TIMEOUT_S} s"
        raise UsageError(Problem("not-signed", "approvals", problem, "touch the token, or unlock the agent")) from None
