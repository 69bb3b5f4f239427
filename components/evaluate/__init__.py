"""Step 5: challenger and champion read the same lines; calibration and reference profile go into the bundle."""
