"""Features of the published archive: only plain values are unpickled, and references are rated."""

from __future__ import annotations

import os
import pickle  # noqa: TID251  the archives hold nothing else
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import introspect_bench as ib
from introspect_bench.benchmark.errors import IntegrityError, MissingPartError, UsageError
from introspect_bench.benchmark.suite.suite import open_suite
from introspect_bench.tasks.paper.build.unpickle import convert, read

TASK = "feature-descriptions"
LAYERS = {0: torch.randn(4096, 3, generator=torch.Generator().manual_seed(0)).bfloat16()}
LAYERS[31] = torch.nn.Parameter(LAYERS[0].float() + 1)
EXPLAINED: list[Any] = [
    ((0, 1), {"chosen_label": "cats", "all_labels": ["felines", "cats"], "all_label_scores": {}}),
    (
        (np.int64(31), 2),
        {
            "chosen_label": "dogs",
            "all_labels": ["dogs"],
            "all_label_scores": {"dogs": np.float64(0.5), "x": None, "y": float("nan")},
            "context": np.arange(3),
        },
    ),
]


def archive(folder: Path, explained: Any, layers: dict[int, Any] | None = None) -> Path:
    for name in ("explanations", "features"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "explanations" / "test_explanations.pkl").write_bytes(pickle.dumps(explained))
    for layer, table in (layers or LAYERS).items():
        (folder / "features" / f"layer_{layer}.pkl").write_bytes(pickle.dumps(table))
    return folder


def imported(tmp_path: Path, source: Path | None) -> dict[str, Any]:
    output = tmp_path / "suites"
    return ib.data_import("paper", target="llama-3.1-8b", task=TASK, source=source, output=output)


class Echo:
    def complete(self, prompts: Any) -> list[str]:
        return ["cats"] * len(prompts)


def test_features_become_a_suite_of_references(tmp_path: Path) -> None:
    bad = [((0, 9), EXPLAINED[0][1]), ((0, 2), {"chosen_label": "x"})]
    found = imported(tmp_path, archive(tmp_path / "a", [*EXPLAINED, *bad]))
    reasons = [one["reason"] for one in found["rejected"]]
    assert reasons == ["there is no feature 9 of layer 0", "KeyError: 'all_labels'"]
    suite = open_suite(Path(found["path"]))
    assert suite.describes
    assert not suite.has_windows
    told = suite.oracle("test")
    for query in suite.queries("test"):
        origin = told[query.id]["origin"]
        assert query.vector is not None
        table = LAYERS[query.fields["layer"]].detach().float().numpy()
        expected = table[:, origin["feature"]].astype(np.float16)
        assert (suite.vectors("test")[query.vector] == expected).all()
    wordings = {one.descriptions for one in suite.feature_truth("test").values()}
    assert wordings == {("cats", "felines"), ("dogs",)}
    assert {str(own["origin"]["scores"]) for own in told.values()} == {"{}", "{'dogs': 0.5}"}
    where = str(tmp_path / "suites" / "paper-llama-3.1-8b")
    assert [row["task"] for row in ib.data_verify(where)] == [TASK]
    # it is answered and scored, but only a rating says what descriptions are worth
    (run,) = ib.run(Echo(), suite=where, output=tmp_path / "runs")
    result = ib.score(run.path, suite=where)
    assert (result["overall"], result["by_kind"], result["by_distance"]) == (None, {}, {})
    assert result["descriptions"]["distinct"] == 1
    with pytest.raises(UsageError, match="references and no activations"):
        ib.judge(run.path, suite=where)


def test_only_the_archive_will_do(tmp_path: Path) -> None:
    with pytest.raises(MissingPartError, match=r"features are on no hub: unpack .* with --source"):
        imported(tmp_path, None)
    source = archive(tmp_path / "a", EXPLAINED)
    (source / "features" / "layer_31.pkl").unlink()
    with pytest.raises(SystemExit, match=r"layer_31\.pkl is missing"):
        convert(source, "test", 9, tmp_path)


class Evil:
    def __init__(self, function: Any, *words: Any) -> None:
        self.call = function, words

    def __reduce__(self) -> Any:
        return self.call


class Nested:
    """A storage whose bytes are a pickle of their own."""

    def __init__(self, inside: Any) -> None:
        self.inside = pickle.dumps(inside)

    def __reduce__(self) -> Any:
        return torch.storage._load_from_bytes, (self.inside,)


MARK = "touched"
EVIL = {
    "a call": [Evil(os.system, f"touch {MARK}")],
    "a process": [Evil(subprocess.getoutput, f"touch {MARK}")],
    "code": [Evil(eval, f"open({MARK!r}, 'w')")],
    "a file": [Evil(open, MARK, "w")],
    "in a label": [((0, 1), {"chosen_label": Evil(os.system, f"touch {MARK}")})],
    "in an array": np.array([Evil(os.system, f"touch {MARK}")], dtype=object),
    "in a storage": [Nested(Evil(os.system, f"touch {MARK}"))],
}


@pytest.mark.parametrize("name", ["a call", "in an array"])
def test_no_code_of_a_pickle_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = r"cannot convert its features: .*refused: Unpickling"
    with pytest.raises(IntegrityError, match=said):
        imported(tmp_path, archive(tmp_path / "a", EVIL[name]))
    assert not (tmp_path / MARK).exists()
    # the control: unpickled without restriction it does run
    pickle.loads(pickle.dumps(EVIL["a call"]))
    assert (tmp_path / MARK).exists()


@pytest.mark.parametrize("name", EVIL)
def test_every_kind_is_refused_in_this_process_too(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(EVIL[name]))
    with pytest.raises(SystemExit, match="refused"):
        read(tmp_path / "x.pkl")
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_read_in_every_protocol(protocol: int, tmp_path: Path) -> None:
    values = {
        "a": [1, 2.5, "x", None, (True,)],
        "n": np.float32(2),
        "v": np.arange(6.0).reshape(2, 3),
    }
    values |= {"t": LAYERS[0], "p": LAYERS[31]}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(values, protocol=protocol))
    found = read(tmp_path / "x.pkl")
    assert found["a"] == values["a"]
    assert found["n"] == 2
    assert (found["v"] == values["v"]).all()
    assert torch.equal(found["t"], LAYERS[0])
    assert torch.equal(found["p"], LAYERS[31])
