"""What workers are told, so that the mock provider does everything it knows.

Each line is (weight, options of tests/mock/provider.c, how the turn may end).
A turn that nobody cancelled has to end in one of those states; one that has to
complete and says words has to have all of them.
"""
import itertools
import re

COMPLETED, FAILED = {'completed'}, {'failed'}
EITHER = COMPLETED | FAILED
SHAPES = ('fragments', 'whole', 'object', 'noindex', 'zero', 'newid', 'legacy', 'two', 'noid')

LINES = [
    (14, 'mode=text chunks={n}', COMPLETED),
    (10, 'mode=text chunks={n} delay=5', COMPLETED),
    (3, 'mode=text chunks=400', COMPLETED),
    (3, 'mode=text chunks=60 delay=20', COMPLETED),
    (3, 'mode=unicode', COMPLETED),
    (3, 'mode=reasoning chunks={n} delay=2', COMPLETED),
    (1, 'mode=refusal', EITHER),
    (4, 'mode=tool shape={shape} delay=2', COMPLETED),
    (1, 'mode=tool shape=bad', EITHER),
    (1, 'mode=json', EITHER),
    (2, 'mode=text chunks=12 split=1 comments=1 eol=crlf', COMPLETED),
    (2, 'mode=text chunks=5 keep=0', COMPLETED),
    (2, 'mode=text chunks=5 keep=silent', COMPLETED),
    (2, 'mode=text chunks=9 done=0', EITHER),
    (1, 'mode=text chunks=9 finish=length', COMPLETED),
    (1, 'mode=text chunks=9 usage=none', COMPLETED),
    (2, 'mode=text first=400 head=100 delay=30', COMPLETED),
    (2, 'mode=text first=60000', FAILED),
    (3, 'mode=text chunks=9 delay=5 stall=4', FAILED),
    (2, 'mode=text chunks=9 delay=5 close=4', FAILED),
    (2, 'mode=text chunks=9 delay=5 reset=4', FAILED),
    (1, 'mode=text reset=0', EITHER),
    (2, 'mode=status code=500', FAILED),
    (2, 'mode=status code=500 times=1 key={key}', COMPLETED),
    (2, 'mode=status code=429 after_ms=50 times=1 key={key}', COMPLETED),
    (1, 'mode=status code=429 after=1', FAILED),
    (1, 'mode=status code=401', FAILED),
    (2, 'mode=error form=event', FAILED),
    (1, 'mode=error form=text', FAILED),
    (1, 'mode=html', FAILED),
    (1, 'mode=garbage', FAILED),
    (1, 'mode=empty', FAILED),
    (1, 'mode=plain', FAILED),
    (1, 'mode=huge size=300000', COMPLETED),
    (1, 'mode=huge size=2000000', FAILED),
]
KEYS = 200  # the mock remembers 256; a key that is used up answers in words
_keys = itertools.count()


class Line:
    def __init__(self, rng):
        _, options, self.ends = rng.choices(LINES, [w for w, _, _ in LINES])[0]
        key = next(_keys)
        if 'key=' in options and key >= KEYS:
            options = 'mode=text chunks={n}'
        self.text = options.format(n=rng.randint(1, 40), shape=rng.choice(SHAPES), key=f'k{key}')

    def words(self):
        """The whole text, where the options say it."""
        chunks = re.fullmatch(r'mode=text chunks=(\d+)( delay=\d+)?', self.text)
        return ''.join(f'w{i} ' for i in range(int(chunks.group(1)))) if chunks else None
