"""A finished exchange as lines: which side served it, and why."""

from __future__ import annotations

from collections.abc import Iterator

from control.terminal import Json, Style, ago, percent, plain


def served(found: Json, style: Style, now: float) -> Iterator[str]:
    """All exchanges with the id, newest first."""
    for number, each in enumerate(found["exchanges"]):
        if number:
            yield ""
        cut = ", and broke off" if each["broken"] else ""
        yield style.bold(
            f"{plain(each['method'])} {plain(each['target'])}: {each['side']}, status {each['status'] or 'none'}{cut}"
        )
        yield f"  why       {plain(each['why'])} ({each['reason']})"
        yield f"  route     {plain(each['route'])}, revision {each['revision']}"
        if each["share"] is not None:
            yield f"  share     {percent(each['share'])} of it went to new"
        if each["flips_at"] is not None:
            yield f"  bucket    {each['bucket']}; its subject is on new from a share of {each['flips_at']:.4f} % on"
        yield f"  upstream  {plain(each['upstream']) or 'none was asked'}"
        yield f"  when      {ago(each['at'], now)}, for {each['ms']:g} ms, by worker {each['worker']}"
