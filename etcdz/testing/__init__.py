"""For tests of programs that use etcd: a pytest plugin, which pytest loads by itself, and certificates.

plugin.py         fixtures: etcdz_server, etcdz_client, etcdz_cluster, etcdz_tls
certificates.py   an authority, and what it issues
"""
