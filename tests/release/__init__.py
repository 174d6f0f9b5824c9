"""``make release-check``: what would be released, built, looked at, installed and used."""
