"""Burned-in text: which instances are likely to carry it, where it is, and how it is blanked.

Start at `policy.decide`, which looks at the header of the original instance and answers what may
happen to its pixels; `policy.apply` blanks what it answered.
"""
