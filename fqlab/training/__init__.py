"""What a client minimises, and the steps by which it gets there."""
