"""The metrics of arXiv:2511.08579, by the rules of its code to the letter; they rank nobody here.

Source: `CausalExactMatchEvaluator` and `CausalBaseDataset._format_causal_change` of
yurekami/introspective-interp at f702be5, read and not copied. A reply is stripped, lower-cased and
freed of full stops at both ends; "unchanged" is looked for first, a negation is not seen. F1 is
over valid replies only. The paper's code never sees what was not asked, nor those of `left_out`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..records import Replied, Scored
from ..runs.run import Run

PAPER = "paper"
LONGEST = 500  # explainer tokens of prompt and answer; longer queries are skipped
# Ends of text of Llama 3 and Qwen3: where one of them is an output, the query is dropped
ENDS = ("<|end_of_text|>", "<|eot_id|>", "<|endoftext|>", "<|im_end|>")
METRICS = ("exact_strict", "exact_parsed", "content", "valid", "f1_changed", "f1_unchanged", "f1")

_UNCHANGED = re.compile(r"remain\s+unchanged\s+from\s+<<<")
_CHANGED = re.compile(r"change\s+to\s+<<<")


def normalised(text: str) -> str:
    """Return the form of a whole reply that is compared."""
    return text.strip().lower().strip(".")


def parse(text: str) -> tuple[str, bool] | None:
    r"""Return content and whether the output changes, of a normalised reply, or None.

    There it is a search for `.*remain\s+unchanged\s+from\s+<<<([^>]*(?:>[^>]*)*?)>>>`, then for
    `.*change\s+to\s+<<<...>>>`: the last bracket of the first line that has one. That takes time
    in the third power of a text's length; this does not.
    """
    for head, changed in ((_UNCHANGED, False), (_CHANGED, True)):
        content, line = None, -1
        for found in head.finditer(text):
            end, own = text.find(">>>", found.end()), text.rfind("\n", 0, found.start())
            if end < 0 or (content is not None and own != line):
                break
            content, line = text[found.end() : end].strip(), own
        if content is not None:
            return content, changed
    return None


def gold(one: Scored) -> str:
    """Return the reply that scores 1.

    Outputs of patches are decoded a second time, as there: "São" is no valid UTF-8 then. Outputs
    of hints stand behind "Answer: ".
    """
    from tokenizers.decoders import ByteLevel

    outputs = [one.truth.clean, one.truth.outcome]
    if one.query.vector is not None:
        clean, outcome = (ByteLevel().decode([text]) for text in outputs)
    else:
        letter = one.query.fields.get("answer_form") == "letter"
        clean, outcome = (f"Answer: {text}" if letter else text for text in outputs)
    if clean == outcome:
        return f"The output would remain unchanged from <<<{clean}>>>."
    return f"The most likely output would change to <<<{outcome}>>>."


def left_out(one: Scored, row: Mapping[str, Any]) -> str:
    """Return why the paper's code leaves a query out for this explainer, or nothing.

    Of the length only the prompt is known here.
    """
    if one.raw is None:
        return "missing"
    if row.get("n_in", 0) > LONGEST:
        return "too_long"
    return "end_of_text" if {one.truth.clean, one.truth.outcome} & {*ENDS} else ""


def metrics(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Return `METRICS` of pairs of a raw reply and the one that scores 1; at least one pair."""
    counts = dict.fromkeys(METRICS[:4], 0)
    matrix = {(said, true): 0 for said in (False, True) for true in (False, True)}
    for raw, right in pairs:
        reply, expected = normalised(raw), normalised(right)
        said, true = parse(reply), parse(expected)
        if said is None or true is None:
            continue
        counts["valid"] += 1
        matrix[said[1], true[1]] += 1
        counts["content"] += said[0] == true[0]
        counts["exact_parsed"] += said == true
        counts["exact_strict"] += reply == expected and said[1] == true[1]
    found = {name: count / len(pairs) for name, count in counts.items()}
    for name, side in (("f1_changed", True), ("f1_unchanged", False)):
        wrong = matrix[True, False] + matrix[False, True]
        whole = 2 * matrix[side, side] + wrong
        found[name] = 2 * matrix[side, side] / whole if whole else 0.0
    return found | {"f1": (found["f1_changed"] + found["f1_unchanged"]) / 2}


def paper_result(run: Run, scored: Sequence[Replied]) -> dict[str, Any] | None:
    """Score a run about interventions by the paper's rules; None for any other.

    Holds `n`, `left_out` (how many by reason) and `metrics`, null if all are left out.
    """
    causal = [one for one in scored if isinstance(one, Scored) and one.truth.part is None]
    if not causal:
        return None
    why = [left_out(one, run.rows.get(one.query.id, {})) for one in causal]
    pairs = [(one.raw or "", gold(one)) for one, out in zip(causal, why, strict=True) if not out]
    reasons = {name: why.count(name) for name in ("missing", "too_long", "end_of_text")}
    return {"n": len(pairs), "left_out": reasons, "metrics": metrics(pairs) if pairs else None}
