"""The model server: line images in over KServe's protocols, readings out, one profile row a reading in the log."""
