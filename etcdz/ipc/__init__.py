"""What the processes of a member say to each other."""
