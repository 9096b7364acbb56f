"""The language server: the only part that knows LSP.

``app`` builds the server, ``features/`` holds one module a group of methods (each with ``register(server)``),
``convert`` turns the client's positions into offsets and back, ``protocol`` has our own messages.
"""
