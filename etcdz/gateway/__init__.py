"""etcd's JSON gateway without I/O: which method a path means, and its messages as JSON.

    routes.py          path -> method, request, response
    requests.py        JSON -> request
    values.py          a body that holds many JSON values, as it comes -> each of them
    responses.py       response -> JSON
    large_responses.py the same for a large range, deletion or transaction, piece by piece
    statuses.py        gRPC's status -> HTTP's, and the bodies of errors

What is accepted follows protojson (etcd since 3.6), what is answered etcd 3.5: both as etcd's clients have them.
"""
