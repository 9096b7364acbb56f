"""The part that runs inside the project's own interpreter, in the sandbox.

It is copied there and needs nothing but the standard library (Python 3.10 or newer). It imports the module under test
once,
then forks for every batch of calls, so that a call that hangs, exits, eats memory or changes global state harms only
its own child.
``dsassist`` itself must not be imported from here.
"""
