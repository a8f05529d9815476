"""Many jobs that wait for one another: which there are, the loop that runs them, and how they are getting on."""
