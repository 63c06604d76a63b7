"""The v2 API's expected answers that are errors: each a code with a message and an HTTP status.

Source: etcd 3.5 v2error.
"""

from typing import Final, NamedTuple

KEY_NOT_FOUND: Final = 100
TEST_FAILED: Final = 101
NOT_FILE: Final = 102
NOT_DIR: Final = 104
NODE_EXIST: Final = 105
ROOT_READ_ONLY: Final = 107
DIR_NOT_EMPTY: Final = 108
UNAUTHORIZED: Final = 110
PREV_VALUE_REQUIRED: Final = 201
TTL_NAN: Final = 202
INDEX_NAN: Final = 203
INVALID_FIELD: Final = 209
INVALID_FORM: Final = 210
REFRESH_VALUE: Final = 211
REFRESH_TTL_REQUIRED: Final = 212
RAFT_INTERNAL: Final = 300
LEADER_ELECT: Final = 301
WATCHER_CLEARED: Final = 400
EVENT_INDEX_CLEARED: Final = 401

_BAD_REQUEST: Final = 400
MESSAGES: Final = {
    KEY_NOT_FOUND: "Key not found",
    TEST_FAILED: "Compare failed",
    NOT_FILE: "Not a file",
    NOT_DIR: "Not a directory",
    NODE_EXIST: "Key already exists",
    ROOT_READ_ONLY: "Root is read only",
    DIR_NOT_EMPTY: "Directory not empty",
    UNAUTHORIZED: "The request requires user authentication",
    PREV_VALUE_REQUIRED: "PrevValue is Required in POST form",
    TTL_NAN: "The given TTL in POST form is not a number",
    INDEX_NAN: "The given index in POST form is not a number",
    INVALID_FIELD: "Invalid field",
    INVALID_FORM: "Invalid POST form",
    REFRESH_VALUE: "Value provided on refresh",
    REFRESH_TTL_REQUIRED: "A TTL must be provided on refresh",
    RAFT_INTERNAL: "Raft Internal Error",
    LEADER_ELECT: "During Leader Election",
    WATCHER_CLEARED: "watcher is cleared due to etcd recovery",
    EVENT_INDEX_CLEARED: "The event in requested index is outdated and cleared",
}
_STATUSES: Final = {
    KEY_NOT_FOUND: 404,
    NOT_FILE: 403,
    DIR_NOT_EMPTY: 403,
    UNAUTHORIZED: 401,
    TEST_FAILED: 412,
    NODE_EXIST: 412,
    RAFT_INTERNAL: 500,
    LEADER_ELECT: 500,
}


class V2Error(NamedTuple):
    """cause: mostly the path. store_index: the index when it was found, 0: before the store was asked"""

    code: int
    cause: str
    store_index: int = 0

    @property
    def message(self) -> str:
        return MESSAGES[self.code]

    @property
    def status(self) -> int:
        """HTTP status"""
        return _STATUSES.get(self.code, _BAD_REQUEST)
