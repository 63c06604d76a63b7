"""What bad bytes raise."""


class ProtocolError(Exception):
    """Bytes of another member, or of whoever connects, are not of the protocol: that stream or connection ends.

    status  of the HTTP answer, where one is owed
    """

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
