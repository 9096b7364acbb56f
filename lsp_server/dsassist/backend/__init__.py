"""How the assistant reaches a model: an httpx client of an OpenAI-compatible server, which starts and shares the local one."""
