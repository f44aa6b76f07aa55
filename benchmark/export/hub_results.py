"""A run's headline as a result on a hub, in the types of huggingface_hub: `.eval_results/*.yaml`.

The file belongs into the explainer's repository. It names the dataset repository at the commit that
the suite was read from, so that whoever sees the number finds the queries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UsageError
from ..models.hub import COMMIT, HUB_ID
from ..scoring.score import check_score

if TYPE_CHECKING:
    from ..scoring.grade import Graded

TO = "hub-results"


def to_results(graded: Graded, suite: str | None) -> dict[str, bytes]:
    """Return the file by its path in a model's repository; `suite` is `owner/name@commit`.

    Of whole runs on the test split of a frozen suite alone.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    match = HUB_ID.fullmatch(suite or "")
    if match is None or not COMMIT.fullmatch(match["revision"] or ""):
        raise UsageError(
            "a result on a hub names the repository of its suite: give --suite owner/name@commit, "
            "as `data export --push` prints it"
        )
    result, header = graded.result(), graded.run.header
    check_score(graded.run.path, result)
    headline = graded.task.headline
    metric = result["overall"]["metrics"][headline] if result["overall"] else {"value": None}
    if graded.split != "test" or metric["value"] is None:
        raise UsageError(
            f"{graded.run.path}: a result on a hub is the {headline} of the test split, which this "
            "run has not"
        )
    low, high = metric["interval_95"] or ("-", "-")
    entry = EvalResultEntry(
        dataset_id=match["id"],
        dataset_revision=match["revision"],
        task_id=graded.task.name,
        value=metric["value"],
        date=header.created,
        notes=f"{headline}, {result['metric_version']}; 95 % interval {low} to {high} over "
        f"{metric['n']} queries in {metric['n_groups']} groups; access class {header.access}; "
        f"introspect-bench {header.package.version}; run {result['body_sha256']}",
    )
    text = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False)
    name = f"{match['id'].replace('/', '--')}.{graded.task.name}.yaml"
    return {f".eval_results/{name}": text.encode()}
