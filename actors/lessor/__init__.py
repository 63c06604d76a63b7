"""The lessor actor: clocks of leases."""
