"""A small shop, for trying an editor on."""
