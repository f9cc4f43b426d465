"""The host's log as data: logfmt lines, and the words that fail a run."""
import json
import re

_FIELD = re.compile(r'([A-Za-z_][A-Za-z0-9_.]*)=("(?:[^"\\]|\\.)*"|\S*)')

# A word here in a log is a defect wherever it stands.
_BAD = re.compile(
    r'AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:|'
    r'\bpanic\b|\bleak(s|ed)?\b|assertion .* failed|Assertion .* failed|\bcorrupt|'
    r'stack smashing|double free|free\(\): invalid|malloc\(\): ', re.I)


def parse(line):
    """One logfmt or JSON line as a dict; {} when it is neither."""
    line = line.strip()
    if line.startswith('{'):
        try:
            return json.loads(line)
        except ValueError:
            return {}
    out = {}
    for key, value in _FIELD.findall(line):
        if value.startswith('"'):
            try:
                value = json.loads(value)
            except ValueError:
                value = value[1:-1]
        out[key] = value
    return out


def findings(text, allow=()):
    """The lines of a log that nobody may write."""
    return [line for line in text.splitlines()
            if _BAD.search(line) and not any(a in line for a in allow)]
