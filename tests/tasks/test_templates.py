"""Templates of both tasks: what they say, who gets which, and the hash of the wording."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from introspect_bench.benchmark.errors import IntegrityError
from introspect_bench.benchmark.records import SLOT, Query
from introspect_bench.benchmark.task import Rendered, Task
from introspect_bench.tasks import templates as prompts
from introspect_bench.tasks.activation_patching import task as patching
from introspect_bench.tasks.input_ablations import task as ablations
from introspect_bench.tasks.input_ablations.task import mark

N_TEMPLATES = 3
TEXT = "The capital of Peru is Lima. The capital of <Côte d'Ivoire> & Mali is"
PATCHING: dict[str, Any] = {
    "text": TEXT,
    "position": 16,
    "n_tokens": 24,
    "token": " Mali",
    "layers": [6, 11],
    "relation": "capital",
}
ABLATION: dict[str, Any] = {
    "text": "Which country is Kyoto in?\nA) Peru\nB) Japan\nI think it is A.",
    "chat": True,
    "answer_prefix": "The answer is",
    "removed": "I think it is A.",
    "span": [44, 60],
    "answer_form": "letter",
    "relation": "country",
}
TASKS = [(patching.make_task(), PATCHING), (ablations.make_task(), ABLATION)]
NAMES = [task.name for task, _ in TASKS]


def make_query(fields: dict[str, Any], number: int) -> Query:
    key = hashlib.sha256(str(number).encode()).hexdigest()[:16]
    return Query(id=key, group="0" * 16, kind="last", fields=fields, vector=0)


def every_template(task: Task, fields: dict[str, Any]) -> list[Rendered]:
    found = {}
    for number in range(40):
        rendered = task.render(make_query(fields, number))
        found[rendered.template] = rendered
    assert sorted(found) == [f"{task.name}/{i}" for i in range(1, N_TEMPLATES + 1)]
    return [found[name] for name in sorted(found)]


@pytest.mark.parametrize(("task", "fields"), TASKS, ids=NAMES)
def test_the_id_alone_chooses_the_template(task: Task, fields: dict[str, Any]) -> None:
    chosen = Counter(task.render(make_query(fields, i)).template for i in range(600))
    assert len(chosen) == N_TEMPLATES
    assert min(chosen.values()) > 150
    for i in range(20):
        query = make_query(fields, i)
        other = make_query(fields | {"text": fields["text"] + "!"}, i)
        assert task.render(query) == task.render(query)
        assert task.render(query).template == task.render(other).template
        number = int(hashlib.sha256(query.id.encode()).hexdigest(), 16) % N_TEMPLATES + 1
        assert task.render(query).template == f"{task.name}/{number}"


@pytest.mark.parametrize(("task", "fields"), TASKS, ids=NAMES)
def test_instructions_show_both_forms_and_nothing_of_the_query(
    task: Task, fields: dict[str, Any]
) -> None:
    other = fields | {"text": "Something else [x]", "span": [0, 4], "layers": [0, 5]}
    for one, two in zip(every_template(task, fields), every_template(task, other), strict=True):
        assert one.instructions == two.instructions
        assert re.search(r"^unchanged: X", one.instructions, re.MULTILINE)
        assert re.search(r"^changed: Y", one.instructions, re.MULTILINE)
        assert one.question != two.question
        for text in (one.instructions, one.question):
            assert text == text.strip()
            assert not re.search(r" $|\n\n\n|\{|\}", text, re.MULTILINE)


@pytest.mark.parametrize(("task", "fields"), TASKS, ids=NAMES)
def test_prompts_are_short(task: Task, fields: dict[str, Any]) -> None:
    for rendered in every_template(task, fields):
        assert len(rendered.instructions.split()) <= 75
        assert len(rendered.question.split()) - len(fields["text"].split()) <= 30


def test_patching_says_replaced_where_and_in_which_layers() -> None:
    for rendered in every_template(*TASKS[0]):
        assert rendered.question.count(SLOT) == 1
        assert SLOT not in rendered.instructions
        assert TEXT in rendered.question  # as it is: nothing is escaped
        assert "token 17 of 24" in rendered.question
        assert '"Mali"' in rendered.question
        assert re.search(r"layers 6( to |-)11", rendered.question, re.IGNORECASE)
        assert "replaced" in rendered.question
        assert re.search(r"from 0|first layer is 0", rendered.instructions)
        everything = f"{rendered.instructions} {rendered.question}".lower()
        assert "replac" in rendered.instructions
        assert not re.search(r"\badd|steer", everything)


def test_ablation_marks_what_is_removed_and_names_the_form() -> None:
    task, fields = TASKS[1]
    for rendered in every_template(task, fields):
        assert SLOT not in rendered.instructions + rendered.question
        assert "B) Japan\n[[I think it is A.]]" in rendered.question
        assert "removed" in rendered.instructions.lower()
        assert "one letter" in rendered.question
        assert "The answer is" in rendered.question
    cloze = fields | {"answer_form": "text", "answer_prefix": ""}
    for rendered in every_template(task, cloze):
        assert "a short text" in rendered.question
        assert "letter" not in rendered.question
        assert '""' not in rendered.question
        assert "(" not in rendered.question.replace("A)", "").replace("B)", "")


@pytest.mark.parametrize(("task", "fields"), TASKS, ids=NAMES)
def test_a_missing_field_is_an_error_not_an_empty_text(task: Task, fields: dict[str, Any]) -> None:
    without = {key: value for key, value in fields.items() if key != "text"}
    with pytest.raises((KeyError, UndefinedError)):
        task.render(make_query(without, 0))
    folder = Path(prompts.__file__).parent / task.name.replace("-", "_") / "prompts"
    with pytest.raises(UndefinedError):
        prompts.render_prompt(folder, task=task.name, query_id="0" * 16, values={})


@pytest.mark.parametrize(
    ("text", "span", "marked"),
    [
        ("ab cd ef", (3, 5), "ab [[cd]] ef"),
        ("ab cd ef", (2, 6), "ab [[cd]] ef"),
        ("ab", (0, 2), "[[ab]]"),
        ("ab\ncd", (2, 5), "ab\n[[cd]]"),
    ],
)
def test_mark(text: str, span: tuple[int, int], marked: str) -> None:
    assert mark(text, span) == marked


@pytest.mark.parametrize("span", [(3, 3), (-1, 2), (0, 9), (2, 3), (5, 4)])
def test_a_span_that_marks_nothing_is_refused(span: tuple[int, int]) -> None:
    with pytest.raises(IntegrityError, match="marks nothing"):
        mark("ab cd ef", span)


def test_an_unknown_answer_form_is_refused() -> None:
    with pytest.raises(IntegrityError, match="answer_form is 'number'"):
        ablations.render(make_query(ABLATION | {"answer_form": "number"}, 0))


def test_any_change_of_wording_changes_the_hash(tmp_path: Path) -> None:
    hashes = {task.prompt_sha256 for task, _ in TASKS}
    for number, (name, text) in enumerate(
        [("1.question", "a"), ("1.question", "b"), ("2.question", "a"), ("1.instructions", "a")]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / f"{name}.jinja").write_text(text)
        hashes.add(prompts.prompts_sha256(folder))
    assert len(hashes) == 6
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in hashes)


def test_a_lost_template_is_found(tmp_path: Path) -> None:
    (tmp_path / "1.question.jinja").write_text("a")
    with pytest.raises(IntegrityError, match="reinstall"):
        prompts.n_templates(tmp_path)


@pytest.mark.parametrize("folder", ["activation_patching", "input_ablations"])
def test_tasks_import_nothing_heavy(folder: str) -> None:
    code = (
        f"import sys\nfrom introspect_bench.tasks.{folder}.task import make_task\nmake_task()\n"
        "assert not {'torch', 'transformers', 'jinja2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
