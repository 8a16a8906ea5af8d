"""Events and answers as JSON, with what Lambda's own encoder adds to the standard one."""

import json
import math
import os
import re
import sys

from .errors import RuntimeFault

# Lambda answers with unicode characters from Python 3.12 on, with escape sequences before.
_ENSURE_ASCII = sys.version_info < (3, 12)


class _Encoder(json.JSONEncoder):
    """Knows Decimal, as a number with all its digits: the standard encoder has no way to write a number as it stands, so
    each one is written as a marked string, and the marks are removed at the end."""

    def __init__(self):
        super().__init__(ensure_ascii=_ENSURE_ASCII)
        self.decimals = False
        self.mark = ""

    def default(self, o):
        decimal = sys.modules.get("decimal")
        if decimal is None or not isinstance(o, decimal.Decimal):
            return super().default(o)
        if o.is_nan():
            return math.nan
        if not self.decimals:
            self.decimals = True
            # Unguessable, so that no string of the function's looks like one.
            self.mark = os.urandom(16).hex()
        return self.mark + str(o)

    def encode(self, o):
        text = super().encode(o)
        return re.sub('"%s([^"]*)"' % self.mark, r"\1", text) if self.decimals else text


def to_json(value):
    return _Encoder().encode(value)


_plain = json.JSONEncoder(ensure_ascii=_ENSURE_ASCII)


def marshal_response(value):
    """The answer's bytes; bytes are passed through as they are."""
    if isinstance(value, bytes):
        return value
    try:
        if "decimal" in sys.modules:
            return to_json(value).encode("utf-8")
        return _plain.encode(value).encode("utf-8")
    except Exception as error:
        raise RuntimeFault("MarshalError", "Unable to marshal response: %s" % error) from None


def unmarshal_event(body):
    try:
        return json.loads(body)
    except Exception as error:
        raise RuntimeFault("UnmarshalError", "Unable to unmarshal input: %s" % error) from None
