"""Colours that the colour-blind can tell apart, for figures of any kind."""

import numpy as np

# Okabe and Ito's colours; Petroff's ten (arXiv:2107.02270) where there are more classes.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
PETROFF = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70",
    "#717581", "#92dadd",
)  # fmt: skip
PLAIN = OKABE_ITO[0]
STAGES = {"train": OKABE_ITO[0], "val": OKABE_ITO[5]}
FLOOR, FLOOR_LABEL = "#6b6b6b", "1/d, an isometry up to scale"  # of relaxed distortion
CURVATURE = "RdBu_r"
R_LABEL = "R [1/length²]"


def class_colours(colour):
    """class -> colour, in order of the classes of a ``views.Colour``."""
    classes = np.unique(colour.values)
    palette = OKABE_ITO if len(classes) <= len(OKABE_ITO) else PETROFF
    return dict(zip(classes.tolist(), palette, strict=False))
