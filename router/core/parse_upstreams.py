"""The upstreams and sites of routes.yaml.

`sites` is optional: without it the sites that upstreams name come into being with full weight; with it every name
that an upstream uses must stand in it, or a typo would quietly make a place of its own.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from itertools import chain
from typing import Any, Final

from router.core import values
from router.core.document import Entry, Mapping, Node, Place
from router.core.model import Endpoint, Health, Site, Upstream
from router.core.problem import Code, Report, show
from router.core.schema import Reader, boolean, duration, entries, fields, list_of, whole

LATER: Final = "it may stay, but expect nothing of it yet"

Endpoints = tuple[Endpoint, ...]


def named(entry: Entry | None, kind: str, report: Report) -> list[Entry] | None:
    """The entries of a section whose keys are names that people give; None when there is no readable section."""
    found = None if entry is None else entries(entry.value, f"`{entry.key}`", report)
    for each in found or ():
        if not values.identifier(each.key):
            report.problem(each, Code.BAD_NAME, f"{show(each.key)} cannot name {kind}", values.IDENTIFIER_HELP)
    return found


def keys(entry: Entry | None) -> frozenset[str] | None:
    """The names a section defines; None when it cannot be read or is empty, which is trouble enough."""
    if entry is None or not isinstance(entry.value, Mapping):
        return None
    return frozenset(each.key for each in entry.value.entries) or None


# ---------------------------------------------------------------------------------------------------- sites


def read_sites(entry: Entry | None, report: Report) -> dict[str, Site]:
    return {each.key: _site(each, report) for each in named(entry, "a site", report) or ()}


def _site(entry: Entry, report: Report) -> Site:
    if (capacity := _entry(entry.value, "capacity")) is not None:
        what = "`capacity` of a site is recorded, but this version does not limit a site by it"
        report.note(capacity, Code.NOT_ACTED_ON, what, LATER)
    return Site(entry.key, **fields(entry.value, f"the site `{entry.key}`", _SITE, report))


def all_sites(upstreams: Map[str, Upstream], declared: Map[str, Site]) -> dict[str, Site]:
    """The declared sites, and those that upstreams use without any being declared."""
    used = {name: Site(name) for upstream in upstreams.values() for name in upstream.sites if name}
    return used | dict(declared)


# ------------------------------------------------------------------------------------------------ upstreams


def read_upstreams(
    entry: Entry | None, sites: frozenset[str] | None, environ: Map[str, str], report: Report
) -> dict[str, Upstream]:
    found = named(entry, "an upstream", report)
    if entry is not None and found == []:
        instead = "name at least the one that `legacy` speaks of"
        report.problem(entry.value, Code.BAD_VALUE, "`upstreams` is empty", instead)
    reader = _endpoints_reader(environ)
    return {each.key: _upstream(each, sites, reader, report) for each in found or ()}


def _endpoints_reader(environ: Map[str, str]) -> Reader[Endpoints]:
    empty = "write at least one endpoint, or remove the upstream"
    return list_of(values.endpoint(environ), "http://10.0.0.7:8080", empty)


def _upstream(entry: Entry, sites: frozenset[str] | None, endpoints: Reader[Endpoints], report: Report) -> Upstream:
    def by_site(node: Node, label: str, report: Report) -> dict[str, Endpoints] | None:
        return _by_site(node, label, sites, endpoints, report)

    readers: dict[str, Reader[Any]] = {
        "endpoints": endpoints,
        "sites": by_site,
        "health": _health,
        "allow_link_local": boolean,
    }
    label = f"the upstream `{entry.key}`"
    said = fields(entry.value, label, readers, report)
    _check_one_kind(entry, label, report)
    places = {"": said["endpoints"]} if "endpoints" in said else said.get("sites", {})
    if not said.get("allow_link_local"):
        _check_reach(entry, places, report)
    return Upstream(entry.key, places, said.get("health"))


def _check_reach(entry: Entry, places: Map[str, Endpoints | None], report: Report) -> None:
    """Whoever edits upstreams must not reach, through the router, what only the machine itself should."""
    for endpoint in chain.from_iterable(found or () for found in places.values()):
        if (why := values.too_near(endpoint.host)) is not None:
            what = f"the endpoint {endpoint} of the upstream `{entry.key}` {why}"
            instead = "name another address; if it is meant, write `allow_link_local: true` beside it"
            report.problem(entry, Code.BAD_URL, what, instead)


def _check_one_kind(entry: Entry, label: str, report: Report) -> None:
    if not isinstance(entry.value, Mapping):
        return
    written = {each.key for each in entry.value.entries} & {"endpoints", "sites"}
    instead = "write `endpoints` for one place, or `sites` for several"
    if not written:
        report.problem(entry, Code.MISSING_KEY, f"{label} has neither `endpoints` nor `sites`", instead)
    elif len(written) > 1:
        report.problem(entry, Code.CONTRADICTION, f"{label} has both `endpoints` and `sites`", instead)


def _by_site(
    node: Node, label: str, sites: frozenset[str] | None, endpoints: Reader[Endpoints], report: Report
) -> dict[str, Endpoints] | None:
    found = entries(node, label, report)
    if found == []:
        report.problem(node, Code.BAD_VALUE, f"{label} is empty", "name at least one site with its endpoints")
    read: dict[str, Endpoints] = {}
    for each in found or ():
        if not values.identifier(each.key):
            report.problem(each, Code.BAD_NAME, f"{show(each.key)} cannot name a site", values.IDENTIFIER_HELP)
        elif sites is not None and each.key not in sites:
            values.unknown_name(each, each.key, "site", sites, report)
        read[each.key] = endpoints(each.value, f"the site `{each.key}`", report) or ()
    return read or None


def check_weights(entry: Entry | None, upstreams: Map[str, Upstream], sites: Map[str, Site], report: Report) -> None:
    """An upstream none of whose sites has weight could never answer."""
    for upstream in upstreams.values():
        weights = [sites[name].weight if name in sites else 1 for name in upstream.sites]
        place = None if entry is None else _entry(entry.value, upstream.name)
        if place is not None and weights and not any(weights):
            what = f"every site of the upstream `{upstream.name}` has the weight 0"
            report.problem(place, Code.CONTRADICTION, what, "give at least one of them a weight, from 1 to 100")


def _entry(node: Node, key: str) -> Place | None:
    entries = node.entries if isinstance(node, Mapping) else ()
    return next((each for each in entries if each.key == key), None)


def _health(node: Node, label: str, report: Report) -> Health:
    what = "`health` is recorded, but this version probes nothing"
    report.note(node, Code.NOT_ACTED_ON, what, LATER)
    return Health(**fields(node, label, _HEALTH, report))


_HEALTH: Final[dict[str, Reader[Any]]] = {
    "path": values.probe_path,
    "interval": duration,
    "timeout": duration,
    "down": whole(1, 1000),
    "up": whole(1, 1000),
}
_SITE: Final[dict[str, Reader[Any]]] = {"weight": whole(0, 100), "capacity": whole(1, 100)}
