"""The study's file: digests of space and data, so that another study of the same name is refused at once."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.config.space import Space
from search.errors import StudyError
from search.store.files import write_whole

_DATA_KEYS = ("fingerprint", "counts")


@dataclass(frozen=True)
class StudyFile:
    """`studies/NAME.json` in the home. It needs neither pandas nor a database to be read."""

    path: Path

    @classmethod
    def of(cls, home: Path, study: str) -> "StudyFile":
        """Give the file of a study, there or not."""
        return cls(home / "studies" / f"{study}.json")

    def exists(self) -> bool:
        """Tell whether the study was begun in this home."""
        return self.path.is_file()

    def check_space(self, space: Space, command: str) -> None:
        """Refuse a space that is not the one the study was begun with.

        Raises:
            StudyError: The differences, and the two ways out.
        """
        known = self._read().get("space")
        if known is None or known == space.identity():
            return
        differences = "; ".join(_differences(known, space.identity()))
        raise StudyError(
            f"Study {space.study} was begun with another space ({differences}); {_ways_out(command)}"
        )

    def check_data(self, fingerprint: str, counts: dict[str, Any], study: str, command: str) -> None:
        """Refuse pictures that are not those the study was begun with.

        Raises:
            StudyError: The differences, and the two ways out.
        """
        known = self._read().get("data")
        if known is None or known["fingerprint"] == fingerprint:
            return
        before, now = (
            ", ".join(f"{key} {value}" for key, value in part.items()) for part in (known["counts"], counts)
        )
        raise StudyError(
            f"Study {study} was begun with other pictures (then {before}, {known['fingerprint'][:12]}; "
            f"now {now}, {fingerprint[:12]}); {_ways_out(command)}"
        )

    def write(self, space: Space, fingerprint: str, counts: dict[str, Any]) -> None:
        """Note what the study is."""
        data = dict(zip(_DATA_KEYS, (fingerprint, counts), strict=True))
        write_whole(self.path, json.dumps({"space": space.identity(), "data": data}, indent=1))

    def delete(self) -> None:
        """Forget the study."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        if not self.exists():
            return {}
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            return {"space": content["space"], "data": {key: content["data"][key] for key in _DATA_KEYS}}
        except (ValueError, KeyError, TypeError) as error:
            raise StudyError(
                f"{self.path} is damaged ({error}); delete it, and the study goes on."
            ) from error


def _ways_out(command: str) -> str:
    return f"give it a name of its own with --set study=NAME, or discard the old one: {command} --fresh."


def _differences(old: Any, new: Any, key: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        parts = (
            _differences(old.get(name), new.get(name), f"{key}.{name}" if key else name) for name in keys
        )
        return [difference for part in parts for difference in part]
    return [] if old == new else [f"{key}: {_shown(old)} then, {_shown(new)} now"]


def _shown(value: Any) -> str:
    return "not set" if value is None else json.dumps(value)
