"""An adoption in words: what would be written, and what is to be done next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.clock import iso
from engine.custody.adoption_desk import ASKED, DONE, SHOWN

if TYPE_CHECKING:
    from engine.custody.adopting import Adoption
    from engine.custody.adoption_desk import Came


def came_text(came: Came) -> str:
    """Return what a step came to, and the next one."""
    request = f"{came.request_id}: {came.signed} of {came.needed} signed"
    if came.state == DONE:
        next_ = f"adopted by {came.request_id}; next: `stagegate launch-guard`, then `stagegate run` or `stream`"
    elif came.state == SHOWN:
        next_ = "nothing was written; add `--key` to ask others to sign exactly this"
    elif came.state == ASKED:
        next_ = f"{request}; others sign: `stagegate approve {came.request_id} --key …`; then run this again"
    else:
        next_ = f"{request}; it waits for the others"
    return f"{adoption_text(came.adoption)}\n{next_}"


def adoption_text(adoption: Adoption) -> str:
    """Return what would be written, for people."""
    wish, account = adoption.wish, adoption.account
    drop = 1 - wish.equity_usd / wish.peak_usd
    lines = [
        f"the {wish.kind} account at {iso(account.at_ms)}: wallet {float(account.balance.wallet_usd):,.2f} USD",
        f"  stage    {wish.stage}, cap {adoption.cap_usd:,.0f} USD; its days begin anew",
        f"  equity   {wish.equity_usd:,.2f} USD, {drop:.2%} below {wish.peak_usd:,.2f} of {iso(wish.peak_ms)}",
    ]
    for symbol, each in sorted(account.positions.items()):
        lines.append(f"  holds    {symbol} {each.qty:f}, entered at {each.entry_price:f}, mark {each.mark_price:f}")
    if not account.positions:
        lines.append("  holds    nothing")
    lines += [f"  evidence {paper.name}, SHA-256 {paper.sha256}" for paper in adoption.papers]
    lines += [f"  stands   order `{one.client_id}` of {one.symbol}: cancel it first" for one in account.orders]
    lines += [f"  stands   stop `{one.client_id}` of {one.symbol}: cancel it just before" for one in account.stops]
    return "\n".join([*lines, f"  signed is SHA-256 {adoption.sha256}"])
