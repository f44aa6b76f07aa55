"""The process that holds no weights of a target: checks an entry there, and says how that ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...benchmark.errors import IntrospectBenchError
from ...benchmark.files import write_json_atomic
from ...benchmark.models.withheld import WithheldError, guard_folders
from .recheck import recheck
from .rerun import Recheck
from .without_target import ANSWER, ORDER


def _answer(order: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return recheck(order["entry"], Recheck(**order["check"]))
    except WithheldError as error:
        return {"failed": str(error)}
    except IntrospectBenchError as error:
        return {"error": type(error).__name__, "said": str(error)}
    except Exception as error:  # noqa: BLE001  whatever user code does when it lacks the target
        if isinstance(error.__cause__ or error.__context__, WithheldError):
            return {"failed": str(error.__cause__ or error.__context__)}
        return {"failed": f"it stopped with {type(error).__name__}: {str(error)[:300]}"}


if __name__ == "__main__":
    guard_folders()
    place = Path(sys.argv[1])
    write_json_atomic(place / ANSWER, _answer(json.loads((place / ORDER).read_text())))
