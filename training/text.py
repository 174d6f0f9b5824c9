"""What is safe to print on any terminal."""


def printable(text):
    """The text in one line, with escapes for what would steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
