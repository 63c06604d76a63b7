"""Watch, without I/O: which watchers there are, what of the history each has had, and the bytes that each is sent.

events.py     what happened, as the backend tells it: one row per change, encoded once
history.py    the same out of the store, in bounded chunks, for watchers that are behind
ranges.py     which watchers a key concerns
watcher.py    one watcher, one client stream
group.py      the synced watchers of one range, and which of them are sent the same
delivery.py   from changes to the messages of the watchers that they concern
progress.py   when watchers with progress_notify are told where they are
hub.py        all watchers of a listener: created, sent changes, unsynced, synced again
"""
