"""Several processes that share the server's port, and the one that watches over them."""
