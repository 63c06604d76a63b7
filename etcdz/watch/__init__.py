"""Watch, without I/O: who watches what, what of the history each has had, and the bytes that each is sent.

events.py     what happened, as the backend tells it: one row per change, encoded once
history.py    the same out of the store, in bounded chunks, for those who are behind
ranges.py     which watchers a key concerns
watcher.py    one watcher, one client stream
delivery.py   from changes to the messages of those whom they concern
hub.py        all watchers of a listener: created, told, left behind, caught up
"""
