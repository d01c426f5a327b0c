"""Devices are checked without torch; only those that are certainly missing are refused."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from passerby import devices
from passerby.devices import check_device
from passerby.errors import ConfigError


@pytest.fixture
def torch_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """`torch_for(cuda=…, hip=…)` installs a torch whose file of versions states these."""

    def install(**versions: str | None) -> None:
        lines = [f"{name}: Optional[str] = {value!r}\n" for name, value in versions.items()]
        (tmp_path / "version.py").write_text("__version__ = '2.9'\n" + "".join(lines))
        spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
        monkeypatch.setattr(devices, "find_spec", lambda name: spec)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    return install


def find_driver(monkeypatch: pytest.MonkeyPatch, *, installed: bool) -> list[str]:
    """Replace the loading of libraries; the names that were asked for."""
    asked = []

    def load(name: str) -> None:
        asked.append(name)
        if not installed:
            raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", load)
    return asked


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:3"])
def test_a_machine_without_the_driver_has_no_gpu(
    torch_for, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    torch_for(cuda="13.0", hip=None)
    asked = find_driver(monkeypatch, installed=False)
    with pytest.raises(ConfigError, match=rf"no GPU for the device '{device}': the NVIDIA driver .*use cpu"):
        check_device(device)
    assert asked == ["libcuda.so.1"]


def test_with_the_driver_torch_decides(torch_for, monkeypatch: pytest.MonkeyPatch) -> None:
    torch_for(cuda="13.0", hip=None)
    find_driver(monkeypatch, installed=True)
    check_device("cuda:7")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_missing(torch_for, monkeypatch: pytest.MonkeyPatch, hidden: str) -> None:
    torch_for(cuda="13.0", hip=None)
    find_driver(monkeypatch, installed=True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    with pytest.raises(ConfigError, match="CUDA_VISIBLE_DEVICES hides all GPUs"):
        check_device("cuda")


def test_a_torch_for_the_cpu_has_no_gpu(torch_for, monkeypatch: pytest.MonkeyPatch) -> None:
    torch_for(cuda=None, hip=None)
    find_driver(monkeypatch, installed=True)
    with pytest.raises(ConfigError, match="the installed torch is built for the CPU"):
        check_device("cuda")


def test_amd_gpus_have_the_name_cuda_and_need_no_driver_of_nvidia(
    torch_for, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch_for(cuda=None, hip="6.4")
    assert find_driver(monkeypatch, installed=False) == []
    check_device("cuda")


def test_an_unknown_torch_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "find_spec", lambda name: None)
    check_device("cuda")


def test_mps_needs_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    check_device("mps")
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ConfigError, match="mps is the GPU of a Mac"):
        check_device("mps")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU", "auto:0", ""])
def test_a_name_that_is_no_device_is_refused(device: str) -> None:
    with pytest.raises(ConfigError, match="expected a device such as auto, cpu or cuda:0"):
        check_device(device)


@pytest.mark.parametrize("device", ["auto", "cpu", "cpu:0", "xpu:1"])
def test_other_devices_pass(device: str) -> None:
    check_device(device)


@pytest.mark.gpu
def test_a_gpu_is_found() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    check_device("cuda:0")
