"""How actors become processes, and what the kernel says of them."""
