"""Calls that are more than one step on the key space: Lock, Election, RangeStream.

A recipe is a generator: it yields what is to be done next (`steps`), and is sent what came of it. What runs it owns
the member; the recipe owns the rules.
"""
