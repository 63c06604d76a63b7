"""The actors as a pure core: events and orders in, work to do out."""
