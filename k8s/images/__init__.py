"""The container images: what goes into each, how they are built, and what is listed about them."""
