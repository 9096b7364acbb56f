"""Editor-neutral help: completion, context, tests. Speaks plain dataclasses; knows no LSP and no model library."""
