"""The canary's guard: counts of two servers in, more traffic for the new bundle or the way back out."""
