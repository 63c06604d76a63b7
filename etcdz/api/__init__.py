"""etcd's API as facts: methods, errors, requests as keys and as text."""
