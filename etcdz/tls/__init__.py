"""TLS: what the flags say of it, contexts out of files that may change, what certificates must be, and etcd's words.

settings.py          one side of a member: paths and words (imported by all; no ssl)
files.py             contexts of a side, kept while their files are as they were
contexts.py          one context, and what is wrong with a file
certificate.py       the certificate at the other end: names, serial numbers, who is allowed
peer_names.py        whether a member may come from its address
handshake_errors.py  why a handshake failed, for the log
refusal_alert.py     refusing by name within the handshake; openssl.py: what Python does not offer of OpenSSL
in_force.py          what can be asked of the certificates in force, and warnings before they expire
self_signed.py       the certificate that a member makes for itself
start_checks.py      what keeps a side from being served
cipher_suites.py     Go's names of them
revocation.py, pem.py, der.py, kept.py    what these are made of

No sockets here. Sessions over bytes are in etcdz/wire/tls_session.py; whoever has connections joins the two.
"""
