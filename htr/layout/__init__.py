"""Layout analysis: a page image in, its lines of writing out, in reading order.

`htr.layout.finding` is the way in, and names the steps.
"""
