"""What a learner has done so far, kept in one small file that can be deleted at any time."""

import contextlib
import json
import os
import threading
from pathlib import Path

from cnnlib import project

# What the program reckons with must be of these kinds; a guess may be anything that JSON holds.
_KINDS = {"attempts": int, "hints": int, "passed": bool, "right": bool, "solution_seen": bool}
_in_memory: dict = {}  # what could not be written


def path() -> Path:
    """Where the record is kept: `progress.json` in the workbook's home folder."""
    return project.home() / "progress.json"


def load() -> dict:
    """The record: exercise or prediction id -> what is known of it. Empty when there is none.

    A file that is no record is put aside as `progress.json.unreadable`, never deleted.
    """
    return {**(_read() or {}), **_in_memory}


def update(key: str, **changes) -> dict:
    """Change one entry and keep it. Where no file can be written it is kept until Python ends."""
    on_file = _read()
    record = {**(on_file or {}), **_in_memory}
    entry = {**record.get(key, {}), **changes}
    if on_file is not None and _write({**record, key: entry}):
        _in_memory.clear()
    else:
        _in_memory[key] = entry
    return entry


def _read() -> dict | None:
    """What the file holds; {} when there is none; None when it is there and cannot be read now."""
    try:
        record = json.loads(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, RuntimeError):  # RuntimeError: there is no home folder at all
        return None
    except ValueError:
        record = None
    if _is_record(record):
        return record
    try:
        os.replace(path(), _free_name(path().with_suffix(".json.unreadable")))
    except OSError:
        return None
    return {}


def _is_record(record: object) -> bool:
    if not isinstance(record, dict):
        return False
    entries = record.values()
    return all(isinstance(e, dict) for e in entries) and all(
        type(e[name]) is kind for e in entries for name, kind in _KINDS.items() if name in e
    )


def _free_name(wanted: Path) -> Path:
    number, free = 1, wanted
    while free.exists():
        number += 1
        free = wanted.with_name(f"{wanted.name}.{number}")
    return free


def _write(record: dict) -> bool:
    """Write beside the file and move into place, so that a reader never meets half a record."""
    partial = path().with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
        os.replace(partial, path())
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink()
        return False
    return True
