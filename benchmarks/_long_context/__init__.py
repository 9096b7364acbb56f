"""Parts of the benchmark of long prompts."""
