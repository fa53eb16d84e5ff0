"""Nothing shows a secret but the one call that is meant to."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass

import pytest

from control.cli_client import Admin
from control.secret import Secret

VALUE = "strangler_planted-7f"
SECRET = Secret(VALUE)


@dataclass(frozen=True)
class Holder:
    secret: Secret


@pytest.mark.parametrize(
    "shown",
    [
        str(SECRET),
        repr(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>40}",
        "/".join(map(str, [SECRET])),
        f"{SECRET:>8}",
        repr([SECRET]),
        repr(Holder(SECRET)),
        repr(Admin("http://127.0.0.1:8081", SECRET)),
        json.dumps({"token": SECRET}, default=str),
        str(ValueError(SECRET)),
    ],
)
def test_whatever_prints_it_prints_a_mask(shown: str) -> None:
    """Logs, tracebacks, records, answers."""
    assert VALUE not in shown
    assert "***" in shown


def test_it_is_given_out_by_name_only_and_leaves_in_no_file() -> None:
    """And it is compared without telling how far it agreed."""
    assert VALUE == SECRET.reveal()
    assert Secret(VALUE) == SECRET != Secret("other")
    assert VALUE != SECRET
    assert (True, False) == (bool(SECRET), bool(Secret("")))
    with pytest.raises(TypeError):
        pickle.dumps(SECRET)
    with pytest.raises(TypeError):
        json.dumps(SECRET)
    with pytest.raises(TypeError):
        hash(SECRET)
