"""Message classes built from `schema.SCHEMA`: `from etcdz.proto import etcdserverpb as pb; pb.PutRequest(key=b"k")`.

Each package of the schema becomes a module here; classes are upb's, about 1 us to parse or build a small message.
What types their fields have is in the `.pyi` of each package, which tests/proto makes from the schema.
NB: a string that is not UTF-8 reads as bytes, whatever its stub says, and cannot be set: etcdz.proto.text.
"""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

from etcdz.proto.descriptors import files_of
from etcdz.proto.schema import SCHEMA


def _build() -> dict[str, ModuleType]:
    pool, class_of = _runtime()
    packages: dict[str, ModuleType] = {}
    for file in files_of(SCHEMA):
        pool.AddSerializedFile(file.body)
        space = packages.setdefault(file.package, ModuleType(f"{__name__}.{file.package}"))
        for name in file.messages:
            setattr(space, name, class_of(pool.FindMessageTypeByName(f"{file.package}.{name}")))
        for name, values in file.enums.items():
            setattr(space, name, SimpleNamespace(**values))
    return packages


def _runtime() -> tuple[Any, Any]:
    """A pool of descriptors, and what makes a class of one.

    upb's own where it has what is needed, since protobuf's public modules for both load its parser of text formats and
    its implementation in Python: 30 ms of every command. Those are the way where upb is another.
    """
    try:
        from google._upb import _message as upb
        from google.protobuf.message import Message

        make_class, pool = upb.MessageMeta, upb.DescriptorPool()
    except (ImportError, AttributeError):
        from google.protobuf import descriptor_pool, message_factory

        return descriptor_pool.DescriptorPool(), message_factory.GetMessageClass
    return pool, lambda found: make_class(found.name, (Message,), {"DESCRIPTOR": found, "__module__": None})


for _name, _package in _build().items():
    sys.modules[_package.__name__] = globals()[_name] = _package
