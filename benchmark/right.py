"""Whether an answer is right: verdict and content, or the letter of a part. Pure."""

from __future__ import annotations

from introspect_bench.benchmark.contents import same_content
from introspect_bench.benchmark.records import Answer, Choice, GroundTruth, Replied, Scored


def of_kind(reply: Replied, truth: GroundTruth) -> Answer | Choice | None:
    """Return the answer if it is of the kind that the query asks for."""
    match reply.answer, truth.part:
        case (Choice() as choice, str()):
            return choice
        case (Answer() as answer, None):
            return answer
    return None


def is_right(scored: Scored) -> tuple[bool, bool]:
    """Return whether verdict and content of an answer are right; both False without an answer.

    The two are the same thing where one of four parts is asked for.
    """
    match scored.answer:
        case None:
            return False, False
        case Choice(part=part):
            return (part == scored.truth.part,) * 2
        case Answer(changed=changed, content=content):
            return changed == scored.truth.changed, same_content(content, scored.truth.outcome)
