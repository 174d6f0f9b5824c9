"""``python -m verification.geodesics``: geodesics that are proved to exist.

Great circles past the antipode, of a sphere and of one of three dimensions, a geodesic of a torus
that Clairaut's integral gives, and of trained decoders of digits, between codes of images. Or of
the user's own decoder, from each of the points given to the next. Exit code: 0 all are proved, 1
not all, 2 bad usage.
"""

if __name__ == "__main__":  # before what may be missing
    from verification.extras import require_for_command

    require_for_command("verification.geodesics")

from verification.geodesics.command import app

if __name__ == "__main__":
    app()
