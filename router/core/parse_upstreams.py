"""The upstreams and sites of routes.yaml.

`sites` is optional: without it the sites that upstreams name come into being with full weight; with it every name
that an upstream uses must stand in it, or a typo would quietly make a place of its own.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping as Map
from dataclasses import replace
from itertools import chain
from typing import Any, Final

from router.core import values
from router.core.addresses import Place as Listening
from router.core.addresses import forbidden_host, is_own
from router.core.document import Entry, Mapping, Node, Place
from router.core.model import Endpoint, Site, Upstream
from router.core.parse_health import health
from router.core.problem import Code, Report, show
from router.core.schema import Reader, boolean, entries, fields, list_of, missing, whole

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
    return list_of(_endpoint_reader(environ), "http://10.0.0.7:8080", empty)


def _endpoint_reader(environ: Map[str, str]) -> Reader[Endpoint]:
    """A reader of endpoints: `http://host:port`, or `{url: http://host:port, weight: 2}`."""
    plain = values.endpoint(environ)
    readers: dict[str, Reader[Any]] = {"url": plain, "weight": whole(1, 100)}

    def read(node: Node, label: str, report: Report) -> Endpoint | None:
        if not isinstance(node, Mapping):
            return plain(node, label, report)
        said = fields(node, label, readers, report)
        if _entry(node, "url") is None:
            missing(node, "url", label, "write `{url: http://10.0.0.7:8080, weight: 2}`", report)
        return replace(said["url"], weight=said.get("weight", 1)) if "url" in said else None

    return read


def _upstream(entry: Entry, sites: frozenset[str] | None, endpoints: Reader[Endpoints], report: Report) -> Upstream:
    def by_site(node: Node, label: str, report: Report) -> dict[str, Endpoints] | None:
        return _by_site(node, label, sites, endpoints, report)

    readers: dict[str, Reader[Any]] = {
        "endpoints": endpoints,
        "sites": by_site,
        "health": health,
        "weights": _weights,
        "max_requests": whole(1, 1_000_000),
        "allow_link_local": boolean,
    }
    label = f"the upstream `{entry.key}`"
    said = fields(entry.value, label, readers, report)
    _check_one_kind(entry, label, report)
    places = {"": said["endpoints"]} if "endpoints" in said else said.get("sites", {})
    if not said.get("allow_link_local"):
        _check_reach(entry, places, report)
    _check_own_weights(entry, said.get("weights", {}), places, report)
    return Upstream(
        entry.key,
        places,
        said.get("health"),
        dict(said.get("weights", {})),
        max_requests=said.get("max_requests", 0),
        allow_link_local=said.get("allow_link_local", False),
    )


def _weights(node: Node, label: str, report: Report) -> dict[str, int] | None:
    """By site, where this upstream shares differently from the others."""
    found = entries(node, label, report)
    if found == []:
        report.problem(node, Code.BAD_VALUE, f"{label} is empty", "write `{SITE: 30}`, or leave it out")
    read = {each.key: _weight(each.value, f"the weight of `{each.key}`", report) for each in found or ()}
    return {site: weight for site, weight in read.items() if weight is not None} or None


def _check_own_weights(entry: Entry, weights: Map[str, int], places: Map[str, object], report: Report) -> None:
    written = _entry(entry.value, "weights")
    if written is None or not places:
        return
    if "" in places:
        what = f"the upstream `{entry.key}` has `weights`, but no sites"
        report.problem(written, Code.CONTRADICTION, what, "remove them, or write `sites` instead of `endpoints`")
        return
    for site in weights.keys() - places.keys():
        what = f"the upstream `{entry.key}` has a weight for {show(site)}, which is none of its sites"
        report.problem(written, Code.UNKNOWN_NAME, what, "name one of its `sites`, or remove the weight")


def _check_reach(entry: Entry, places: Map[str, Endpoints | None], report: Report) -> None:
    """Whoever edits upstreams must not reach, through the router, what only the machine itself should."""
    for endpoint in chain.from_iterable(found or () for found in places.values()):
        if (why := forbidden_host(endpoint.host)) is not None:
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
        weights = [upstream.weights.get(name, sites[name].weight if name in sites else 1) for name in upstream.sites]
        place = None if entry is None else _entry(entry.value, upstream.name)
        if place is not None and weights and not any(weights):
            what = f"every site of the upstream `{upstream.name}` has the weight 0"
            report.problem(place, Code.CONTRADICTION, what, "give at least one of them a weight, from 1 to 100")


def check_own(entry: Entry | None, upstreams: Map[str, Upstream], own: Collection[Listening], report: Report) -> None:
    """An upstream that is the router itself: a loop, or a way to its admin address."""
    for upstream in upstreams.values():
        place = None if entry is None else _entry(entry.value, upstream.name)
        for endpoint in upstream.endpoints:
            if place is not None and is_own(endpoint.host, endpoint.port, own):
                what = f"the endpoint {endpoint} of the upstream `{upstream.name}` is an address of this router itself"
                report.problem(place, Code.BAD_URL, what, "name the service that shall answer")


def _entry(node: Node, key: str) -> Place | None:
    entries = node.entries if isinstance(node, Mapping) else ()
    return next((each for each in entries if each.key == key), None)


_weight: Final = whole(0, 100)
_SITE: Final[dict[str, Reader[Any]]] = {"weight": _weight, "capacity": whole(1, 100)}
