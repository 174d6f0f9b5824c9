"""Data sets: points, what is known about them, and one common scale for all features.

A source is a frozen dataclass of a few settings with ``load() -> Dataset``::

    train, validation, test = SwissRoll(n=18000, seed=0).load().split()
    scale = CommonScale.fit(train.points)

===========================  ===========  ========  ===========================================
source                       points       D         ideal chart
===========================  ===========  ========  ===========================================
``SyntheticGaussians``       3 × 18000    784       coordinates in each cloud's plane
``SwissRoll``                18000        3         arc length and height
``Digits``                   1797         64        unknown
``Mnist5000``                5000         784       unknown
``Pbmc700``                  700          50        unknown
``UserFile``                 any          any       unknown
===========================  ===========  ========  ===========================================
"""

from training.data.cells import Pbmc700
from training.data.dataset import Dataset, DataSource
from training.data.files import UserFile
from training.data.gaussians import SyntheticGaussians
from training.data.images import Digits, Mnist5000
from training.data.scaling import CommonScale
from training.data.swiss_roll import SwissRoll

__all__ = [
    "CommonScale",
    "DataSource",
    "Dataset",
    "Digits",
    "Mnist5000",
    "Pbmc700",
    "SwissRoll",
    "SyntheticGaussians",
    "UserFile",
]
