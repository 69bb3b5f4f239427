"""The page in a browser: a client of the model server, which reads by HTTP and holds no model itself."""
