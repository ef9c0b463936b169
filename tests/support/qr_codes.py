"""Reads QR codes, as a phone does."""

import base64
import io

import zxingcpp
from PIL import Image


def read_qr_code(data_uri: str) -> str:
    """The text of the one QR code in the PNG."""
    picture = base64.b64decode(data_uri.removeprefix("data:image/png;base64,"), validate=True)
    with Image.open(io.BytesIO(picture), formats=["PNG"]) as image:
        [found] = zxingcpp.read_barcodes(image)
    assert found.format == zxingcpp.BarcodeFormat.QRCode
    return found.text
