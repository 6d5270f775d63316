"""TF32 is disabled within a block, whichever settings of PyTorch the program uses."""

import subprocess
import sys

import pytest

STATE = """
import sys
import torch
from wsedtk.inference.tf32 import without_tf32

cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
readers = [lambda: cudnn.allow_tf32, lambda: matmul.allow_tf32,
           torch.get_float32_matmul_precision, lambda: torch.backends.fp32_precision,
           lambda: cudnn.fp32_precision]
layers = [cudnn.conv, cudnn.rnn, matmul]

def state():
    found = [layer.fp32_precision for layer in layers]
    for read in readers:
        try:
            found.append(read())
        except RuntimeError:  # the program has mixed the two interfaces
            found.append("mixed")
    return found

exec(sys.argv[1])
before = state()
with without_tf32():
    inside = [layer.fp32_precision for layer in layers]
assert inside == ["ieee"] * 3, inside
assert state() == before, (state(), before)
"""


@pytest.mark.parametrize(
    "setting",
    [
        "pass",
        "cudnn.allow_tf32 = False",
        "cudnn.allow_tf32 = True",
        "matmul.allow_tf32 = True",
        "torch.set_float32_matmul_precision('high')",
        "torch.backends.fp32_precision = 'tf32'",
        "cudnn.conv.fp32_precision = 'ieee'",
        "cudnn.rnn.fp32_precision = 'ieee'; matmul.fp32_precision = 'tf32'",
    ],
)
def test_tf32_is_disabled_only_within_the_block(setting):
    pytest.importorskip("torch", "2.9")  # without `fp32_precision` before
    command = [sys.executable, "-W", "ignore", "-c", STATE, setting]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
