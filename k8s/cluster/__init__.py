"""The Kubernetes API as far as a release needs it: which bundle a server serves, and who gets how much traffic."""
