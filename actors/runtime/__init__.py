"""What every actor is: its loop, mailbox, links, what it counts and what it can be asked."""
