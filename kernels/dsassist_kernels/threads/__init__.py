"""The threads that compiled kernels share: see cpu.c for why they are not OpenMP's."""
