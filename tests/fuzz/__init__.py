"""Damaged and hostile files, made from sound ones by a seed, and what becomes of them.

`python -m tests.fuzz` tries thousands; `tests/test_fuzz.py` a few hundred of each kind.
"""
