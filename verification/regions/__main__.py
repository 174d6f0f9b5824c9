"""``python -m verification.regions``: curvature of trained decoders, proved over boxes.

Autoencoders of handwritten digits, 28×28 pixels, are trained here; ∫R²dμ, ∫R dμ, volume and bounds
of R and √det g over the box of their latents are enclosed, and those of a torus, whose ∫R dμ is 0
by Gauss and Bonnet's theorem. Or the user's own decoder, over the box of the points given. Exit
code: 0 all goals reached, 1 not in the time given, 2 bad usage.
"""

if __name__ == "__main__":  # before what may be missing
    from verification.extras import require_for_command

    require_for_command("verification.regions")

from verification.regions.command import app

if __name__ == "__main__":
    app()
