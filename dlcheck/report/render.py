"""The report: one HTML file, without a network request, from the results of a run."""

import base64
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from dlcheck import results as model
from dlcheck.judgement import EVIDENCE_KINDS
from dlcheck.report.drawings import drawing
from dlcheck.report.figures import svg
from dlcheck.report.formulas import mathml

_HERE = Path(__file__).parent
_LONGEST = 24
"""Entries of an array that are shown; the JSON has the rest."""


class State(NamedTuple):
    """How something ended: a shape and a word, so that colour is never needed to read it."""

    key: str
    shape: str
    word: str
    means: str


CLAIM_STATES = (
    State("refuted", "✗", "refuted", "A counterexample contradicts it; a correction is given."),
    State("conditional", "◐", "conditional", "It holds under the conditions named; a counterexample lies outside."),
    State("open", "○", "not judged", "The evidence of this run supports no verdict."),
    State("holds", "✓", "holds", "It was tested, and held in every case; the size of the evidence is given."),
    State("proved", "◆", "proved", "It holds, and was derived for all values, or for every size stated."),
)
"""Worst first; the order of everything that is sorted by verdict."""

OUTCOME_STATES = {
    "pass": State("pass", "✓", "pass", "It did what was asked."),
    "fail": State("fail", "✗", "fail", "It did something else."),
    "error": State("error", "!", "error", "It raised an error or ran out of time."),
    "not provided": State("absent", "–", "not provided", "There is nothing to run; never counted as a pass."),
    "waived": State("conditional", "◐", "waived", "It did something else, as was said beforehand, with the reason."),
    "advised": State("conditional", "◐", "advised", "It did something else that harms no caller."),
    "in part": State("absent", "–", "in part", "Of a component: what is provided passed, and something is not."),
}

UPSTREAM_STATES = {
    "conforms": State("pass", "✓", "conforms", "Every check that it can be given passes."),
    "deviates": State("conditional", "◐", "deviates as known", "It fails the checks that it is known to fail."),
    "unexpected": State("fail", "✗", "not as known", "A deviation is new or has vanished, or a convention is another."),
}
"""How a library's own code ended."""


def render(results: Mapping[str, Any]) -> str:
    """The page of a run's results (schema ``dlcheck.results/1``), complete in itself."""
    script = _asset("script.js")
    template = _environment().get_template("template.html")
    return template.render(
        **results,
        states=CLAIM_STATES,
        outcome_states=OUTCOME_STATES,
        families=_families(results),
        findings=_worst_first(c for c in results["claims"] if c["verdict"] in ("refuted", "conditional")),
        tally={s.key: sum(state(c) is s for c in results["claims"]) for s in CLAIM_STATES},
        accuracy=[(component, row) for component in results["components"] for row in component["accuracy"]],
        style=_asset("style.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def write(results: Mapping[str, Any], path: str | Path) -> None:
    """Write the page of a run's results to a file."""
    model.write(path, render(results))


def state(claim: Mapping[str, Any]) -> State:
    """How a claim ended; "proved" is what holds by proof."""
    key = claim["verdict"] or "open"
    if key == "holds" and (claim["evidence"] or {}).get("kind") == "proof":
        key = "proved"
    return next(s for s in CLAIM_STATES if s.key == key)


def statuses(component: Mapping[str, Any]) -> Counter[str]:
    """How many outcomes of a component's checks ended in each status."""
    return Counter(outcome["status"] for check in component["checks"] for outcome in check["outcomes"])


def standing(upstream: Mapping[str, Any]) -> State:
    """How a library's own code for a component ended."""
    as_known = "deviates" if upstream["deviations"] else "conforms"
    return UPSTREAM_STATES[as_known if upstream["status"] == "pass" else "unexpected"]


def overall(counts: Counter[str]) -> State:
    """How a component ended: the worst that happened, and a pass only where everything passed."""
    bad = next((status for status in ("fail", "error") if counts[status]), None)
    whole = "pass" if counts["pass"] == counts.total() else "in part"
    return OUTCOME_STATES[bad or (whole if counts["pass"] else "not provided")]


def slug(text: str) -> str:
    """An id that may stand in a page and in a link to it."""
    return re.sub(r"[^\w.-]+", "-", text)


def link(url: str, text: str = "") -> Markup:
    """A link where the address is one of the web, else its text."""
    if not re.match(r"https?://", url):
        return escape(text or url)
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(url, text or _place(url))


def prose(text: str) -> Markup:
    """Paragraphs, with code between backticks."""
    paragraphs = (re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(p))) for p in re.split(r"\n\s*\n", text.strip()))
    return Markup("".join(f"<p>{p}</p>" for p in paragraphs))


def short(value: Any) -> str:
    """A measured value in three significant digits."""
    return format(value, ".3g") if isinstance(value, float) else exact(value)


def exact(value: Any) -> str:
    """A value with all its digits, to be checked by hand."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {exact(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        more = f", … {len(value):,} in all" if len(value) > _LONGEST else ""
        return "[" + ", ".join(exact(inner) for inner in value[:_LONGEST]) + more + "]"
    return "none" if value is None else str(value)


def duration(seconds: float) -> str:
    """A time in the unit that suits it."""
    unit, size = next(((u, f) for u, f in (("s", 1.0), ("ms", 1e-3)) if seconds >= f), ("µs", 1e-6))
    return f"{seconds / size:.3g} {unit}"


def ratio_bar(ratio: float) -> Markup:
    """A bar from 1 to a ratio, on a logarithmic scale that ends at 1/8 and 8."""
    reach = max(-1.0, min(1.0, math.log2(ratio) / 3)) * 50
    start, kind = (50 + min(reach, 0.0)), ("faster" if reach >= 0 else "slower")
    box = '<i class="ratio {}" aria-hidden="true"><b style="left:{:.1f}%;width:{:.1f}%"></b></i>'
    return Markup(box.format(kind, start, abs(reach)))


def words(name: str) -> str:
    """A name as words, where it is one; a statement stays as it is."""
    return name.replace("_", " ") if re.fullmatch(r"[a-z]{2,}(_[a-z]{2,})*", name) else name


def weaker(kind: str, asked: str) -> bool:
    """Whether evidence is of a weaker kind than was asked for."""
    rank = {known: place for place, known in enumerate(EVIDENCE_KINDS)}
    return kind in rank and asked in rank and rank[kind] > rank[asked]


def _place(url: str) -> str:
    thread = re.match(r"https?://github\.com/([^/]+/[^/]+)/(?:issues|pull|discussions)/(\d+)", url)
    return f"{thread[1]}#{thread[2]}" if thread else re.sub(r"^https?://(www\.)?", "", url).rstrip("/")


def _worst_first(claims: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(claims, key=lambda claim: CLAIM_STATES.index(state(claim)))


def _families(results: Mapping[str, Any]) -> dict[str, dict[str, list[Any]]]:
    """Claims and components by family, in the order in which the families are met."""
    order = dict.fromkeys(item["family"] for part in ("components", "claims") for item in results[part])
    return {
        family: {
            "claims": _worst_first(c for c in results["claims"] if c["family"] == family),
            "components": [c for c in results["components"] if c["family"] == family],
        }
        for family in order
    }


def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters = (state, statuses, overall, standing, slug, link, prose, short, exact, words, weaker, duration, ratio_bar)
    filters += (svg, drawing, mathml)
    environment.filters.update({function.__name__: function for function in filters})
    return environment
