"""The sections of ``verification.check`` that consist of findings, one row each."""

import curvcore
from verification import certified_errors, decoders, identities, proofs, traps


class NoCertificateError(decoders.UsageError):
    """The decoder has operations without an exact version."""


LATER = ("certificates", "identities", "traps")


def findings(section, subject, settings):
    """Yield the Findings of one section.

    Args:
        section: ``"proofs"`` or one of LATER.
        subject: a function that loads the decoder, a decoders.Subject.
        settings: of ``verification.check``.
    """
    if section == "proofs":
        yield from proofs.findings(settings.full)
    elif section == "certificates":
        yield from _certificates(subject(), settings)
    elif section == "identities":
        yield from identities.findings(settings.full, settings.seed)
    else:
        yield from traps.findings(settings.full)
        yield from traps.peers(subject())


def _certificates(subject, settings):
    try:
        yield from certified_errors.findings(
            subject, settings.dtypes, full=settings.full, seed=settings.seed
        )
    except curvcore.CurvatureError as error:
        raise NoCertificateError(f"{subject.name} has no certificate: {error}") from error
