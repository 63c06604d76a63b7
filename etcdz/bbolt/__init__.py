"""bbolt files, the format of etcd's backend: pages in page.py, a bulk writer, a reader that distrusts every byte."""

from etcdz.bbolt.page import PAGE_BYTES, BoltCorrupt
from etcdz.bbolt.reader import BoltFile, Bucket, Source
from etcdz.bbolt.writer import BoltWriter, Layout

__all__ = ["PAGE_BYTES", "BoltCorrupt", "BoltFile", "BoltWriter", "Bucket", "Layout", "Source"]
