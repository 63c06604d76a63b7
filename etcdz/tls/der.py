"""What is wanted of certificates and revocation lists, read off their bytes.

    Certificate     = SEQUENCE { TBSCertificate, ... }
    TBSCertificate  = SEQUENCE { [0] version OPTIONAL, INTEGER serialNumber, SEQUENCE signature, issuer,
                                 SEQUENCE { Time notBefore, Time notAfter }, ... }
    CertificateList = SEQUENCE { TBSCertList, ... }
    TBSCertList     = SEQUENCE { INTEGER version OPTIONAL, SEQUENCE signature, issuer, Time thisUpdate,
                                 Time nextUpdate OPTIONAL, SEQUENCE OF SEQUENCE { INTEGER serial, ... } OPTIONAL, ... }
    Time            = UTCTime "YYMMDDHHMMSSZ" / GeneralizedTime "YYYYMMDDHHMMSSZ"

By hand, because this is all that is wanted of them: a library for it would cost each listener 10 MB. OpenSSL has looked
at a certificate before anything here does. Source: RFC 5280, 4.1 and 5.1; X.690, 8.1 for tags and lengths.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

_INTEGER: Final = 0x02
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_TIMES: Final = (_UTC_TIME, _GENERALIZED_TIME)
_LENGTH_BYTES_MAX: Final = 4
_TIME: Final = re.compile(r"[0-9]{14}Z", re.ASCII)


class Validity(NamedTuple):
    """Of a certificate: its serial number without a sign, and seconds since 1970."""

    serial: int
    not_before_s: float
    not_after_s: float


class _Element(NamedTuple):
    """Where the content of one lies."""

    tag: int
    start: int
    end: int


def validity_of(der: bytes) -> Validity:
    """raises ValueError: these bytes are no certificate"""
    fields = _signed_fields(der)
    serial = _serial(der, fields)
    _take(fields, _SEQUENCE)  # signature
    _take(fields, _SEQUENCE)  # issuer
    times = _elements(der, _take(fields, _SEQUENCE))
    return Validity(serial, _seconds(der, _take(times, *_TIMES)), _seconds(der, _take(times, *_TIMES)))


def serial_of(der: bytes) -> int:
    """Of a certificate. raises ValueError: these bytes are none"""
    return _serial(der, _signed_fields(der))


def revoked_serials(der: bytes) -> frozenset[int]:
    """Of a revocation list, without signs, as etcd compares them. raises ValueError: these bytes are none"""
    fields = _signed_fields(der)
    if _take(fields, _INTEGER, _SEQUENCE).tag == _INTEGER:
        _take(fields, _SEQUENCE)  # signature
    _take(fields, _SEQUENCE)  # issuer
    _take(fields, *_TIMES)  # this update
    rest = next(fields, None)
    if rest is not None and rest.tag in _TIMES:  # next update
        rest = next(fields, None)
    if rest is None or rest.tag != _SEQUENCE:
        return frozenset()
    return frozenset(_first_integers(der, rest))


def _first_integers(der: bytes, rows: _Element) -> list[int]:
    """Of each sequence in one. NB: a list may have a hundred thousand: 2 us for each."""
    found, at, end = [], rows.start, rows.end
    while at < end:
        tag, start, at = _element(der, at, end)
        first = _element(der, start, at)
        if tag != _SEQUENCE or first.tag != _INTEGER:
            raise ValueError("an element is missing")
        found.append(_integer(der, first))
    return found


def _signed_fields(der: bytes) -> Iterator[_Element]:
    """Of what is signed: the first element of the outermost one."""
    outer = _element(der, 0, len(der))
    if outer.tag != _SEQUENCE or outer.end != len(der):
        raise ValueError("no sequence, or bytes behind it")
    return _elements(der, _take(_elements(der, outer), _SEQUENCE))


def _serial(der: bytes, fields: Iterator[_Element]) -> int:
    first = _take(fields, _VERSION, _INTEGER)
    return _integer(der, _take(fields, _INTEGER) if first.tag == _VERSION else first)


def _take(fields: Iterator[_Element], *tags: int) -> _Element:
    """The next one. raises ValueError: there is none, or with another tag"""
    element = next(fields, None)
    if element is None or element.tag not in tags:
        raise ValueError("an element is missing")
    return element


def _elements(der: bytes, of: _Element) -> Iterator[_Element]:
    """The elements in one, in order."""
    at = of.start
    while at < of.end:
        element = _element(der, at, of.end)
        yield element
        at = element.end


def _element(der: bytes, at: int, end: int) -> _Element:
    """The one that begins here. raises ValueError: it does not end before `end`"""
    if at + 2 > end:
        raise ValueError("an element ends too soon")
    tag, length = der[at], der[at + 1]
    at += 2
    if length & 0x80:
        count = length & 0x7F
        if not 0 < count <= _LENGTH_BYTES_MAX or at + count > end:
            raise ValueError("a length that cannot be")
        length = int.from_bytes(der[at : at + count], "big")
        at += count
    if at + length > end:
        raise ValueError("an element ends too soon")
    return _Element(tag, at, at + length)


def _integer(der: bytes, element: _Element) -> int:
    return abs(int.from_bytes(der[element.start : element.end], "big", signed=True))


def _seconds(der: bytes, time: _Element) -> float:
    text = der[time.start : time.end].decode("ascii", "replace")
    if time.tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    if not _TIME.fullmatch(text):
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
