"""Which term earns what: autoencoders with and without it, at weights chosen by one rule.

=============  =============================================================================
module         what it does
=============  =============================================================================
``design``     what is compared, read from YAML
``fits``       ``python -m training fit`` for one row, weight and seed; each once, some at a time
``weights``    the rule that chooses a term's weight
``isomap``     the coordinates of a warm start alone, as a row
``paired``     a metric of one row against another's, seed by seed, with an interval
``tables``     Markdown
``command``    ``python -m training study --design``
=============  =============================================================================
"""
