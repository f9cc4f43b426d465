"""A store of files under a mixed load with restarts: thirty minutes in `make
soak`, some seconds otherwise (lib/lives.py). YOI_SOAK_SECONDS says how long the
long one is, YOI_SEED plays a seed again."""
import os
import random

import pytest

from lib.lives import Lives

SECONDS = int(os.environ.get('YOI_SOAK_SECONDS', 1800))


@pytest.mark.parametrize('seconds, staying', [
    pytest.param(6, 40, id='short'),
    pytest.param(SECONDS, 150, id='long', marks=[pytest.mark.soak,
                                                 pytest.mark.timeout(2 * SECONDS + 600)])])
def test_a_store_keeps_its_promises_over_many_lives(new_host, tmp_path, seconds, staying):
    seed = int(os.environ.get('YOI_SEED') or random.randrange(1 << 32))
    print(f'lives: {seconds} s, YOI_SEED={seed}', flush=True)
    lives = Lives(new_host, tmp_path, seed, staying)
    lives.play(seconds)
    assert min(lives.ends.values()) > 0 and lives.requests > 40, 'something happened'
