"""cluster-health: each member is asked at its own addresses."""

import time
from typing import Any

from etcdz.cli.ctl_v2.requests import Endpoints, Request, RequestError
from etcdz.cli.ctl_v2.session import SERVER_ERROR, UNHEALTHY, Session, fail
from etcdz.cli.ctl_v2.words import Values

_PAUSE_S = 10.0


def cluster_health(arguments: list[str], values: Values, options: Values) -> int:
    session = Session(options, syncs=False)
    try:
        members = session.do(Request("GET", "/v2/members")).json()["members"]
    except (RequestError, KeyError, TypeError) as error:
        print("cluster may be unhealthy: failed to list members")
        fail(error, SERVER_ERROR)
    while True:
        well = sum(_is_well(session.endpoints, member) for member in members)
        print(f"cluster is {'healthy' if well == len(members) else 'degraded' if well else 'unavailable'}")
        if values["forever"] != "true":
            return 0 if well == len(members) else UNHEALTHY
        print("\nnext check after 10 second...\n", flush=True)
        time.sleep(_PAUSE_S)


def _is_well(endpoints: Endpoints, member: dict[str, Any]) -> bool:
    """Says what it finds."""
    name, urls = member["id"], member["clientURLs"]
    if not urls:
        print(f"member {name} is unreachable: no available published client urls")
        return False
    for url in urls:
        try:
            found = endpoints.at(url).do(Request("GET", "/health"), None).json()["health"]
        except (RequestError, KeyError, TypeError) as error:
            print(f"failed to check the health of member {name} on {url}: {error}")
            continue
        is_well = found in (True, "true")
        word = "healthy" if is_well else "unhealthy"
        print(f"member {name} is {word}: got {word} result from {url}")
        return is_well
    print(f"member {name} is unreachable: [{' '.join(urls)}] are all unreachable")
    return False
