"""What an environment of nodes says: log lines and its own words in one text, from a log level on."""

from collections.abc import Callable

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE")
_QUIET = len(LEVELS) - 1


class Output:
    """What is said: log lines of the nodes and words of the environment, in sequence."""

    def __init__(self) -> None:
        self.text = ""
        self.level = 0

    @property
    def quiet(self) -> bool:
        return self.level == _QUIET

    def write(self, text: str) -> None:
        if not self.quiet:
            self.text += text

    def _log(self, level: int, text: str) -> None:
        if self.level <= level:
            self.write(f"{LEVELS[level]} {text}" + ("" if text.endswith("\n") else "\n"))

    def debug(self, text: str) -> None:
        self._log(0, text)

    def info(self, text: str) -> None:
        self._log(1, text)

    def warning(self, text: str) -> None:
        self._log(2, text)

    def error(self, text: str) -> None:
        self._log(3, text)

    def fatal(self, text: str) -> None:
        self._log(4, text)

    def indented(self, work: Callable[[], object]) -> None:
        """Do work; what it says is set in by two blanks, also if it raises."""
        before, self.text = self.text, ""
        try:
            work()
        finally:
            lines = self.text.removesuffix("\n").split("\n") if self.text else []
            self.text = before + "".join(f"  {line}\n" for line in lines)
