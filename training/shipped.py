"""Configurations and designs that come with ``training``, found by name."""

from pathlib import Path

from training.errors import TrainingError

_HERE = Path(__file__).parent
# Options, and the folders of what they may name.
_FOLDERS = {"--config": "configs", "--configs": "configs", "--design": "studies"}


def with_files(arguments):
    """A command line in which names such as ``swiss_roll_r2`` have become files that are there.

    Files of the user come first.

    Raises:
        TrainingError: a name that is neither a file nor one of these.
    """
    found, folder = [], None
    for argument in arguments:
        option, is_given, value = argument.partition("=")
        if argument.startswith("-"):
            folder = _FOLDERS.get(option)
            found.append(f"{option}={_file(folder, value)}" if folder and is_given else argument)
        else:
            found.append(_file(folder, argument) if folder else argument)
    return found


def _file(folder, name):
    """The file of that name, or the name itself where it is one of a file."""
    if not _is_name(name) or Path(name).exists():
        return name
    file = _HERE / folder / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in file.parent.glob("*.yaml")))
        raise TrainingError(f"There is no file {name}, and by that name there are only {known}.")
    return str(file)


def _is_name(text):
    return text.replace("_", "").isalnum()
