"""Whether what stages left is as they left it, and follows from what it is said to come from."""
