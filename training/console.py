"""Tables that the commands print, whatever the terminal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from training.text import printable

WIDE = 10_000


def title(text):
    """A title of a table: what looks like rich's markup is text."""
    return Text(printable(text))


def show(table):
    """Print a table as wide as it needs to be: a number that is cut off looks like another."""
    needed = Console(width=WIDE).measure(table).maximum
    Console(width=max(Console().width, needed)).print(table)


def show_metrics(text, columns, keys):
    """Print a table of numbers: ``columns`` name -> the number of a key."""
    table = Table("", title=title(text), title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    for key in keys:
        table.add_row(key, *(f"{value(key):.4g}" for value in columns.values()))
    show(table)
