"""The closed loop on real handwriting: a hand arrives, is noticed, asked about, learnt once, and read better."""
