"""Hypothesis strategies: valid tables and how they are written, and broken documents of every kind."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from typing import Any

import yaml
from hypothesis import strategies as st

from router.core.addresses import forbidden_address
from router.core.comparing import ArrayMode, Comparing, Rule, Treat
from router.core.model import (
    PPM,
    SAFE_METHODS,
    Breaker,
    Budget,
    Credentials,
    DotRule,
    Endpoint,
    Expose,
    Fallback,
    Gate,
    Group,
    Health,
    Limits,
    Panic,
    Plan,
    PlanStep,
    Resume,
    Route,
    Safety,
    Shadow,
    Site,
    SlashRule,
    Source,
    SubjectSource,
    Table,
    Timeouts,
    Upstream,
    Webhook,
    Window,
)
from router.core.units import DAYS, write_date, write_duration, write_minutes

EXAMPLE = b"""\
version: 1

upstreams:
  monolith:
    endpoints: [http://127.0.0.1:9001, http://127.0.0.1:9002]
    health: {path: /healthz, interval: 2s, timeout: 1s, down: 3, up: 5}   # optional
  catalog:
    sites:                                  # instead of `endpoints`, when an upstream lives in several places
      k8s-pangyo: [http://127.0.0.1:9101]
      k8s-pyeongchon: [http://127.0.0.1:9201]

sites:                                      # optional GSLB tier: weights of places, for all upstreams that use them
  k8s-pangyo:     {weight: 60}
  k8s-pyeongchon: {weight: 40, capacity: 50}   # capacity: percent of full traffic it is sized for (default 100)

legacy: monolith                            # answers everything that no route sends elsewhere

defaults:                                   # any route or group may say otherwise
  subject: [header:X-User-Id, cookie:sid, client-ip]
  timeout: 15s                              # head of the answer; `connect_timeout`, `idle_timeout` likewise
  fallback: {on: [connect, 502, 503, 504]}  # or `fallback: off`

groups:
  catalog: {owner: team-catalog, new: catalog, cap: 50}

routes:
  - path: /v1/products/{productNo}
    methods: [GET]                          # default: any
    group: catalog
    weight: 25                              # percent to the new side; up to two decimals; default 0
  - path: /v1/products/search
    methods: [GET, POST]
    group: catalog
    new: catalog
    legacy: monolith                        # default: the top-level `legacy`
    name: product-search                    # default: "GET /v1/products/{productNo}", the methods joined by ","
    weight: 5
    shadow: {percent: 10, compare: true}
    rollout: careful                        # a plan by name, see rollouts
  - path: /v1/carts/key={key}               # a segment may be partly literal
    new: catalog
  - path: /v1/display/{rest...}             # the trailing wildcard takes one or more segments
    host: shop.example.com                  # default: any
    new: catalog
    weight: 100
"""
"""The example of the interface description, word for word."""

# ---------------------------------------------------------------------------------------------- valid tables

identifiers = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True)
hosts = st.from_regex(r"[a-z][a-z0-9]{0,8}(\.[a-z][a-z0-9]{0,8}){0,2}", fullmatch=True)
texts = (
    st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12)
    .filter(str.isprintable)
    .filter(lambda text: "${" not in text)
)
names = texts.map(lambda text: text.translate({ord(quote): "_" for quote in "\"'`"})).filter(
    lambda text: text == text.strip() and text != "unlisted"
)
percents = st.integers(0, 10_000).map(lambda hundredths: hundredths * 100)
durations = st.one_of(
    st.integers(1, 10_000).map(lambda milliseconds: milliseconds / 1000),
    st.integers(1, 168 * 3600).map(float),
)
addresses = st.ip_addresses().map(str).filter(lambda address: forbidden_address(address) is None)
endpoints = st.builds(Endpoint, st.one_of(hosts, addresses), st.integers(1, 65535), st.integers(1, 100))
endpoint_lists = st.lists(endpoints, min_size=1, max_size=3, unique=True).map(tuple)
tokens = st.from_regex(r"[A-Za-z0-9!#$&*+.^_|~-]{1,8}", fullmatch=True)
method_lists = st.lists(st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PURGE"]), unique=True)
sources = st.one_of(
    st.builds(SubjectSource, st.sampled_from([Source.HEADER, Source.COOKIE]), tokens),
    st.just(SubjectSource(Source.CLIENT_IP)),
)
subjects = st.builds(
    lambda chain, last: (*chain, *last),
    st.lists(sources, min_size=1, max_size=3, unique=True),
    st.sampled_from([(), (SubjectSource(Source.RANDOM),)]),
)
fallbacks = st.builds(Fallback, st.booleans(), st.frozensets(st.integers(400, 599), max_size=4))
timeouts = st.builds(Timeouts, durations, durations, durations)
statuses = st.tuples(st.integers(100, 599), st.integers(100, 599)).map(lambda pair: (min(pair), max(pair)))
resumes = st.sampled_from(Resume)
_judged = {
    "interval": durations,
    "timeout": durations,
    "down": st.integers(1, 1000),
    "up": st.integers(1, 1000),
    "min_down": st.just(0.0) | durations,
    "ramp": st.just(0.0) | durations,
    "resume": resumes,
}
healths = st.one_of(
    st.builds(
        Health,
        path=st.from_regex(r"/[a-z?=%]{0,8}", fullmatch=True),
        statuses=st.lists(statuses, min_size=1, max_size=3, unique=True).map(tuple),
        body=st.just("") | texts,
        **_judged,
    ),
    st.builds(Health, tcp=st.just(True), **_judged),
)
breakers = st.builds(
    Breaker, st.integers(1, 10_000).map(lambda n: n * 100), st.integers(1, 10**6), durations, durations, resumes
)
limits = st.builds(
    Limits,
    **{
        field.name: st.one_of(st.just(0.0), durations) if isinstance(field.default, float) else st.integers(0, 10**9)
        for field in fields(Limits)
    },
)

windows = st.builds(
    lambda days, times: Window(days, *sorted(times)),
    st.frozensets(st.integers(0, 6), min_size=1),
    st.lists(st.integers(0, 1440), min_size=2, max_size=2, unique=True),
)
safeties = st.builds(
    lambda rise, windows, zone, **rules: Safety(**rules, **rise, windows=windows, timezone=zone if windows else "UTC"),
    st.just({}) | st.fixed_dictionaries({"max_rise": percents, "max_rise_span": durations}),
    st.lists(windows, max_size=3, unique=True).map(tuple),
    st.sampled_from(["UTC", "Asia/Seoul"]),
    max_step=st.none() | percents,
    max_moved=st.none() | percents,
    max_raised=st.none() | st.integers(0, 1000),
    confirm=st.none() | durations,
)

_segments = st.one_of(
    st.from_regex(r"[A-Za-z0-9_~-]{1,6}", fullmatch=True),
    st.sampled_from(["{id}", "key={key}", "{base}.json", "{one}...{two}", "a%2Fb", "x=1;y"]),
)


@st.composite
def paths(draw: st.DrawFn, number: int) -> str:
    """A template whose first segment makes it unlike any other."""
    segments = draw(st.lists(_segments, max_size=3, unique_by=lambda text: text if "{" in text else object()))
    end = draw(st.sampled_from(["", "", "/", "/{rest...}"]))
    return f"/r{number}" + "".join(f"/{segment}" for segment in segments) + end


@st.composite
def upstream_maps(draw: st.DrawFn) -> dict[str, Upstream]:
    site_names = st.sampled_from(["pangyo", "pyeongchon", "vm"])
    places = st.one_of(
        endpoint_lists.map(lambda flat: {"": flat}), st.dictionaries(site_names, endpoint_lists, min_size=1)
    )
    found = draw(st.dictionaries(identifiers, st.tuples(places, st.none() | healths), min_size=1, max_size=4))
    return {
        name: Upstream(name, sites, health, draw(_own_weights(sites)), draw(st.integers(0, 10**6)))
        for name, (sites, health) in found.items()
    }


def _own_weights(sites: dict[str, tuple[Endpoint, ...]]) -> st.SearchStrategy[dict[str, int]]:
    if "" in sites:
        return st.just({})
    return st.dictionaries(st.sampled_from(sorted(sites)), st.integers(1, 100))


steps = st.builds(
    PlanStep,
    st.integers(1, 10_000).map(lambda hundredths: hundredths * 100),
    st.sampled_from(Gate),
    durations,
    st.integers(0, 1000),
    st.integers(0, 1000),
)
rising = st.lists(steps, min_size=1, max_size=4, unique_by=lambda step: step.share).map(
    lambda found: tuple(sorted(found, key=lambda step: step.share))
)
plans = st.builds(
    Plan,
    identifiers,
    rising | rising.map(lambda found: (PlanStep(0), *found)),
    max_time=st.just(168 * 3600.0),
    ratio=st.integers(100, 900).map(lambda hundredths: hundredths / 100),
    floor=st.integers(1, 5_000).map(lambda hundredths: hundredths * 100),
    mismatch=st.integers(1, 5_000).map(lambda hundredths: hundredths * 100),
    budget=st.builds(Budget, st.integers(1, 10**6), durations),
    windows=st.lists(windows, max_size=2, unique=True).map(tuple),
).map(lambda plan: replace(plan, timezone="Asia/Seoul") if plan.windows else plan)
webhooks = st.builds(
    Webhook,
    identifiers,
    hosts.map(lambda host: f"https://{host}/hook"),
    st.booleans(),
    events=st.lists(st.sampled_from(["rollout.*", "rollout.held"]), unique=True).map(tuple),
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Any table that a valid routes.yaml can say."""
    upstreams = draw(upstream_maps())
    upstream = st.sampled_from(sorted(upstreams))
    sites = [name for each in upstreams.values() for name in each.sites if name]
    group_names = draw(st.lists(identifiers, max_size=3, unique=True))
    groups = {
        name: Group(name, draw(st.just("") | texts), draw(st.none() | percents), draw(texts), draw(comparings))
        for name in group_names
    }
    route_names = draw(st.lists(names, max_size=4, unique=True))
    found = {plan.name: plan for plan in draw(st.lists(plans, max_size=2))}
    return Table(
        legacy=draw(upstream),
        compare=draw(comparings),
        upstreams=upstreams,
        routes=tuple(
            _comparing_where_it_must(draw(_route(number, name, upstream, sorted(groups), sorted(found))), found)
            for number, name in enumerate(route_names)
        ),
        plans=found,
        notify=tuple(draw(st.lists(webhooks, max_size=2, unique_by=lambda each: each.name))),
        groups=groups,
        sites={name: Site(name, draw(st.integers(1, 100)), draw(st.integers(1, 100))) for name in sites},
        trusted=tuple(draw(st.lists(st.sampled_from(["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"]), unique=True))),
        expose=draw(st.sampled_from(Expose)),
        dot_segments=draw(st.sampled_from(DotRule)),
        non_ascii_target=draw(st.booleans()),
        via=draw(st.just("") | tokens.filter(lambda token: token != "off")),
        timeouts=draw(timeouts),
        limits=draw(limits),
        safety=draw(st.none() | safeties),
    )


def _rule(treat: Treat) -> st.SearchStrategy[Rule]:
    more: dict[Treat, dict[str, st.SearchStrategy[Any]]] = {
        Treat.TOLERANCE: {"absolute": amounts, "relative": amounts},
        Treat.TIME_TOLERANCE: {"seconds": durations},
        Treat.REGEX_SHAPE: {"pattern": st.sampled_from(["ORD-[0-9]+", "a|b"])},
    }
    days = st.integers(1, 30_000).map(lambda days: days * 86_400.0)
    return st.builds(Rule, rule_paths, st.just(treat), texts, texts, days, **more.get(treat, {}))


rule_paths = st.sampled_from(["$", "$.items[*].price", "$..traceId", "$['odd name']"])
amounts = st.floats(1e-9, 1e9)
rules = st.one_of(
    st.sampled_from([treat for treat in Treat if treat is not Treat.ARRAY]).flatmap(_rule),
    st.builds(
        lambda rule, mode: replace(rule, treat=Treat.ARRAY, array=mode, key="id" if mode is ArrayMode.KEYED else ""),
        _rule(Treat.IGNORE),
        st.sampled_from(ArrayMode),
    ),
)
comparings = st.builds(
    Comparing,
    st.lists(st.sampled_from(["x-total-count", "x-page"]), max_size=2, unique=True).map(tuple),
    st.lists(rules, max_size=2, unique=True).map(tuple),
)


def _comparing_where_it_must(route: Route, found: dict[str, Plan]) -> Route:
    """A plan that begins with a shadow needs one that compares."""
    plan = found.get(route.rollout)
    if route.shadow is None or plan is None or not plan.steps[0].shadow:
        return route
    return replace(route, shadow=replace(route.shadow, percent=route.shadow.percent or PPM, compare=True))


def shadows(methods: tuple[str, ...]) -> st.SearchStrategy[Shadow]:
    """With dangers accepted: any path may be drawn."""
    reached = not methods or set(methods) & set(SAFE_METHODS)
    return st.builds(
        Shadow,
        percents,
        st.booleans(),
        methods=st.just(SAFE_METHODS if reached else methods),
        credentials=st.sampled_from(Credentials),
        dangers=st.just(True),
        samples=st.just(0.0) | durations,
        reason=texts,
    )


@st.composite
def _route(
    draw: st.DrawFn, number: int, name: str, upstream: st.SearchStrategy[str], groups: list[str], plans: list[str]
) -> Route:
    new = draw(st.none() | upstream)
    methods = tuple(draw(method_lists))
    finalised = new is not None and draw(st.booleans())
    return Route(
        name=name,
        path=draw(paths(number)),
        legacy=draw(upstream),
        methods=methods,
        host=draw(st.just("") | hosts),
        new=new,
        weight=0 if new is None else draw(percents),
        group=draw(st.sampled_from(["", *groups])),
        seed=draw(texts),
        subject=draw(subjects),
        timeouts=draw(timeouts),
        fallback=Fallback() if finalised else draw(fallbacks),
        idempotent=draw(st.booleans()),
        trailing_slash=draw(st.sampled_from(SlashRule)),
        expose=draw(st.sampled_from(Expose)),
        shadow=None if new is None else draw(st.none() | shadows(methods)),
        compare=draw(comparings),
        rollout=draw(st.sampled_from(["", "careful", *plans])),
        overflow=not finalised and draw(st.booleans()),
        finalised=finalised,
        panic=draw(st.sampled_from(Panic)),
        breaker=None if finalised else draw(st.none() | breakers),
    )


# --------------------------------------------------------------------------------------------------- writing


def written(table: Table) -> bytes:
    """The table as a routes.yaml in which nothing is left to a default."""
    return yaml.safe_dump(_document(table), allow_unicode=True, sort_keys=False).encode()


def _document(table: Table) -> dict[str, Any]:
    document: dict[str, Any] = {
        "version": 1,
        "upstreams": {name: _upstream(upstream) for name, upstream in table.upstreams.items()},
        "legacy": table.legacy,
        "expose": str(table.expose),
        "defaults": _timeouts(table.timeouts),
        "groups": {group.name: _without_nothing(_group(group)) for group in table.groups.values()},
        "http": {
            "dot_segments": str(table.dot_segments),
            "non_ascii_target": table.non_ascii_target,
            "via": table.via or False,
        },
        "limits": {key: _limit(value) for key, value in asdict(table.limits).items()},
        "routes": [_without_nothing(_route_document(route)) for route in table.routes],
    }
    if table.sites:
        document["sites"] = {s.name: {"weight": s.weight, "capacity": s.capacity} for s in table.sites.values()}
    if table.trusted:
        document["trusted"] = list(table.trusted)
    if table.plans:
        document["plans"] = {plan.name: _without_nothing(_plan(plan)) for plan in table.plans.values()}
    if table.notify:
        document["notify"] = [_without_nothing(_webhook(each)) for each in table.notify]
    if table.compare != Comparing():
        document["compare"] = _comparing(table.compare)
    if table.safety is not None:
        document["safety"] = _without_nothing(_safety(table.safety))
    return document


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "steps": [_plan_step(step) for step in plan.steps],
        "max_time": write_duration(plan.max_time),
        "ratio": plan.ratio,
        "floor": _percent(plan.floor),
        "mismatch": _percent(plan.mismatch),
        "budget": {"failed": plan.budget.failed, "per": write_duration(plan.budget.per)},
        "windows": _windows(plan.windows) or None,
        "timezone": plan.timezone if plan.windows else None,
    }


def _plan_step(step: PlanStep) -> dict[str, Any]:
    return {
        "weight": "shadow" if step.shadow else _percent(step.share),
        "gate": str(step.gate),
        "time": write_duration(step.min_time),
        "clients": step.min_clients,
        "sample": step.min_sample,
    }


def _webhook(hook: Webhook) -> dict[str, Any]:
    kind = "slack" if hook.slack else "json"
    return {"name": hook.name, "url": hook.url, "format": kind, "events": list(hook.events) or None}


def _windows(windows: tuple[Window, ...]) -> list[dict[str, Any]]:
    return [
        {
            "days": [DAYS[day] for day in sorted(each.days)],
            "from": write_minutes(each.begin),
            "to": write_minutes(each.end),
        }
        for each in windows
    ]


def _safety(safety: Safety) -> dict[str, Any]:
    rise = {"points": _percent(safety.max_rise), "per": write_duration(safety.max_rise_span)}
    windows = _windows(safety.windows)
    return {
        "max_step": _percent(safety.max_step),
        "max_rise": None if safety.max_rise is None else rise,
        "max_moved": _percent(safety.max_moved),
        "max_raised": safety.max_raised,
        "windows": windows or None,
        "timezone": safety.timezone if windows else None,
        "confirm": False if safety.confirm is None else write_duration(safety.confirm),
    }


def _upstream(upstream: Upstream) -> dict[str, Any]:
    sites = {name: [_endpoint(endpoint) for endpoint in each] for name, each in upstream.sites.items()}
    document: dict[str, Any] = {"endpoints": sites[""]} if "" in sites else {"sites": sites}
    if upstream.health is not None:
        document["health"] = _health(upstream.health)
    if upstream.weights:
        document["weights"] = dict(upstream.weights)
    if upstream.max_requests:
        document["max_requests"] = upstream.max_requests
    return document


def _endpoint(endpoint: Endpoint) -> str | dict[str, Any]:
    return str(endpoint) if endpoint.weight == 1 else {"url": str(endpoint), "weight": endpoint.weight}


def _health(health: Health) -> dict[str, Any]:
    times = {key: _limit(getattr(health, key)) for key in ("interval", "timeout", "min_down", "ramp")}
    asked: dict[str, Any] = {"tcp": True} if health.tcp else {"path": health.path, "status": _statuses(health)}
    return _without_nothing(
        {**asked, **times, "body": health.body or None, "down": health.down, "up": health.up}
        | {"resume": str(health.resume)}
    )


def _statuses(health: Health) -> list[int | str]:
    return [low if low == high else f"{low}-{high}" for low, high in health.statuses]


def _breaker(breaker: Breaker) -> dict[str, Any]:
    return {
        "failures": _percent(breaker.ratio),
        "minimum": breaker.minimum,
        "window": write_duration(breaker.window),
        "hold": write_duration(breaker.hold),
        "resume": str(breaker.resume),
    }


def _timeouts(each: Timeouts) -> dict[str, str]:
    return {
        "timeout": write_duration(each.head),
        "connect_timeout": write_duration(each.connect),
        "idle_timeout": write_duration(each.idle),
    }


def _limit(value: float) -> int | str:
    return write_duration(value) if isinstance(value, float) and value else int(value)


def _percent(ppm: int | None) -> int | float | None:
    return None if ppm is None else ppm // 10_000 if ppm % 10_000 == 0 else ppm / 10_000


def _group(group: Group) -> dict[str, Any]:
    return {
        "owner": group.owner or None,
        "cap": _percent(group.cap),
        "seed": group.seed,
        "compare": _comparing(group.compare),
    }


def _route_document(route: Route) -> dict[str, Any]:
    causes = ["connect"] * route.fallback.on_connect + sorted(route.fallback.statuses)
    shadow = route.shadow and _without_nothing(_shadow(route.shadow))
    return {
        "path": route.path,
        "name": route.name,
        "methods": list(route.methods) or None,
        "host": route.host or None,
        "group": route.group or None,
        "new": route.new,
        "legacy": route.legacy,
        "weight": _percent(route.weight),
        "seed": route.seed,
        "subject": [str(source) for source in route.subject],
        **_timeouts(route.timeouts),
        "fallback": {"on": causes} if causes else False,
        "overflow": "legacy" if route.overflow else "none",
        "finalised": route.finalised,
        "panic": str(route.panic),
        "breaker": False if route.breaker is None else _breaker(route.breaker),
        "idempotent": route.idempotent,
        "trailing_slash": str(route.trailing_slash),
        "expose": str(route.expose),
        "shadow": shadow,
        "compare": _comparing(route.compare),
        "rollout": route.rollout or None,
    }


def _shadow(shadow: Shadow) -> dict[str, Any]:
    return {
        "percent": _percent(shadow.percent),
        "compare": shadow.compare,
        "methods": list(shadow.methods),
        "side_effects": "none",
        "sandbox": True,
        "credentials": str(shadow.credentials),
        "dangers": "accepted",
        "samples": write_duration(shadow.samples) if shadow.samples else None,
        "reason": shadow.reason,
    }


def _comparing(comparing: Comparing) -> dict[str, Any] | None:
    said = {"headers": list(comparing.headers) or None, "rules": list(map(_written_rule, comparing.rules)) or None}
    return _without_nothing(said) or None


def _written_rule(rule: Rule) -> dict[str, Any]:
    does: Any = {
        Treat.TOLERANCE: {"abs": rule.absolute, "rel": rule.relative},
        Treat.TIME_TOLERANCE: write_duration(rule.seconds),
        Treat.REGEX_SHAPE: rule.pattern,
        Treat.ARRAY: f"keyed({rule.key})" if rule.array is ArrayMode.KEYED else str(rule.array),
    }.get(rule.treat, True)
    ends = write_date(rule.expires)
    return {"path": rule.path, str(rule.treat): does, "owner": rule.owner, "reason": rule.reason, "expires": ends}


def _without_nothing(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None}


# ------------------------------------------------------------------------------------------------ any bytes

_VOCABULARY = """
version upstreams endpoints sites health legacy defaults groups routes path methods group new weight name shadow
percent compare rollout host subject timeout connect_timeout idle_timeout fallback on idempotent trailing_slash
expose trusted limits http via dot_segments owner cap seed capacity interval down up head fields
compare headers rules ignore tolerance array keyed(id) expires reason percent methods side_effects sandbox dangers
status body tcp ramp resume weights max_requests url finalised overflow panic breaker failures 200-399 manual none
safety max_step windows days mon..fri per points << ~ off yes
.nan 1 25 0.5 1e9 0x1F 010 1:30 2024-01-01 2s GET connect monolith catalog http://a:1 ${HOME} ${ /v1/{id} /{rest...}
"""
WORDS = _VOCABULARY.split()
_words = st.sampled_from(WORDS)
_values = st.one_of(_words, st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5))
_trees = st.recursive(
    _values, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words, inner, max_size=6), max_leaves=30
)
_tops = st.fixed_dictionaries({}, optional=dict.fromkeys(WORDS[:13], _trees))
_scraps = st.sampled_from(
    ["\t", "\n", "  ", "- ", ": ", "? ", "{", "}", "[", "]", "&a ", "*a", "<<: *a", "!!int ", "!x ", "'", '"', "|", ">",
     "---\n", "%YAML 1.1\n", "#", "\\U00110000", "\x00", "\ufeff", "é", "\u2028", "\r", ",", "0b", "9" * 70]
)  # fmt: skip


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """The example with a few pieces cut out or put in."""
    data = EXAMPLE
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        piece = draw(st.one_of(st.binary(max_size=4), _scraps.map(str.encode), _words.map(str.encode)))
        data = data[:start] + piece + data[end:]
    return data


any_bytes = st.one_of(
    st.binary(max_size=200),
    st.lists(_scraps | _words, max_size=30).map(lambda pieces: "".join(pieces).encode()),
    _tops.map(lambda tree: yaml.safe_dump(tree, allow_unicode=True).encode(errors="replace")),
    _damaged(),
)
"""Noise, almost-YAML, YAML that is no routes.yaml, and a routes.yaml that had an accident."""

assert PPM == 1_000_000, "the percents above are written for parts per million"
