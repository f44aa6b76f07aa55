"""recheck: the explainer and the judges asked again, the ledger, and scores that must not move."""

from __future__ import annotations

import base64
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from program import ABLATIONS, Call, refused, succeeded
from tiny_entries import (
    CONTACT,
    Rows,
    forge,
    make_entry,
    renamed,
    rows_of,
    truth_instead,
    write_rows,
)
from tiny_features import NAME
from tiny_submissions import tier_of

import introspect_bench as ib
from introspect_bench.benchmark.suite.features import arrays
from introspect_bench.benchmark.suite.select import find_suite
from introspect_bench.leaderboard.verification.ledger import read_ledger, standing
from introspect_bench.leaderboard.verification.recheck import choose
from introspect_bench.leaderboard.verification.rerun import Recheck, request_again

LEDGER = Path("submissions/ledger.jsonl")


def test_the_choice_depends_on_entry_nonce_and_query() -> None:
    qids = [f"{number:016x}" for number in range(100)]
    first = choose(qids, k=20, entry_sha="a", nonce="b")
    assert len(set(first)) == 20
    assert choose(qids[::-1], k=20, entry_sha="a", nonce="b") == first
    assert choose(qids, k=20, entry_sha="a", nonce="c") != first
    assert choose(qids, k=20, entry_sha="c", nonce="b") != first
    assert sorted(choose(qids, k=500, entry_sha="a", nonce="b")) == qids


def test_a_baseline_agrees_with_itself_and_the_ledger_says_so(call: Call, entry: Path) -> None:
    words = ("recheck", str(entry), "--k", "5", "--nonce", "x", "--suite", "toy")
    out = succeeded(call(*words))
    assert "input-ablations  5      5" in out
    (line,) = read_ledger(LEDGER)
    assert (line.event, line.tasks) == ("recheck", {ABLATIONS: (5, 5)})
    assert line.details["nonce"] == "x"
    assert tier_of(entry) == 1  # five are too few
    out = succeeded(call("recheck", str(entry), "--suite", "toy", "--json"))
    assert json.loads(out)["event"] == "rerun"
    assert tier_of(entry, ABLATIONS) == 3
    assert standing(read_ledger(LEDGER), entry.name, "0" * 64, [ABLATIONS]).tier == 1
    assert call("validate", "submissions", "--suite", "toy")[0] == 0


def test_replies_that_nobody_gave_are_found(call: Call, entry: Path) -> None:
    folder = forge(entry, truth_instead)
    assert call("validate", str(folder), "--suite", "toy")[0] == 0  # a file cannot show it
    assert "came out the same, expected 90%" in refused(
        call("recheck", str(folder), "--suite", "toy"), 1
    )
    assert tier_of(folder, ABLATIONS) == 1


def test_a_submission_never_chooses_what_is_loaded(call: Call, entry: Path) -> None:
    for name in ("py:evil:Explainer", "acme/model", "./folder"):
        folder = forge(entry, lambda rows, name=name: rows[0]["explainer"].update(name=name))  # type: ignore[misc]
        assert "never chooses what is loaded" in refused(
            call("recheck", str(folder), "--suite", "toy", "--no-ledger"), 2
        )
        entry = folder
    assert not LEDGER.exists()


def test_a_run_is_repeated_with_the_vectors_and_the_family_it_had(entry: Path) -> None:
    def changed(rows: Rows) -> None:
        explainer = rows[0]["explainer"]
        explainer |= {"kind": "local", "shuffled_vectors": True}
        explainer["settings"] = {"dtype": "float32", "family": "latentqa", "injection": None}

    (path,) = forge(entry, changed).glob("*.jsonl")
    check = Recheck(model="acme/model", suite="toy")
    request = request_again(ib.load(path), check, output=Path("again"))
    assert request.shuffle_vectors is True
    assert request.family == "latentqa"


def test_other_weights_are_refused(call: Call, entry: Path) -> None:
    def weights(rows: Rows) -> None:
        rows[0]["explainer"]["weights_sha256"] = {"model.safetensors": "ab" * 32}
        rows[0]["env"]["device"] = "cpu"

    folder = forge(entry, weights)
    assert "another weights_sha256" in refused(
        call("recheck", str(folder), "--suite", "toy", "--no-ledger"), 1
    )


@pytest.mark.parametrize(
    ("words", "part"),
    [(("--k", "0"), "1 or more"), (("-t", "x"), "no run of x"), (("--judgements",), "judge")],
)
def test_what_cannot_be_checked_is_exit_2(
    call: Call, entry: Path, words: tuple[str, ...], part: str
) -> None:
    assert part in refused(call("recheck", str(entry), "--suite", "toy", *words), 2)
    assert not LEDGER.exists()


@pytest.fixture
def described(call: Call, words: Path) -> Path:
    """An entry of descriptions, judged by judges that are no language models."""
    asked = ("-m", "baseline/nearest-neighbour", "--suite", "words", "-t", NAME)
    assert call("run", *asked)[0] == 0
    run = Path("runs") / f"baseline-nearest-neighbour.toy.{NAME}.test.jsonl"
    return make_entry([run], Path("submissions"), words)


def test_sound_judgements_are_found_again(call: Call, described: Path) -> None:
    words = ("recheck", str(described), "--judgements", "--suite", "words", "--k", "4", "--json")
    out = succeeded(call(*words))
    found = json.loads(out)
    assert found["event"] == "rejudge"
    assert found["tasks"][0]["asked"] == found["tasks"][0]["agreed"] == 4
    assert tier_of(described, NAME) == 1


def test_forged_predictions_score_and_are_caught(call: Call, described: Path) -> None:
    """The true activations instead of what the judge predicts: the one thing T1 can't see."""
    suite = find_suite("words", NAME)
    true = arrays(suite, "test", "activations")["activations"]
    place = {query.id: row for row, query in enumerate(suite.queries("test"))}
    path = described / f"{NAME}.jsonl"
    before = ib.score(path, suite="words")["overall"]["metrics"]["matched_auroc"]["value"]
    rows = rows_of(path)
    for row in rows:
        if "predicted" in row:
            steps = np.round(25.5 * true[place[row["qid"]]].astype(np.float64)).astype(np.uint8)
            row["predicted"] = base64.b64encode(steps.tobytes()).decode()
    write_rows(path, rows)
    assert renamed(described) == described  # the footer does not cover judgements
    after = ib.score(path, suite="words")["overall"]["metrics"]["matched_auroc"]["value"]
    assert after > 0.99 > before
    assert call("validate", str(described), "--suite", "words")[0] == 0
    words = ("recheck", str(described), "--judgements", "--suite", "words", "--no-ledger")
    assert "0 came out the same, expected 100%" in refused(call(*words), 1)
    assert call("board", "build", "--suite", "words")[0] == 0
    assert "no judge was run again" in Path("site/index.html").read_text("utf-8")
    assert (call(*words[:-1])[0], call("board", "build", "--suite", "words")[0]) == (1, 0)
    assert "of 9 judged again 0 came out the same" in Path("site/index.html").read_text("utf-8")


@pytest.mark.parametrize("field", ["predicted", "mapped"])
def test_one_forged_judgement_is_caught_when_all_are_made_again(
    call: Call, described: Path, field: str
) -> None:
    path = described / f"{NAME}.jsonl"
    rows = rows_of(path)
    flat = {len(set(base64.b64decode(row["predicted"]))) == 1 for row in rows if "predicted" in row}
    assert flat == {False}  # reversed, none is the same
    first = next(row for row in rows if "predicted" in row)
    backwards = base64.b64encode(base64.b64decode(first["predicted"])[::-1]).decode()
    first[field] = {"predicted": backwards, "mapped": "nearest"}[field]
    write_rows(path, rows)
    words = ("recheck", str(described), "--judgements", "--suite", "words", "--no-ledger")
    assert first["qid"] in refused(call(*words), 1)


def rescore(*words: str) -> int:
    script = Path(__file__).parents[2] / ".github" / "scripts" / "rescore.py"
    main = runpy.run_path(str(script))["main"]
    return int(main(["--suite", "toy", "--report", "now.json", *words]))


def test_scores_that_move_stop_the_board_until_the_ledger_explains_them(
    call: Call, entry: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert rescore("--before", "nothing.json", "--new", "new.txt") == 0
    assert Path("new.txt").read_text() == ""
    Path("now.json").rename("before.json")
    assert rescore("--before", "before.json") == 0
    said = json.loads(Path("before.json").read_text())
    said["entries"][0]["scores"][0]["metrics"]["exact_match_changed"]["value"] += 0.001
    Path("before.json").write_text(json.dumps(said))
    assert rescore("--before", "before.json") == 1
    assert "its scores changed since the last board" in capfd.readouterr().out
    words = ("ledger", "add", str(entry), "--event", "rescore", "--by", "Ann", "--suite", "toy")
    assert call(*words, "--reason", "exact match reads more spellings")[0] == 0
    assert rescore("--before", "before.json") == 0
    said["entries"].append({"entry": "gone__x__00000000", "sha256": "", "scores": []})
    Path("before.json").write_text(json.dumps(said))
    assert rescore("--before", "before.json") == 1


def test_an_old_explanation_explains_no_new_change(call: Call, entry: Path) -> None:
    words = ("ledger", "add", str(entry), "--event", "rescore", "--by", "Ann", "--suite", "toy")
    assert call(*words, "--reason", "once")[0] == 0
    assert rescore("--before", "nothing.json") == 0
    Path("now.json").rename("before.json")
    path = entry / "entry.json"
    path.write_text(path.read_text().replace('"attempts": 1', '"attempts": 2'))
    assert rescore("--before", "before.json") == 1


def test_the_ledger_on_the_command_line(call: Call, entry: Path) -> None:
    words = ("ledger", "add", str(entry), "--by", "Ann", "--suite", "toy")
    assert call(*words, "--event", "flag", "--reason", "replies look copied")[0] == 0
    assert call(*words, "--event", "withdraw", "--reason", "at the makers' wish")[0] == 0
    out = succeeded(call("ledger", "show", "--json"))
    assert [line["event"] for line in json.loads(out)["lines"]] == ["flag", "withdraw"]
    assert "replies look copied" in call("ledger", "show", "--entry", entry.name)[1]
    assert "choose from accept, flag" in refused(
        call(*words, "--event", "rerun", "--reason", "x"), 2
    )
    assert call(*words, "--event", "flag", "--reason", "a\u202eb")[0] == 4
    assert CONTACT in (entry / "entry.json").read_text()
    LEDGER.write_bytes(LEDGER.read_bytes().replace(b"copied", b"honest"))
    assert "a line above was changed" in refused(call("ledger", "show"), 4)
