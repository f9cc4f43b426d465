"""yoi-conform, run to its end, and what its report says."""
import json
import os
import subprocess

from lib import wait
from lib.host import BUILD, environment

PROGRAM = BUILD / 'yoi-conform'


def folders(folder):
    return [p for p in (folder / 'tmp').iterdir() if 'yoi-conform' in p.name]


def processes(folder):
    """Those that have the home of the test: the kit's, and what a plugin left behind."""
    mark, found = f'{folder}/'.encode(), []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/environ', 'rb') as f:
                if mark in f.read():
                    found.append(int(pid))
        except OSError:
            continue  # it has ended, or is another's
    return found


def run(folder, *args, code=0, program=PROGRAM, stdin=subprocess.DEVNULL, **env):
    done = subprocess.run([str(program), *map(str, args)], cwd=folder, check=False,
                          env={**environment(folder), **env}, stdin=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=wait.bound(300), universal_newlines=True)
    assert done.returncode == code, done.stdout[-4000:] + done.stderr[-2000:]
    assert not folders(folder), 'left behind'
    return done


def report(folder, *args, code=0, **more):
    return json.loads(run(folder, '--json', *args, code=code, **more).stdout)


def results(said):
    return {t['id']: t['result'] for t in said['tests']}


def bad(said):
    return {i for i, r in results(said).items() if r not in ('pass', 'skip')}


def written(folder, name, value):
    path = folder / name
    path.write_text(json.dumps(value))
    return path
