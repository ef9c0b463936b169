"""Bounds for gunicorn's parser, and one spelling of paths. Imported by gunicorn's master: see gunicorn.conf.py.

gunicorn copies and searches a whole head after each read, and reads chunks one by one, so small pieces are expensive.
"""

import time
from posixpath import normpath
from typing import Any, Final
from urllib.parse import unquote

from gunicorn.http import body, errors, message, parser, unreader

HEAD_BYTES: Final = 64 * 1024
HEAD_PIECES: Final = 256  # a head arrives in at most this many reads
BODY_PIECES: Final = 2100  # a body arrives in at most this many reads and chunks
PIECE_BYTES: Final = 256  # of a body, this many bytes allow one more piece: chunks of 1 KiB are never too many
FRAMING_BYTES: Final = 128  # one read takes at most this much if no length is known


class Unreader(unreader.SocketUnreader):  # type: ignore[misc]
    pieces: int  # this many may still come

    def chunk(self, size_hint: int | None = None) -> bytes:
        self.take_piece()
        data: bytes = super().chunk(size_hint)
        self.pieces += min(len(data), size_hint or 0) // PIECE_BYTES  # only a body has a hint
        return data

    def take_piece(self) -> None:
        """Raises `LimitRequestHeaders` if no piece is left: 431 in a head, 400 in a body."""
        self.pieces -= 1
        if self.pieces < 0:
            raise errors.LimitRequestHeaders("too many pieces")
        if self.pieces % 64 == 0:
            time.sleep(0.001)  # lets other threads run


class ChunkedReader(body.ChunkedReader):  # type: ignore[misc]
    def parse_chunk_size(self, unread: Unreader, data: bytes | None = None) -> Any:
        unread.take_piece()
        return super().parse_chunk_size(unread, data)


class Request(message.Request):  # type: ignore[misc]
    def parse(self, unread: Unreader) -> Any:
        self.max_buffer_headers = HEAD_BYTES
        unread.mxchunk = 8192
        unread.pieces = HEAD_PIECES
        return super().parse(unread)

    def parse_request_line(self, line: bytes) -> None:
        """Any other spelling of a path, such as `//metrics`, is 404, since a proxy may have a rule for the path."""
        super().parse_request_line(line)
        if self.uri.partition("?")[0] != normpath("/" + unquote(self.path).lstrip("/")):
            self.path += "//"  # no route ends so

    def set_body_reader(self) -> None:
        self.max_buffer_headers = FRAMING_BYTES  # trailers have this limit
        super().set_body_reader()
        self.unreader.mxchunk = FRAMING_BYTES
        self.unreader.pieces = BODY_PIECES


parser.RequestParser.mesg_class = Request
parser.SocketUnreader = Unreader
message.ChunkedReader = ChunkedReader
