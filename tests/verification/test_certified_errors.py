"""The section of ``verification.check`` on certified digits, where R is zero."""

import pytest
import torch
from torch import nn

from verification.certified_errors import of_decoder

DTYPES = [torch.float64, torch.float32]
FLAT = {
    "curve": lambda: nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 4)),
    "plane": lambda: nn.Linear(2, 4),
}


@pytest.mark.parametrize("name", FLAT)
def test_a_flat_decoder_passes(name):
    """The estimate of a relative error says nothing of R = 0; the enclosure does."""
    torch.manual_seed(0)
    decoder = FLAT[name]()
    z = torch.randn(4, next(decoder.parameters()).shape[1])
    findings = list(of_decoder(name, decoder, z, DTYPES))
    assert len(findings) == 8
    assert all(finding.passed for finding in findings), findings
    assert all("correct to 17.0 digits" in finding.figure for finding in findings)
