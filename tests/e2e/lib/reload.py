"""A host that is given another config while it runs."""
import json
import signal

from . import logs, wait

GOOD = ('reloaded', 'reloaded, work was cancelled')
REFUSED = 'reload refused'


def outcomes(host):
    return [e for e in map(logs.parse, host.log.splitlines())
            if e and e.get('msg') in (*GOOD, REFUSED) and 'kept' in e or
            e and e.get('msg') == REFUSED]


def send(host, config):
    """Writes the config (a dict, or a text) and sends SIGHUP."""
    host.file.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))
    host.proc.send_signal(signal.SIGHUP)


def any_outcome(host, config, seconds=30.0):
    """The line that says what came of it."""
    n = len(outcomes(host))
    send(host, config)
    wait.until(lambda: len(outcomes(host)) > n, seconds, 'an outcome of the reload')
    return outcomes(host)[n]


def good(host, config, seconds=30.0):
    line = any_outcome(host, config, seconds)
    assert line['msg'] in GOOD, f'{line}\n{host.tail()}'
    host.config = config
    return line


def refused(host, config, seconds=30.0):
    """The findings, (place, error) each; without one the refusal's own words."""
    n = len(host.entries(msg='config finding'))
    line = any_outcome(host, config, seconds)
    assert line['msg'] == REFUSED, line
    return [(e['place'], e['error']) for e in host.entries(msg='config finding')[n:]] or \
        [('', line.get('error', ''))]
