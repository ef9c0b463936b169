"""gunicorn's requests, with bounds and one spelling of paths. Imported by gunicorn's master: see gunicorn.conf.py.

gunicorn copies and searches all that it has of a head after each read, and takes chunks one by one.
"""

import time
from collections.abc import Callable
from functools import partial
from posixpath import normpath
from typing import Any, Final
from urllib.parse import unquote

from gunicorn.http import body, errors, message, parser, unreader

HEAD_BYTES: Final = 64 * 1024
HEAD_READS: Final = 256
BODY_PIECES: Final = 2048  # reads, and chunks; a body of 2 MiB takes 1,436 packets of an Ethernet
FRAMING_BYTES: Final = 256  # of a chunk's line with its extensions, and of the trailers


class Request(message.Request):  # type: ignore[misc]
    def parse(self, unread: Any) -> Any:
        self.max_buffer_headers = HEAD_BYTES
        unread.mxchunk = 8192
        unread.chunk = at_most(HEAD_READS, partial(unreader.SocketUnreader.chunk, unread))
        return super().parse(unread)

    def parse_request_line(self, line: bytes) -> None:
        """Only one spelling of a path is found, as a proxy may have rules for that path: not `//metrics`."""
        super().parse_request_line(line)
        if self.uri.partition("?")[0] != normpath("/" + unquote(self.path).lstrip("/")):  # type: ignore[has-type]
            self.path = "/"  # where nothing is

    def set_body_reader(self) -> None:
        self.max_buffer_headers = FRAMING_BYTES  # of trailers
        super().set_body_reader()
        self.unreader.mxchunk = FRAMING_BYTES  # the most that is read at once where no length is known
        self.unreader.chunk = at_most(BODY_PIECES, partial(unreader.SocketUnreader.chunk, self.unreader))
        if isinstance(self.body.reader, body.ChunkedReader):
            self.body.reader.parse_chunk_size = at_most(BODY_PIECES, self.body.reader.parse_chunk_size)


def at_most(number: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function for that many calls; the next one raises `LimitRequestHeaders`: 431 in a head, 400 in a body."""
    calls = iter(range(1, number + 1))

    def limited(*arguments: Any, **options: Any) -> Any:
        call = next(calls, None)
        if call is None:
            raise errors.LimitRequestHeaders("too many pieces")
        if call % 64 == 0:
            time.sleep(0.001)  # let other threads run
        return function(*arguments, **options)

    return limited


parser.RequestParser.mesg_class = Request
