"""Packed weights: the format, and every way of multiplying with them against the definition."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from dsassist_kernels import native, packed_linear
from dsassist_kernels.packed_linear import (
    FORMATS,
    Format,
    Grid,
    available,
    cpu,
    pack,
    packed_mlp,
    reference,
    rows,
    unpack,
)
from dsassist_kernels.packed_linear import packed_linear as linear
from dsassist_kernels.packed_linear.reference import quantize_groups

ROWS = (1, 2, 3, 7, 16, 17, 23, 24, 31, 33, 70)
VARIANTS = {
    "AMX, emulated": ["-DDSASSIST_EMULATED_AMX"],
    "no AMX": ["-DDSASSIST_NO_AMX"],
    "AVX-VNNI": ["-mno-avx512f"],
    "AVX2": ["-mno-avx512f", "-mno-avxvnni"],
    "portable": ["-DDSASSIST_PORTABLE"],
}

compiled_only = pytest.mark.skipif(not available(), reason="no C compiler")


def weight(n: int, k: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, k, generator=generator) * torch.rand(n, 1, generator=generator) / k**0.5


every_format = pytest.mark.parametrize("kept", FORMATS, ids=str)


@every_format
def test_packing_keeps_what_the_bits_allow(kept: Format) -> None:
    w, most = weight(48, 192), {4: 0.09, 5: 0.045, 6: 0.023, 8: 0.006}[kept.bits]
    packed = pack(w, kept)
    assert packed.shape == (3, 3, packed_linear.tile_bytes(kept))
    assert packed_linear.format_of_tile(packed.shape[2]) == kept
    assert float((unpack(packed) - w).norm() / w.norm()) < most
    again = unpack(pack(unpack(packed), kept))
    assert float((again - unpack(packed)).norm() / w.norm()) < most / 2


@pytest.mark.parametrize("bits", [5, 6])
def test_values_on_the_grid_of_a_gguf_file_are_met_exactly(bits: int) -> None:
    generator = torch.Generator().manual_seed(1)
    q = torch.randint(-16, 16, (32, 2, 32), generator=generator)
    q[:, :, 3] = -16  # Q5_0 puts the value of largest magnitude there
    scale = (torch.rand(32, 2, 1, generator=generator) / 100).half().float() * torch.tensor([1.0, -1.0])[None, :, None]
    w = (q * scale).view(32, 64)
    assert torch.equal(unpack(pack(w, Format(bits))), w)


@every_format
def test_values_on_a_given_grid_are_met_exactly(kept: Format) -> None:
    """Few of the integers occur, so that the grid cannot be told from the values."""
    generator = torch.Generator().manual_seed(1)
    u = torch.randint(3, 9, (32, 128 // kept.columns, kept.columns), generator=generator)
    scale = (torch.rand(*u.shape[:2], generator=generator) / 100).half().float()
    base = -torch.rand(*u.shape[:2], generator=generator).half().float() if kept.base else None
    low = -(1 << (kept.bits - 1)) * scale if base is None else base
    w = (u * scale[..., None] + low[..., None]).view(32, 128)
    back = unpack(pack(w, kept, Grid(scale, base)))
    torch.testing.assert_close(back, w, rtol=1e-6, atol=1e-6)
    assert float((unpack(pack(w, kept)) - w).abs().max()) > 1e-5 or kept.bits == 8


def test_extreme_weights() -> None:
    w = torch.zeros(16, 64)
    w[1, 0], w[2, 40], w[3] = 1e-9, 60000.0, -1.0
    back = unpack(pack(w, Format(5)))
    assert back.isfinite().all()
    assert torch.equal(back[0], w[0])
    assert torch.equal(back[3], w[3])
    assert float(back[2, 40]) == pytest.approx(60000, rel=1e-3)


@compiled_only
@every_format
@pytest.mark.parametrize("m", ROWS)
def test_linear_is_as_defined_and_a_row_is_alone(kept: Format, m: int) -> None:
    torch.manual_seed(m)
    packed, x = pack(weight(160, 192), kept), torch.randn(m, 192) * 3
    norm, bias, residual = torch.rand(192), torch.randn(160), torch.randn(m, 160)
    for options in ({}, {"norm": norm, "eps": 1e-6}, {"bias": bias}, {"residual": residual}):
        expected = linear(x, packed, **options, backend="reference")
        got = linear(x, packed, **options)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=0.02 if "norm" in options else 1e-4)
        for i in (0, m // 2, m - 1):
            one = {name: v[i : i + 1] if name == "residual" else v for name, v in options.items()}
            assert torch.equal(linear(x[i : i + 1], packed, **one)[0], got[i])


@compiled_only
@pytest.mark.parametrize(("first", "second"), [(Format(5), Format(6)), *zip(FORMATS, reversed(FORMATS), strict=True)])
@pytest.mark.parametrize("m", ROWS)
def test_mlp_is_as_defined_and_a_row_is_alone(first: Format, second: Format, m: int) -> None:
    torch.manual_seed(m)
    gate_up, down, norm = pack(weight(2 * 128, 192), first), pack(weight(192, 128, 1), second), torch.rand(192)
    x = torch.randn(m, 192)
    got = packed_mlp(x, gate_up, down, norm=norm, eps=1e-6, residual=x)
    expected = packed_mlp(x, gate_up, down, norm=norm, eps=1e-6, residual=x, backend="reference")
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=2e-3)
    for i in (0, m // 2, m - 1):
        row = x[i : i + 1]
        assert torch.equal(packed_mlp(row, gate_up, down, norm=norm, eps=1e-6, residual=row)[0], got[i])


def _build(folder: Path, flags: list[str]) -> ctypes.CDLL:
    source, compiler = Path(cpu.__file__).with_name("cpu.c"), shutil.which("cc") or "gcc"
    target = folder / "variant.so"
    command = [compiler, *native._FLAGS, *flags, "-fopenmp", str(source), "-o", str(target), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this compiler does not build it: {done.stderr[-200:]}")
    return ctypes.CDLL(str(target))


@compiled_only
@pytest.mark.parametrize("variant", VARIANTS)
def test_other_processors_give_the_same(variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same source built for lesser processors: the same integers, summed in the same order."""
    torch.manual_seed(0)
    x = torch.randn(37, 192)
    weights = [pack(weight(96, 192, number), kept) for number, kept in enumerate(FORMATS)]
    mlps = [
        (pack(weight(256, 192), first), pack(weight(192, 128), second))
        for first, second in zip(FORMATS, reversed(FORMATS), strict=True)
    ]

    def all_of_them(x: torch.Tensor) -> list[torch.Tensor]:
        return [linear(x, w) for w in weights] + [packed_mlp(x, *mlp) for mlp in mlps]

    here = all_of_them(x)
    library = _build(tmp_path, VARIANTS[variant])
    monkeypatch.setattr(native, "compiled", lambda _source: library)
    for a, b in zip(here, all_of_them(x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    for a, b in zip(all_of_them(x[:1]), all_of_them(x), strict=True):
        assert torch.equal(a[0], b[0])


@compiled_only
def test_large_and_tiny_activations() -> None:
    packed = pack(weight(32, 128), Format(5))
    x = torch.zeros(4, 128)
    x[1], x[2, ::7], x[3, 5] = 1e-38, 1e30, float(torch.finfo(torch.float32).tiny)
    y = linear(x, packed)
    assert y.isfinite().all()
    assert not y[0].any()
    torch.testing.assert_close(y[2], (x[2] @ unpack(packed).T), rtol=0.02, atol=1e27)


def test_activations_keep_seven_bits_of_each_group() -> None:
    x = torch.randn(5, 96)
    x[:, 40] = 1000.0  # an outlier takes precision from its own group only
    q, s = quantize_groups(x)
    error = (q * s[..., None] - x.view(5, 3, 32)).abs().amax(-1)
    assert (error <= s * 0.501).all()
    assert (s[:, [0, 2]] < 0.1).all()


@every_format
def test_rows_are_an_embedding(kept: Format) -> None:
    packed = pack(weight(64, 128), kept)
    index = torch.tensor([5, 63, 5, 0, 17])
    torch.testing.assert_close(rows(packed, index), unpack(packed)[index], rtol=1e-6, atol=1e-7)
    assert torch.equal(reference.rows(packed, index), unpack(packed)[index])
    assert rows(packed, index[:0]).shape == (0, 128)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=re.escape("15 × 64")):
        pack(torch.zeros(15, 64), Format(5))
    with pytest.raises(ValueError, match="3 bits"):
        pack(torch.zeros(16, 64), Format(3))
    packed = pack(torch.zeros(16, 64), Format(5))
    with pytest.raises(ValueError, match=re.escape("x (1, 65)")):
        linear(torch.zeros(1, 65), packed)
    with pytest.raises(ValueError, match="do not fit together"):
        packed_mlp(torch.zeros(1, 64), packed, packed)
    with pytest.raises(ValueError, match="not 99"):
        packed_linear.format_of_tile(99)
