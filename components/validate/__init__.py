"""Step 2: is the lines dataset fit to be learnt from? Errors stop the run, warnings are reported."""
