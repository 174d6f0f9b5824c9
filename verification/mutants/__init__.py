"""``python -m verification.mutants``: would a wrong line of curvcore be noticed?"""
