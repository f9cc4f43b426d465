"""The Prometheus text of /metrics as data, and the tool that judges it."""
import collections
import os
import pathlib
import re
import shutil
import subprocess

from . import wait

ROOT = pathlib.Path(__file__).resolve().parents[3]

Sample = collections.namedtuple('Sample', 'name labels value')

_LINE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)')
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """types: by family; samples: every line."""

    def __init__(self, text):
        self.text, self.types, self.helps, self.samples = text, {}, {}, []
        for line in text.splitlines():
            if line.startswith('# TYPE '):
                _, _, name, kind = line.split(' ')
                assert name not in self.types, line
                self.types[name] = kind
            elif line.startswith('# HELP '):
                _, _, name, self.helps[name] = line.split(' ', 3)
            else:
                m = _LINE.fullmatch(line)
                assert m, line
                labels = dict(_LABEL.findall(m.group(2) or ''))
                self.samples.append(Sample(m.group(1), labels, float(m.group(3))))

    def all(self, name, **labels):
        """The samples of that name with (at least) these labels."""
        return [s for s in self.samples
                if s.name == name and all(s.labels.get(k) == v for k, v in labels.items())]

    def sum(self, name, **labels):
        return sum(s.value for s in self.all(name, **labels))

    def histograms(self):
        """(family, labels without le, [(bound, count)]) of each histogram."""
        out = {}
        for s in self.samples:
            family = s.name[:-len('_bucket')]
            if s.name.endswith('_bucket') and self.types.get(family) == 'histogram':
                labels = {k: v for k, v in s.labels.items() if k != 'le'}
                out.setdefault((family, tuple(sorted(labels.items()))), []).append(
                    (float(s.labels['le']), s.value))
        return [(f, dict(labels), buckets) for (f, labels), buckets in out.items()]


def promtool():
    """Prometheus' own checker: installed, or unpacked by tests/packages.sh."""
    unpacked = ROOT / 'build/tools/usr/bin/promtool'
    found = str(unpacked) if os.access(unpacked, os.X_OK) else shutil.which('promtool')
    assert found, 'there is no promtool; `make packages-test` brings it'
    return found


def judge(text):
    """What promtool finds; empty when the text is clean."""
    done = subprocess.run([promtool(), 'check', 'metrics'], input=text.encode(), check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=wait.patience(60))
    return done.stdout.decode() if done.returncode else ''
