"""Images are decoded and resized without torch."""

from __future__ import annotations

import subprocess
import sys


def test_the_package_imports_neither_torch_nor_scipy() -> None:
    code = (
        "import sys, passerby.images.decode, passerby.images.placement\n"
        "print(sorted({'torch', 'torchvision', 'scipy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
