"""Measured answers to candidate queries: what may be frozen at all, and what regressions read.

Every answer of a chosen query is measured again; that owns its journal, which no other choice
spoils.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ....benchmark.backends.interventions.outputs import Output, Probe, confirm
from ....benchmark.backends.interventions.stability import BATCH, judge
from ....benchmark.backends.interventions.trace import Branch
from ....benchmark.backends.models.target_model import TargetModel
from ....benchmark.cache import Journal
from ....benchmark.records import Answer
from ....benchmark.suite.freeze import Measured
from ...build.answers import output_of
from ...build.order import SplitJob
from ...verdicts import expressible
from .draw import FourCandidate, labels_for
from .filter import Candidate
from .hints import ANSWER_PREFIX, Ablation, FourParts
from .pools import Tried, letter_ids, usable

CONFIGURATIONS = ("fp32-batch-32-right", "bf16-weights")
"""Without cache and stems, padded on the other side; and the same with rounded weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A query as it would be written, and all the answers it rests on."""

    query: Measured
    probes: tuple[Probe, ...]  # every text that was read, with its answer


Drawn = Candidate | FourCandidate  # what may be kept of a pool


def candidates_of(
    target: TargetModel, split: str, pool: Sequence[Tried], margin: float
) -> list[Candidate]:
    """Candidates with one removable part."""
    found = []
    for tried in pool:
        for ablation in tried.question.ablations:
            clean, outcome = tried.outputs[ablation.text], tried.outputs[ablation.without]
            if not _may_be_frozen(target, (clean, outcome), margin, letter=ablation.chat):
                continue
            found.append(
                Candidate(
                    split=split,
                    question=f"{ablation.kind}:{tried.question.fact.subject}",
                    changed=clean.text != outcome.text,
                    outcome=outcome.text,
                    text=_marked(ablation),
                    part=ablation.removed,
                    fields=_fields(ablation, tried.question.guesses),
                    guesses=_guesses(ablation, tried.question.guesses),
                    payload=_one(tried, ablation),
                )
            )
    return found


def _may_be_frozen(
    target: TargetModel, outputs: Sequence[Output], margin: float, *, letter: bool
) -> bool:
    """Whether answers are wide apart, name something, can be written and are not half the same."""
    if min(output.margin for output in outputs) < margin:
        return False
    texts = {output.text for output in outputs}
    return letter or (
        all(usable(target, output) for output in outputs)
        and all(_expressible(text) for text in texts)
        and not any(_inside(a, b) for a in texts for b in texts if a != b)
    )


def _expressible(text: str) -> bool:
    return all(expressible(Answer(changed=changed, content=text)) for changed in (True, False))


def _inside(first: str, second: str) -> bool:
    return f" {first.casefold()} " in f" {second.casefold()} "


def _marked(ablation: Ablation) -> str:
    start, end = ablation.span
    text = ablation.text
    return f"{text[:start]} [[ {text[start:end]} ]] {text[end:]}"


def _fields(ablation: Ablation, guesses: tuple[str, ...]) -> tuple[str, ...]:
    shown, true = guesses[:2]
    relation = f"relation={ablation.relation}"
    asked = "form=question" if ablation.text.endswith("A:") else "form=open"
    same = [
        name
        for name, answer in (("is-shown", shown), ("is-true", true))
        if ablation.named == answer
    ]
    role = f"role={ablation.role}"
    named = f"named={ablation.named}"
    pairs = ((relation, role), (role, asked), (relation, asked), (relation, named))
    crossed = [f"{one}:{other}" for one, other in pairs]
    return (relation, role, named, asked, *crossed, *same, *(f"{role}:{one}" for one in same))


def _guesses(ablation: Ablation, guesses: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = [("shown", guesses[0]), ("true", guesses[1])]
    if ablation.named:
        found.append((ablation.role, ablation.named))
    return tuple(found)


def _chosen(
    tried: Tried,
    kind: str,
    texts: Sequence[str],
    fields: dict[str, Any],
    *,
    removed: int = 1,
    part: str | None = None,
) -> Chosen:
    """A query that rests on some texts: the whole one first, at `removed` that without the part."""
    outputs = [tried.outputs[text] for text in texts]
    clean, outcome = outputs[0], outputs[removed]
    query = Measured(
        kind=kind,
        fields=fields,
        clean=clean.text,
        outcome=outcome.text,
        clean_ids=clean.ids,
        outcome_ids=outcome.ids,
        margin=min(output.margin for output in outputs),
        part=part,
    )
    rows = [tried.ids[text] for text in texts]
    probes = [
        Probe(ids=ids, branch=Branch(ids=ids), output=output)
        for ids, output in zip(rows, outputs, strict=True)
    ]
    return Chosen(query=query, probes=tuple(probes))


def _one(tried: Tried, ablation: Ablation) -> Chosen:
    fields = {
        "text": ablation.text,
        "chat": ablation.chat,
        "answer_prefix": ANSWER_PREFIX if ablation.chat else "",
        "removed": ablation.removed,
        "span": list(ablation.span),
        "answer_form": "letter" if ablation.chat else "text",
        "relation": ablation.relation,
    }
    return _chosen(tried, ablation.kind, (ablation.text, ablation.without), fields)


def four_candidates_of(
    target: TargetModel, split: str, pool: Sequence[Tried], margin: float
) -> list[FourCandidate]:
    """Texts of four parts, exactly one of which is active; arguments as `candidates_of`."""
    found = []
    for tried in pool:
        for parts in dict.fromkeys(tried.question.fours):  # two draws can give one order
            outputs = [tried.outputs[text] for text in parts.texts]
            active = [i for i, one in enumerate(outputs[1:]) if one.text != outputs[0].text]
            if len(active) == 1 and _may_be_frozen(target, outputs, margin, letter=False):
                found.append(_four(split, tried, parts, active[0]))
    return found


def _four(split: str, tried: Tried, parts: FourParts, active: int) -> FourCandidate:
    letters = labels_for(parts.text)
    labelled = zip(letters, parts.spans, strict=True)
    fields = {
        "text": parts.text,
        "chat": False,
        "answer_prefix": "",
        "parts": [{"label": letter, "span": list(span)} for letter, span in labelled],
        "answer_form": "text",
        "relation": parts.relation,
    }
    return FourCandidate(
        split=split,
        question=f"which:{tried.question.fact.subject}",
        relation=parts.relation,
        parts=tuple(zip(parts.roles, parts.named, strict=True)),
        known=tried.question.guesses[:2],
        active=active,
        payload=_chosen(
            tried, "which", parts.texts, fields, removed=active + 1, part=letters[active]
        ),
    )


def keep_stable(
    job: SplitJob, kind: str, chosen: Sequence[Drawn]
) -> tuple[list[Drawn], dict[str, Any]]:
    """Queries (of one answer form) all of whose answers are stable, and the stability report."""
    distinct = {_key(probe): probe for one in chosen for probe in one.payload.probes}
    probes = list(distinct.values())
    letters = letter_ids(job.target) if kind == "option" else ()
    again = {name: _again(job, kind, probes, name, letters) for name in CONFIGURATIONS}
    verdict = judge(probes, again)
    stable = dict(zip(distinct, verdict.stable, strict=True))
    kept = [one for one in chosen if all(stable[_key(probe)] for probe in one.payload.probes)]
    return kept, verdict.report()


def _key(probe: Probe) -> str:
    return " ".join(map(str, (*probe.ids, "to", *probe.output.ids)))


def _again(
    job: SplitJob, kind: str, probes: Sequence[Probe], name: str, letter_ids: Sequence[int]
) -> list[Output]:
    target = job.target if name.startswith("fp32") else job.rounded()
    journal = Journal(job.work / kind / f"{name}.jsonl")
    journal.share()
    known = {row["key"]: row["output"] for rows in journal.batches.values() for row in rows}
    new = [probe for probe in probes if _key(probe) not in known]
    new.sort(key=lambda probe: (len(probe.ids), probe.ids))
    side = "right" if name.endswith("right") else "left"

    def compute(few: Sequence[Probe]) -> list[dict[str, Any]]:
        outputs = confirm(target, few, side=side, letter_ids=letter_ids)
        return [
            {"key": _key(probe), "output": asdict(output)}
            for probe, output in zip(few, outputs, strict=True)
        ]

    jobs = [new[first : first + BATCH] for first in range(0, len(new), BATCH)]
    for few, rows in journal.deal(jobs, lambda few: [_key(probe) for probe in few], compute):
        known |= {row["key"]: row["output"] for row in rows}
        job.report(f"stability {name}", len(few))
    return [output_of(known[_key(probe)]) for probe in probes]
