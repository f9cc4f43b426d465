"""An installation in a folder, and commands that see it at its place."""
import pathlib
import shutil
import subprocess

import pytest

from . import wait
from .host import BINARY, ROOT, environment

PREFIX = pathlib.Path('/usr/local')  # the Makefile's


def make(target, stage):
    subprocess.run(['make', '-s', target, f'DESTDIR={stage}'], cwd=ROOT, check=True,
                   stdin=subprocess.DEVNULL, timeout=wait.patience(120), stdout=subprocess.PIPE)


def staged(tmp_path_factory):
    if BINARY != ROOT / 'build/yoi-host':
        pytest.skip('the plain build is the one that is installed')
    folder = tmp_path_factory.mktemp('stage')
    make('install', folder)
    return folder


def at_its_place(stage, folder):
    """What stands before a command, for which the staged prefix is where it belongs."""
    if not shutil.which('bwrap'):
        pytest.skip('no bwrap here')
    return ['bwrap', '--dev-bind', '/', '/', '--bind', f'{stage}{PREFIX}', str(PREFIX),
            '--chdir', str(folder)]


def local(folder, **env):
    return dict(environment(folder), PKG_CONFIG_PATH=f'{PREFIX}/lib/pkgconfig', **env)


def inside(stage, folder, *command, **env):
    return subprocess.run([*at_its_place(stage, folder), *map(str, command)],
                          check=False, env=local(folder, **env), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=wait.patience(60), universal_newlines=True)


def shell(stage, folder, text, **env):
    done = inside(stage, folder, 'bash', '-euc', text, **env)
    assert done.returncode == 0, done.stdout
    return done.stdout
