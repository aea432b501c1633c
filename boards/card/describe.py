"""What a board's card needs: `boards/card/NAME.toml`, checked, with errors that name the line."""

import dataclasses
import pathlib
import re
import tomllib

LAYOUTS = ("raspberry-pi", "extlinux")


class DescriptionError(Exception):
    pass


@dataclasses.dataclass
class Card:
    """The description of a card. `modules` are Linux modules by purpose, in the order in which they are loaded."""

    name: str
    layout: str
    kernel: str
    device_trees: list[str]
    console: list[str]
    modules: dict[str, list[str]]
    firmware: list[str]
    config: str
    emulated: str

    @property
    def gpt(self) -> bool:
        return self.layout == "extlinux"


KINDS = {"layout": str, "kernel": str, "device-trees": list, "console": list, "modules": dict, "firmware": list,
         "config": str, "emulated": str}
MAY_BE_LEFT_OUT = {"firmware": [], "config": "", "device-trees": [], "emulated": ""}
PURPOSES = ("card", "display", "camera", "panel", "sensors")


def read(file: pathlib.Path) -> Card:
    text = file.read_text()

    def wrong(key: str, reason: str):
        lines = [n for n, line in enumerate(text.splitlines(), 1) if re.match(rf"\s*\[?{re.escape(key)}\b", line)]
        where = f"{file}:{lines[0]}" if lines else str(file)
        return DescriptionError(f"{where}: {key}: {reason}")

    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DescriptionError(f"{file}: {error}") from error
    for key, value in fields.items():
        if key not in KINDS:
            raise wrong(key, f"is not known; known are {', '.join(KINDS)}")
        if not isinstance(value, KINDS[key]):
            raise wrong(key, f"must be a {KINDS[key].__name__}")
        if isinstance(value, list) and not all(isinstance(v, str) for v in value):
            raise wrong(key, "must be a list of strings")
    for key in KINDS:
        if key not in fields and key not in MAY_BE_LEFT_OUT:
            raise DescriptionError(f"{file}: {key} is missing")
    fields = {**MAY_BE_LEFT_OUT, **fields}
    if fields["layout"] not in LAYOUTS:
        raise wrong("layout", f"must be one of {', '.join(LAYOUTS)}")
    for purpose, names in fields["modules"].items():
        if purpose not in PURPOSES:
            raise wrong(purpose, f"is no purpose of modules; {', '.join(PURPOSES)} are")
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise wrong(purpose, "must be a list of names")
    return Card(name=file.stem, **{key.replace("-", "_"): value for key, value in fields.items()})
