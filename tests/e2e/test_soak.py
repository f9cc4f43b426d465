"""The mixed load of `make soak`, short: that it runs, and what it promises."""
import os
import pathlib
import subprocess
import sys

from lib import wait
from lib.host import BUILD

DRIVER = pathlib.Path(__file__).resolve().parents[1] / 'soak/soak.py'


def test_a_short_soak_keeps_every_promise():
    done = subprocess.run([sys.executable, str(DRIVER), '--build', str(BUILD), '--seconds', '5',
                           '--lives', '12', '--seed', '7'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          env=dict(os.environ, PYTHONDONTWRITEBYTECODE='1'),
                          timeout=wait.patience(300))
    text = done.stdout.decode()
    assert done.returncode == 0, text[-6000:]
    assert text.rstrip().endswith('passed, 0 failed'), text[-2000:]
